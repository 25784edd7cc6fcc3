//! The codecs of record batches: compress a block of records, decompress one up to a cap.

mod snappy;

use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use crate::BatchError;

/// The codec of the records in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Records as they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks in snappy-java's framing; raw blocks are read too.
    Snappy,
    /// LZ4 frames with independent blocks.
    Lz4,
    /// Zstandard (KIP-110).
    Zstd,
}

impl Compression {
    /// The codec with this number in the batch attributes.
    pub fn from_code(code: u8) -> Result<Self, BatchError> {
        Ok(match code {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            other => return Err(BatchError::UnknownCompression(other)),
        })
    }

    /// The codec's number in the batch attributes.
    pub const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec's name as in `compression.type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Compresses `block`.
    pub(crate) fn compress(self, block: &[u8]) -> Result<Vec<u8>, BatchError> {
        let compressed = match self {
            Self::None => Ok(block.to_vec()),
            Self::Gzip => gzip(block),
            Self::Snappy => return snappy::compress(block),
            Self::Lz4 => lz4(block),
            Self::Zstd => zstd::bulk::compress(block, zstd::DEFAULT_COMPRESSION_LEVEL),
        };
        compressed.map_err(|error| self.corrupt(&error))
    }

    /// Decompresses `block`; an error as soon as the output exceeds `max` bytes.
    pub(crate) fn decompress(self, block: &[u8], max: usize) -> Result<Vec<u8>, BatchError> {
        match self {
            Self::None => self.read_capped(block, block.len(), max),
            Self::Gzip => self.read_capped(flate2::bufread::MultiGzDecoder::new(block), block.len(), max),
            Self::Snappy => snappy::decompress(block, max),
            Self::Lz4 => self.read_capped(FrameDecoder::new(block), block.len(), max),
            Self::Zstd => {
                let decoder =
                    zstd::stream::read::Decoder::with_buffer(block).map_err(|e| self.corrupt(&e))?;
                self.read_capped(decoder, block.len(), max)
            }
        }
    }

    /// Reads to the end but never more than one byte past `max`, so that a bomb costs `max` bytes and no more.
    fn read_capped(self, reader: impl Read, compressed: usize, max: usize) -> Result<Vec<u8>, BatchError> {
        let mut out = Vec::with_capacity(compressed.saturating_mul(2).min(max));
        let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
        reader.take(limit).read_to_end(&mut out).map_err(|error| self.corrupt(&error))?;
        if out.len() > max { Err(BatchError::DecompressedTooLarge(max)) } else { Ok(out) }
    }

    fn corrupt(self, reason: &dyn std::fmt::Display) -> BatchError {
        BatchError::Compression { codec: self.name(), reason: reason.to_string() }
    }
}

fn gzip(block: &[u8]) -> io::Result<Vec<u8>> {
    let out = Vec::with_capacity(block.len() / 2);
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
    encoder.write_all(block)?;
    encoder.finish()
}

/// Independent 64 KiB blocks without content checksum: all that Kafka's Java reader accepts.
fn lz4(block: &[u8]) -> io::Result<Vec<u8>> {
    let frame = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(frame, Vec::with_capacity(block.len() / 2));
    encoder.write_all(block)?;
    encoder.finish().map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    #[test]
    fn codec_numbers_are_kafkas() {
        for (code, codec) in CODECS.into_iter().enumerate() {
            assert_eq!(usize::from(codec.code()), code);
            assert_eq!(Compression::from_code(codec.code()), Ok(codec));
        }
    }

    #[test]
    fn a_decompression_bomb_stops_at_the_cap() {
        let block = vec![0u8; 4 << 20];
        for codec in CODECS {
            let bomb = codec.compress(&block).expect("compresses");
            assert_eq!(codec.decompress(&bomb, block.len()).as_deref(), Ok(block.as_slice()), "{codec:?}");
            let capped = codec.decompress(&bomb, block.len() - 1);
            assert_eq!(capped, Err(BatchError::DecompressedTooLarge(block.len() - 1)), "{codec:?}");
        }
    }

    #[test]
    fn lz4_frames_are_what_the_java_client_reads() {
        let frame = lz4(&[7; 100_000]).expect("compresses");
        assert_eq!(frame.get(..4), Some([0x04, 0x22, 0x4d, 0x18].as_slice()), "frame magic");
        assert_eq!(
            frame.get(4).map(|flags| flags & 0b1110_0011),
            Some(0b0110_0000),
            "version 1, independent blocks"
        );
    }
}
