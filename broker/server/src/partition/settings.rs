//! A topic's settings as its partitions on this broker use them.

use std::collections::BTreeMap;

use klamm_log::LogConfig;
use klamm_metadata::Image;
use klamm_metadata::config::{BrokerProperties, CompressionType, LogSettings, MessageTimestampType};
use klamm_records::{Compression, TimestampType};

use super::throttle::ThrottledReplicas;

/// Settings of one topic's partitions.
#[derive(Clone, Debug)]
pub(super) struct TopicSettings {
    /// The typed settings in effect.
    pub log: LogSettings,
    /// The codec that batches are stored with; `None` keeps the producer's.
    pub compression: Option<Compression>,
    /// Whether a record counts on this broker only once it is durable (`flush.messages=1`).
    pub counts_durable: bool,
    /// Replicas that their leader throttles.
    pub leader_throttled: ThrottledReplicas,
    /// Replicas that throttle what they fetch.
    pub follower_throttled: ThrottledReplicas,
}

impl TopicSettings {
    /// The settings in effect for a topic on broker `node_id` with these fixed properties.
    pub(super) fn of(
        image: &Image,
        topic: &str,
        node_id: i32,
        properties: &BTreeMap<String, String>,
    ) -> Self {
        let broker = BrokerProperties {
            fixed: properties,
            dynamic: image.broker_config(node_id),
            dynamic_default: image.cluster_default_config(),
        };
        let overrides = image.topic_config(topic);
        let log = LogSettings::effective(overrides, &broker);
        let throttled = |name| overrides.get(name).map(|value| ThrottledReplicas::parse(value));
        Self {
            compression: codec(log.compression_type),
            counts_durable: log.flush_messages <= 1,
            leader_throttled: throttled("leader.replication.throttled.replicas").unwrap_or_default(),
            follower_throttled: throttled("follower.replication.throttled.replicas").unwrap_or_default(),
            log,
        }
    }

    /// Smallest ISR that commits.
    pub(super) fn min_isr(&self) -> usize {
        usize::try_from(self.log.min_insync_replicas).unwrap_or(1).max(1)
    }

    /// Largest batch that a producer may send, in bytes.
    pub(super) fn max_message_bytes(&self) -> usize {
        usize::try_from(self.log.max_message_bytes).unwrap_or(0)
    }

    /// Whether the timestamp of the broker replaces the producer's.
    pub(super) fn stamps_append_time(&self) -> bool {
        self.log.message_timestamp_type == MessageTimestampType::LogAppendTime
    }

    /// What the log needs of them.
    pub(super) fn log_config(&self) -> LogConfig {
        let settings = &self.log;
        LogConfig {
            segment_bytes: positive(settings.segment_bytes),
            // Only closed segments are compacted: one must not stay open for longer than a record may wait.
            segment_ms: match settings.compact {
                true => settings.segment_ms.min(settings.max_compaction_lag_ms),
                false => settings.segment_ms,
            },
            segment_jitter_ms: settings.segment_jitter_ms,
            index_interval_bytes: positive(settings.index_interval_bytes),
            segment_index_bytes: positive(settings.segment_index_bytes),
            retention_ms: settings.retention_ms,
            retention_bytes: settings.retention_bytes,
            flush_messages: u64::try_from(settings.flush_messages).unwrap_or(1).max(1),
            flush_ms: settings.flush_ms,
            max_message_bytes: self.max_message_bytes(),
            message_timestamp_type: match self.stamps_append_time() {
                true => TimestampType::LogAppendTime,
                false => TimestampType::CreateTime,
            },
            cleanup_delete: settings.delete,
            cleanup_compact: settings.compact,
            delete_retention_ms: settings.delete_retention_ms,
            min_compaction_lag_ms: settings.min_compaction_lag_ms,
            max_compaction_lag_ms: settings.max_compaction_lag_ms,
        }
    }
}

fn positive(value: i32) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn codec(compression: CompressionType) -> Option<Compression> {
    match compression {
        CompressionType::Producer => None,
        CompressionType::Uncompressed => Some(Compression::None),
        CompressionType::Gzip => Some(Compression::Gzip),
        CompressionType::Snappy => Some(Compression::Snappy),
        CompressionType::Lz4 => Some(Compression::Lz4),
        CompressionType::Zstd => Some(Compression::Zstd),
    }
}
