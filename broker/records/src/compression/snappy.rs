//! Snappy blocks in snappy-java's stream framing, and raw ones.

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::Compression;
use crate::BatchError;

/// Start of snappy-java's framing: the name, then version 1 and the oldest compatible version 1.
const HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// The part of [`HEADER`] that identifies it.
const NAME_LENGTH: usize = 8;
/// Uncompressed bytes per framed block, as in snappy-java.
const BLOCK: usize = 32 * 1024;
/// No snappy element turns one byte into more bytes than this (64 bytes from 3).
const MAX_RATIO: usize = 22;

pub(super) fn compress(block: &[u8]) -> Result<Vec<u8>, BatchError> {
    let mut encoder = Encoder::new();
    let mut out = HEADER.to_vec();
    let mut scratch = vec![0; max_compress_len(BLOCK)];
    for chunk in block.chunks(BLOCK) {
        let length = encoder.compress(chunk, &mut scratch).map_err(corrupt)?;
        out.extend_from_slice(&(length as u32).to_be_bytes());
        out.extend_from_slice(scratch.get(..length).unwrap_or_default());
    }
    Ok(out)
}

pub(super) fn decompress(block: &[u8], max: usize) -> Result<Vec<u8>, BatchError> {
    let mut out = Vec::new();
    if !block.starts_with(HEADER.get(..NAME_LENGTH).unwrap_or_default()) {
        append_block(block, max, &mut out)?;
        return Ok(out);
    }
    let mut rest = block.get(HEADER.len()..).ok_or_else(|| corrupt("framing header is cut off"))?;
    while !rest.is_empty() {
        let (length, after) =
            rest.split_first_chunk::<4>().ok_or_else(|| corrupt("block length is cut off"))?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let framed = after.get(..length).ok_or_else(|| corrupt("block is cut off"))?;
        append_block(framed, max, &mut out)?;
        rest = after.get(length..).unwrap_or_default();
    }
    Ok(out)
}

/// Decompresses one raw block onto `out`; the announced length is believed only as far as the ratio allows.
fn append_block(block: &[u8], max: usize, out: &mut Vec<u8>) -> Result<(), BatchError> {
    let length = decompress_len(block).map_err(corrupt)?;
    let start = out.len();
    if length > max.saturating_sub(start) {
        return Err(BatchError::DecompressedTooLarge(max));
    }
    if length > block.len().saturating_mul(MAX_RATIO) {
        return Err(corrupt("announced length is impossible"));
    }
    out.resize(start + length, 0);
    let target = out.get_mut(start..).unwrap_or_default();
    Decoder::new().decompress(block, target).map_err(corrupt)?;
    Ok(())
}

fn corrupt(reason: impl std::fmt::Display) -> BatchError {
    BatchError::Compression { codec: Compression::Snappy.name(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_blocks_without_framing_are_read() {
        let text = b"raw snappy as some clients send it, raw snappy as some clients send it";
        let raw = Encoder::new().compress_vec(text).expect("compresses");
        assert_eq!(decompress(&raw, 1024).as_deref(), Ok(text.as_slice()));
    }

    #[test]
    fn an_impossible_announced_length_is_refused_before_memory_is_reserved() {
        let lie = [0xff, 0xff, 0xff, 0xff, 0x07, 0x00];
        assert!(matches!(decompress(&lie, usize::MAX), Err(BatchError::Compression { .. })));
        assert_eq!(decompress(&lie, 1024), Err(BatchError::DecompressedTooLarge(1024)));
    }
}
