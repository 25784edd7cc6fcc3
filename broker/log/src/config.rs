//! The settings of one log, named as Kafka names the topic's.

use klamm_records::TimestampType;

/// Settings of one log. Times are milliseconds, sizes bytes; −1 means without limit where Kafka says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is rolled before it exceeds this.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment is rolled when its first batch is older than this.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: up to this much is taken off `segment.ms`, differently for each segment.
    pub segment_jitter_ms: i64,
    /// `index.interval.bytes`: an index entry is written when more than this lies behind the last one.
    pub index_interval_bytes: u64,
    /// `segment.index.bytes`: a segment is rolled when one of its indexes would exceed this.
    pub segment_index_bytes: u64,
    /// `retention.ms`, −1 for ever.
    pub retention_ms: i64,
    /// `retention.bytes`, −1 without limit.
    pub retention_bytes: i64,
    /// `flush.messages`: an fsync is due when this many offsets wait for one. 1 makes every write job durable.
    pub flush_messages: u64,
    /// `flush.ms`: how long an offset may wait for an fsync. The log has no clock: its owner calls `force_flush`.
    pub flush_ms: i64,
    /// `max.message.bytes`: the largest batch that a leader accepts.
    pub max_message_bytes: usize,
    /// `message.timestamp.type`.
    pub message_timestamp_type: TimestampType,
    /// Whether `cleanup.policy` names `delete`.
    pub cleanup_delete: bool,
    /// Whether `cleanup.policy` names `compact`.
    pub cleanup_compact: bool,
    /// `delete.retention.ms`: how long compaction keeps tombstones.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`: a segment with a record younger than this is not compacted.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: a segment older than this is compacted, however little there is to gain.
    pub max_compaction_lag_ms: i64,
}

impl Default for LogConfig {
    /// Kafka's defaults, except that every write is flushed.
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            segment_jitter_ms: 0,
            index_interval_bytes: 4096,
            segment_index_bytes: 10 << 20,
            retention_ms: 7 * 24 * 3600 * 1000,
            retention_bytes: -1,
            flush_messages: 1,
            flush_ms: i64::MAX,
            max_message_bytes: 1_048_588,
            message_timestamp_type: TimestampType::CreateTime,
            cleanup_delete: true,
            cleanup_compact: false,
            delete_retention_ms: 24 * 3600 * 1000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
        }
    }
}

impl LogConfig {
    /// The part of `segment.jitter.ms` that falls to the segment at `base_offset`: spread, yet the same on each run.
    pub(crate) fn jitter(&self, base_offset: i64) -> i64 {
        if self.segment_jitter_ms <= 0 {
            return 0;
        }
        let hash = (base_offset as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1;
        (hash % self.segment_jitter_ms as u64) as i64
    }
}
