//! What a broker writes into a batch: base offset and leader epoch, or its own time.

use std::ops::Range;

use crate::header::position;
use crate::{BATCH_OVERHEAD, BatchError, BatchHeader, LOG_OVERHEAD};

/// Writes base offset and leader epoch into the batch; both lie outside the checksum, which stays valid.
pub fn stamp(batch: &mut [u8], base_offset: i64, leader_epoch: i32) -> Result<(), BatchError> {
    overwrite(batch, position::BASE_OFFSET, &base_offset.to_be_bytes())?;
    overwrite(batch, position::LEADER_EPOCH, &leader_epoch.to_be_bytes())
}

/// Marks the batch as `LogAppendTime` with this timestamp (Unix ms) and renews the checksum.
pub fn stamp_log_append_time(batch: &mut [u8], timestamp: i64) -> Result<(), BatchError> {
    let attributes = BatchHeader::parse(batch)?.attributes.with_log_append_time();
    overwrite(batch, position::ATTRIBUTES, &attributes.bits().to_be_bytes())?;
    overwrite(batch, position::MAX_TIMESTAMP, &timestamp.to_be_bytes())?;
    reseal(batch)
}

/// Sets the length field to the length of `batch`, and the checksum.
pub(crate) fn reseal(batch: &mut [u8]) -> Result<(), BatchError> {
    let length = batch.len().saturating_sub(LOG_OVERHEAD);
    let length = i32::try_from(length).map_err(|_| BatchError::Unbuildable("batch exceeds 2 GiB"))?;
    overwrite(batch, position::LENGTH, &length.to_be_bytes())?;
    let crc = crc32c::crc32c(batch.get(position::CHECKSUMMED..).unwrap_or_default());
    overwrite(batch, position::CRC, &crc.to_be_bytes())
}

/// Replaces the field at `field`, which must lie inside `batch`.
pub(crate) fn overwrite(batch: &mut [u8], field: Range<usize>, value: &[u8]) -> Result<(), BatchError> {
    let available = batch.len();
    match batch.get_mut(field) {
        Some(target) if target.len() == value.len() => target.copy_from_slice(value),
        _ => return Err(BatchError::Truncated { needed: BATCH_OVERHEAD, available }),
    }
    Ok(())
}
