//! What can be wrong with a batch.

/// Why bytes are not an acceptable record batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("batch is truncated: {needed} bytes needed, {available} available")]
    Truncated {
        /// Bytes that the batch needs.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// The length field is smaller than a header.
    #[error("batch length {0} is smaller than the batch header")]
    InvalidLength(i32),
    /// Only record format v2 (magic 2) is understood.
    #[error("unsupported record format: magic {0}")]
    UnsupportedMagic(i8),
    /// The checksum stored in the batch is not that of its bytes.
    #[error("checksum mismatch: stored {stored:#010x}, computed {computed:#010x}")]
    CrcMismatch {
        /// CRC-32C in the header.
        stored: u32,
        /// CRC-32C of the bytes.
        computed: u32,
    },
    /// Base offset and last offset delta do not name a range of offsets.
    #[error("invalid offsets: base {base_offset}, last offset delta {last_offset_delta}")]
    InvalidOffsets {
        /// Base offset of the batch.
        base_offset: i64,
        /// Distance from the base to the last offset.
        last_offset_delta: i32,
    },
    /// The record count contradicts the offsets, or the records themselves.
    #[error("record count {record_count} does not fit last offset delta {last_offset_delta}")]
    InvalidRecordCount {
        /// Record count in the header.
        record_count: i32,
        /// Distance from the base to the last offset.
        last_offset_delta: i32,
    },
    /// Bytes follow where the batch or its records should have ended.
    #[error("{0} bytes too many after the end")]
    TrailingBytes(usize),
    /// The batch exceeds the limit (`max.message.bytes`).
    #[error("batch of {size} bytes exceeds the limit of {max}")]
    TooLarge {
        /// Size of the whole batch in bytes.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The attributes name a codec that does not exist.
    #[error("unknown compression codec {0}")]
    UnknownCompression(u8),
    /// The compressed block cannot be decompressed.
    #[error("corrupt {codec} block: {reason}")]
    Compression {
        /// Name of the codec.
        codec: &'static str,
        /// What the codec said.
        reason: String,
    },
    /// The records are larger than the caller allows once decompressed.
    #[error("records exceed {0} bytes when decompressed")]
    DecompressedTooLarge(usize),
    /// A record is malformed.
    #[error("invalid record: {0}")]
    InvalidRecord(&'static str),
    /// A client must send batches with base offset 0.
    #[error("base offset of a produced batch must be 0, not {0}")]
    BaseOffsetNotZero(i64),
    /// Clients may not write control records.
    #[error("clients may not write control batches")]
    ControlFromClient,
    /// Clients may not claim the broker's timestamp type.
    #[error("clients may not set the timestamp type LogAppendTime")]
    LogAppendTimeFromClient,
    /// Producer id, epoch and sequence contradict each other.
    #[error("invalid producer fields: id {producer_id}, epoch {producer_epoch}, sequence {base_sequence}")]
    InvalidProducer {
        /// Producer id.
        producer_id: i64,
        /// Producer epoch.
        producer_epoch: i16,
        /// First sequence number.
        base_sequence: i32,
    },
    /// A batch under construction is given something that the format cannot hold.
    #[error("cannot build batch: {0}")]
    Unbuildable(&'static str),
}
