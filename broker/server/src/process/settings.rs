//! What the parts of a process are told of its configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_coordinator::GroupConfig;
use klamm_metadata::config::BrokerProperties;

use crate::config::Config;
use crate::topic_creator::OffsetsTopic;

/// The properties with this process's own defaults where they differ from Kafka's.
pub(super) fn controller(config: &Config) -> BTreeMap<String, String> {
    let mut properties = config.properties.clone();
    let millis = |d: Duration| d.as_millis().to_string();
    properties.insert("broker.session.timeout.ms".to_owned(), millis(config.session_timeout));
    properties.insert("broker.heartbeat.interval.ms".to_owned(), millis(config.heartbeat_interval));
    properties
}

/// What group coordinators go by.
pub(super) fn groups(config: &Config) -> GroupConfig {
    let none = Default::default();
    let p = broker_properties(config, &none);
    let defaults = GroupConfig::default();
    GroupConfig {
        min_session_timeout_ms: p
            .parsed("group.min.session.timeout.ms")
            .unwrap_or(defaults.min_session_timeout_ms),
        max_session_timeout_ms: p
            .parsed("group.max.session.timeout.ms")
            .unwrap_or(defaults.max_session_timeout_ms),
        initial_rebalance_delay_ms: p
            .parsed("group.initial.rebalance.delay.ms")
            .unwrap_or(defaults.initial_rebalance_delay_ms),
        max_size: p.parsed("group.max.size").unwrap_or(defaults.max_size),
        offset_metadata_max_bytes: p
            .parsed("offset.metadata.max.bytes")
            .unwrap_or(defaults.offset_metadata_max_bytes),
        offsets_retention_ms: p
            .parsed::<i64>("offsets.retention.minutes")
            .map_or(defaults.offsets_retention_ms, |m| m.saturating_mul(60_000)),
        offsets_retention_check_interval_ms: p
            .parsed("offsets.retention.check.interval.ms")
            .unwrap_or(defaults.offsets_retention_check_interval_ms),
        ..defaults
    }
}

/// How the topic of committed offsets is created.
pub(super) fn offsets_topic(config: &Config) -> OffsetsTopic {
    let none = Default::default();
    let p = broker_properties(config, &none);
    OffsetsTopic {
        partitions: p.parsed("offsets.topic.num.partitions").unwrap_or(50),
        replication_factor: p.parsed("offsets.topic.replication.factor").unwrap_or(3),
        segment_bytes: p.parsed("offsets.topic.segment.bytes").unwrap_or(100 << 20),
    }
}

fn broker_properties<'a>(config: &'a Config, none: &'a BTreeMap<String, String>) -> BrokerProperties<'a> {
    BrokerProperties { fixed: &config.properties, dynamic: none, dynamic_default: none }
}
