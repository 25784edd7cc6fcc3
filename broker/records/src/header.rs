//! The 61-byte header of a record batch and its attribute bits.

use bytes::Buf;

use crate::{BatchError, Compression};

/// Size of a batch header in bytes, i.e. of a batch without records.
pub const BATCH_OVERHEAD: usize = 61;
/// Bytes in front of what `batchLength` counts: base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;
/// The record format version that this crate reads and writes.
pub const MAGIC: i8 = 2;
/// Producer id of a batch that is not idempotent.
pub const NO_PRODUCER_ID: i64 = -1;
/// Producer epoch of a batch that is not idempotent.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// Base sequence of a batch that is not idempotent.
pub const NO_SEQUENCE: i32 = -1;
/// Timestamp of a batch without records.
pub const NO_TIMESTAMP: i64 = -1;

/// Byte positions inside the header that other modules write to.
pub(crate) mod position {
    use std::ops::Range;

    pub(crate) const BASE_OFFSET: Range<usize> = 0..8;
    pub(crate) const LENGTH: Range<usize> = 8..12;
    pub(crate) const LEADER_EPOCH: Range<usize> = 12..16;
    pub(crate) const CRC: Range<usize> = 17..21;
    pub(crate) const ATTRIBUTES: Range<usize> = 21..23;
    pub(crate) const MAX_TIMESTAMP: Range<usize> = 35..43;
    /// First byte that the checksum covers.
    pub(crate) const CHECKSUMMED: usize = 21;
}

/// Who set the timestamps of a batch (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer.
    #[default]
    CreateTime,
    /// The broker, one timestamp for the whole batch.
    LogAppendTime,
}

/// The attribute bits of a batch: 0–2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes(i16);

impl Attributes {
    const CODEC: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// The attributes with exactly these bits.
    pub const fn from_bits(bits: i16) -> Self {
        Self(bits)
    }

    /// The bits as they stand in the header.
    pub const fn bits(self) -> i16 {
        self.0
    }

    /// The codec of the records; an error if the bits name none.
    pub fn compression(self) -> Result<Compression, BatchError> {
        Compression::from_code((self.0 & Self::CODEC) as u8)
    }

    /// Who set the timestamps.
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    pub const fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch holds control records, which clients never see.
    pub const fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether base timestamp is the time from which compaction may drop the batch's tombstones (KIP-534).
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    pub(crate) const fn with_compression(self, codec: Compression) -> Self {
        Self(self.0 & !Self::CODEC | codec.code() as i16)
    }

    pub(crate) const fn with_log_append_time(self) -> Self {
        Self(self.0 | Self::LOG_APPEND_TIME)
    }

    pub(crate) const fn with_transactional(self) -> Self {
        Self(self.0 | Self::TRANSACTIONAL)
    }

    pub(crate) const fn with_control(self) -> Self {
        Self(self.0 | Self::CONTROL)
    }

    pub(crate) const fn with_delete_horizon(self) -> Self {
        Self(self.0 | Self::DELETE_HORIZON)
    }
}

/// The header of one record batch, fields in the order in which they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record (of the first record ever, once the batch is compacted).
    pub base_offset: i64,
    /// Bytes of the batch after this field.
    pub batch_length: i32,
    /// Leader epoch in which the batch was appended.
    pub leader_epoch: i32,
    /// Format version, always [`MAGIC`].
    pub magic: i8,
    /// CRC-32C from the attributes to the end of the batch.
    pub crc: u32,
    /// Codec, timestamp type and flags.
    pub attributes: Attributes,
    /// Distance from the base offset to the last offset.
    pub last_offset_delta: i32,
    /// Timestamp that the records' deltas count from, Unix ms; the delete horizon if the attributes say so.
    pub base_timestamp: i64,
    /// Largest timestamp of the batch, Unix ms.
    pub max_timestamp: i64,
    /// Producer id, or [`NO_PRODUCER_ID`].
    pub producer_id: i64,
    /// Producer epoch, or [`NO_PRODUCER_EPOCH`].
    pub producer_epoch: i16,
    /// Sequence number of the first record, or [`NO_SEQUENCE`].
    pub base_sequence: i32,
    /// Number of records; less than the offsets suggest once compacted.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, which needs to hold only the header, not the records.
    ///
    /// A header that parses has magic 2, a length of at least a header, non-negative offsets and a last offset whose
    /// successor is an `i64`; [`size_in_bytes`](Self::size_in_bytes) and [`next_offset`](Self::next_offset) rely on it.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let truncated = BatchError::Truncated { needed: BATCH_OVERHEAD, available: bytes.len() };
        let mut fields = bytes.get(..BATCH_OVERHEAD).ok_or(truncated)?;
        let header = Self {
            base_offset: fields.get_i64(),
            batch_length: fields.get_i32(),
            leader_epoch: fields.get_i32(),
            magic: fields.get_i8(),
            crc: fields.get_u32(),
            attributes: Attributes(fields.get_i16()),
            last_offset_delta: fields.get_i32(),
            base_timestamp: fields.get_i64(),
            max_timestamp: fields.get_i64(),
            producer_id: fields.get_i64(),
            producer_epoch: fields.get_i16(),
            base_sequence: fields.get_i32(),
            record_count: fields.get_i32(),
        };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), BatchError> {
        if self.magic != MAGIC {
            return Err(BatchError::UnsupportedMagic(self.magic));
        }
        if self.batch_length < (BATCH_OVERHEAD - LOG_OVERHEAD) as i32 || self.batch_length > i32::MAX - 64 {
            return Err(BatchError::InvalidLength(self.batch_length));
        }
        let (base_offset, last_offset_delta) = (self.base_offset, self.last_offset_delta);
        let next = base_offset.checked_add(i64::from(last_offset_delta)).and_then(|last| last.checked_add(1));
        if base_offset < 0 || last_offset_delta < 0 || next.is_none() {
            return Err(BatchError::InvalidOffsets { base_offset, last_offset_delta });
        }
        if self.record_count < 0 || i64::from(self.record_count) > i64::from(last_offset_delta) + 1 {
            let record_count = self.record_count;
            return Err(BatchError::InvalidRecordCount { record_count, last_offset_delta });
        }
        Ok(())
    }

    /// Size of the whole batch in bytes, header included.
    pub fn size_in_bytes(&self) -> usize {
        LOG_OVERHEAD.saturating_add(usize::try_from(self.batch_length).unwrap_or(0))
    }

    /// Offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// The offset after the last record.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Whether the batch carries an idempotent producer's id.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// Sequence number of the last record, or [`NO_SEQUENCE`]; sequences wrap from `i32::MAX` to 0.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        advance_sequence(self.base_sequence, self.last_offset_delta)
    }
}

/// The sequence number that follows `sequence`; 0 follows `i32::MAX`.
pub fn next_sequence(sequence: i32) -> i32 {
    advance_sequence(sequence, 1)
}

fn advance_sequence(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    let wrapped = if sum > i64::from(i32::MAX) { sum - i64::from(i32::MAX) - 1 } else { sum };
    i32::try_from(wrapped).unwrap_or(NO_SEQUENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero_after_the_largest_integer() {
        assert_eq!(next_sequence(i32::MAX), 0);
        assert_eq!(advance_sequence(i32::MAX - 1, 3), 1);
        assert_eq!(next_sequence(NO_SEQUENCE), 0);
    }

    #[test]
    fn attribute_bits_are_kafkas() {
        let attributes = Attributes::from_bits(0b0111_1100);
        assert_eq!(attributes.compression(), Ok(Compression::Zstd));
        assert_eq!(attributes.timestamp_type(), TimestampType::LogAppendTime);
        assert!(attributes.is_transactional() && attributes.is_control() && attributes.has_delete_horizon());
        assert_eq!(Attributes::from_bits(7).compression(), Err(BatchError::UnknownCompression(7)));
    }
}
