//! A topic's settings as typed values, ready for its logs and replicas.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::effective::{BrokerProperties, effective_topic_config};
use super::spec::list_elements;

/// `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageTimestampType {
    /// The producer's timestamp stays.
    CreateTime,
    /// Records get the time of the append.
    LogAppendTime,
}

/// `compression.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// Batches stay as they were sent.
    Producer,
    /// Batches are stored uncompressed.
    Uncompressed,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

/// A topic's settings in effect, units as in the keys' names.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    /// `segment.bytes`
    pub segment_bytes: i32,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `segment.jitter.ms`
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`
    pub segment_index_bytes: i32,
    /// `index.interval.bytes`
    pub index_interval_bytes: i32,
    /// `retention.ms`, -1 is forever.
    pub retention_ms: i64,
    /// `retention.bytes`, -1 is no limit.
    pub retention_bytes: i64,
    /// `flush.messages`
    pub flush_messages: i64,
    /// `flush.ms`
    pub flush_ms: i64,
    /// `file.delete.delay.ms`
    pub file_delete_delay_ms: i64,
    /// `max.message.bytes`
    pub max_message_bytes: i32,
    /// `message.timestamp.type`
    pub message_timestamp_type: MessageTimestampType,
    /// `message.timestamp.before.max.ms`
    pub message_timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`
    pub message_timestamp_after_max_ms: i64,
    /// `compression.type`
    pub compression_type: CompressionType,
    /// Whether `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// Whether `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: f64,
    /// `min.insync.replicas`
    pub min_insync_replicas: i32,
    /// `unclean.leader.election.enable`
    pub unclean_leader_election_enable: bool,
    /// `preallocate`
    pub preallocate: bool,
}

impl LogSettings {
    /// The settings of a topic with these overrides on a broker with these properties.
    pub fn effective(overrides: &BTreeMap<String, String>, broker: &BrokerProperties<'_>) -> LogSettings {
        let values = Values { overrides, broker };
        let cleanup = values.text("cleanup.policy");
        LogSettings {
            segment_bytes: values.number("segment.bytes"),
            segment_ms: values.number("segment.ms"),
            segment_jitter_ms: values.number("segment.jitter.ms"),
            segment_index_bytes: values.number("segment.index.bytes"),
            index_interval_bytes: values.number("index.interval.bytes"),
            retention_ms: values.number("retention.ms"),
            retention_bytes: values.number("retention.bytes"),
            flush_messages: values.number("flush.messages"),
            flush_ms: values.number("flush.ms"),
            file_delete_delay_ms: values.number("file.delete.delay.ms"),
            max_message_bytes: values.number("max.message.bytes"),
            message_timestamp_type: timestamp_type(&values.text("message.timestamp.type")),
            message_timestamp_before_max_ms: values.number("message.timestamp.before.max.ms"),
            message_timestamp_after_max_ms: values.number("message.timestamp.after.max.ms"),
            compression_type: compression_type(&values.text("compression.type")),
            delete: list_elements(&cleanup).any(|policy| policy == "delete"),
            compact: list_elements(&cleanup).any(|policy| policy == "compact"),
            delete_retention_ms: values.number("delete.retention.ms"),
            min_compaction_lag_ms: values.number("min.compaction.lag.ms"),
            max_compaction_lag_ms: values.number("max.compaction.lag.ms"),
            min_cleanable_dirty_ratio: values.number("min.cleanable.dirty.ratio"),
            min_insync_replicas: values.number("min.insync.replicas"),
            unclean_leader_election_enable: values.flag("unclean.leader.election.enable"),
            preallocate: values.flag("preallocate"),
        }
    }
}

struct Values<'a> {
    overrides: &'a BTreeMap<String, String>,
    broker: &'a BrokerProperties<'a>,
}

impl Values<'_> {
    fn text(&self, name: &str) -> String {
        let effective = effective_topic_config(name, self.overrides, self.broker);
        effective.and_then(|effective| effective.value).unwrap_or_default().trim().to_owned()
    }

    /// Values in effect are valid, so the fallback is for the type checker alone.
    fn number<T: FromStr + Default>(&self, name: &str) -> T {
        self.text(name).parse().unwrap_or_default()
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }
}

fn timestamp_type(value: &str) -> MessageTimestampType {
    match value {
        "LogAppendTime" => MessageTimestampType::LogAppendTime,
        _ => MessageTimestampType::CreateTime,
    }
}

fn compression_type(value: &str) -> CompressionType {
    match value {
        "uncompressed" => CompressionType::Uncompressed,
        "gzip" => CompressionType::Gzip,
        "snappy" => CompressionType::Snappy,
        "lz4" => CompressionType::Lz4,
        "zstd" => CompressionType::Zstd,
        _ => CompressionType::Producer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_overrides_arrive_typed() {
        let none = BTreeMap::new();
        let broker = BrokerProperties { fixed: &none, dynamic: &none, dynamic_default: &none };
        let defaults = LogSettings::effective(&none, &broker);
        assert_eq!(
            (defaults.flush_messages, defaults.segment_bytes, defaults.retention_bytes),
            (1, 1 << 30, -1)
        );
        assert!(defaults.delete && !defaults.compact && !defaults.unclean_leader_election_enable);
        let overrides = [
            ("cleanup.policy", "compact, delete"),
            ("min.cleanable.dirty.ratio", "0.25"),
            ("preallocate", "TRUE"),
        ];
        let overrides = overrides.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let settings = LogSettings::effective(&overrides, &broker);
        assert!(settings.delete && settings.compact && settings.preallocate);
        assert_eq!(settings.min_cleanable_dirty_ratio, 0.25);
    }
}
