//! One whole batch over shared bytes, and the iterator over concatenated batches.

use bytes::{Bytes, BytesMut};

use crate::header::position;
use crate::stamp::{overwrite, reseal};
use crate::{BATCH_OVERHEAD, BatchError, BatchHeader, Compression, Records, RecordsSummary};

/// One batch: the parsed header and the bytes of the whole batch, header included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The header, parsed from the first bytes.
    pub header: BatchHeader,
    /// The whole batch, a slice of what it was read from.
    pub bytes: Bytes,
}

impl Batch {
    /// The batch at the start of `data`; bytes after it are left alone.
    pub fn parse(data: &Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(data)?;
        let size = header.size_in_bytes();
        if size > data.len() {
            return Err(BatchError::Truncated { needed: size, available: data.len() });
        }
        Ok(Self { header, bytes: data.slice(..size) })
    }

    /// Compares the stored checksum with that of the bytes.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        verify_crc(&self.header, &self.bytes)
    }

    /// The records; compressed ones are decompressed first, to at most `max_decompressed` bytes.
    pub fn records(&self, max_decompressed: usize) -> Result<Records, BatchError> {
        Ok(Records::new(&self.header, self.record_bytes(max_decompressed)?))
    }

    /// Checks every record without copying any, and says what a broker wants to know of them.
    pub fn summarize(&self, max_decompressed: usize) -> Result<RecordsSummary, BatchError> {
        self.records(max_decompressed)?.summarize()
    }

    fn record_bytes(&self, max_decompressed: usize) -> Result<Bytes, BatchError> {
        let block = self.bytes.slice(BATCH_OVERHEAD.min(self.bytes.len())..);
        match self.header.attributes.compression()? {
            Compression::None => Ok(block),
            codec => codec.decompress(&block, max_decompressed).map(Bytes::from),
        }
    }
}

/// Compares the checksum in `header` with that of `batch`, which must be exactly one whole batch.
pub(crate) fn verify_crc(header: &BatchHeader, batch: &[u8]) -> Result<(), BatchError> {
    let computed = crc32c::crc32c(batch.get(position::CHECKSUMMED..).unwrap_or_default());
    if computed == header.crc {
        Ok(())
    } else {
        Err(BatchError::CrcMismatch { stored: header.crc, computed })
    }
}

/// The batches in `data`, one after another. The first malformed or cut-off batch is an error and the last item.
pub fn batches(data: Bytes) -> Batches {
    Batches { rest: data }
}

/// Iterator over concatenated batches, see [`batches`].
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
}

impl Iterator for Batches {
    type Item = Result<Batch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = Batch::parse(&self.rest);
        self.rest = match &batch {
            Ok(batch) => self.rest.slice(batch.bytes.len()..),
            Err(_) => Bytes::new(),
        };
        Some(batch)
    }
}

/// The same batch with its records in another codec; offsets, timestamps and producer fields stay as they are.
///
/// Fails if the records exceed `max_decompressed` bytes or cannot be decompressed.
pub fn recompress(batch: &Batch, to: Compression, max_decompressed: usize) -> Result<BytesMut, BatchError> {
    let block = to.compress(&batch.record_bytes(max_decompressed)?)?;
    let mut out = BytesMut::with_capacity(BATCH_OVERHEAD + block.len());
    out.extend_from_slice(batch.bytes.get(..BATCH_OVERHEAD).unwrap_or_default());
    out.extend_from_slice(&block);
    let attributes = batch.header.attributes.with_compression(to);
    overwrite(&mut out, position::ATTRIBUTES, &attributes.bits().to_be_bytes())?;
    reseal(&mut out)?;
    Ok(out)
}
