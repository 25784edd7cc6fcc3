//! Every configuration key of topics and brokers: type, default, validation, documentation, and which value is in effect.

mod broker_cluster;
mod broker_coordinators;
mod broker_log;
mod broker_network;
mod broker_security;
mod describe;
mod effective;
mod log_settings;
mod spec;
mod topic;

use std::collections::BTreeMap;

pub use describe::{ConfigEntry, describe_broker, describe_topic};
pub use effective::{
    BrokerProperties, ConfigSource, Effective, Synonym, effective_broker_config, effective_topic_config,
};
pub use log_settings::{CompressionType, LogSettings, MessageTimestampType};
pub use spec::{
    Check, ConfigError, ConfigKind, ConfigSpec, TopicConfigSpec, TopicSynonym, Unit, Update, list_elements,
};

/// `replica.selector.class` that sends consumers to a follower in their rack (KIP-392), by the name that Kafka's has.
pub const RACK_AWARE_REPLICA_SELECTOR: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
/// `replica.selector.class` that leaves consumers at the leader, as when none is set.
const LEADER_SELECTOR: &str = "org.apache.kafka.common.replica.LeaderSelector";
const REPLICA_SELECTORS: &[&str] = &["", LEADER_SELECTOR, RACK_AWARE_REPLICA_SELECTOR];

/// Names that code refers to.
pub mod names {
    /// Smallest ISR with which acks=all writes are accepted.
    pub const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
    /// Whether a replica outside ISR and ELR may become the leader.
    pub const UNCLEAN_LEADER_ELECTION_ENABLE: &str = "unclean.leader.election.enable";
    /// Partitions of a topic created without a count.
    pub const NUM_PARTITIONS: &str = "num.partitions";
    /// Replicas of a topic created without a count.
    pub const DEFAULT_REPLICATION_FACTOR: &str = "default.replication.factor";
    /// Whether leadership returns to the preferred replicas by itself.
    pub const AUTO_LEADER_REBALANCE_ENABLE: &str = "auto.leader.rebalance.enable";
    /// Seconds between two checks of the leaders' balance.
    pub const LEADER_IMBALANCE_CHECK_INTERVAL_SECONDS: &str = "leader.imbalance.check.interval.seconds";
    /// Milliseconds without a heartbeat after which a broker is fenced.
    pub const BROKER_SESSION_TIMEOUT_MS: &str = "broker.session.timeout.ms";
    /// How a replica is chosen for a consumer.
    pub const REPLICA_SELECTOR_CLASS: &str = "replica.selector.class";
    /// Milliseconds between a broker's heartbeats.
    pub const BROKER_HEARTBEAT_INTERVAL_MS: &str = "broker.heartbeat.interval.ms";
}

/// All topic keys, by name.
pub fn topic_configs() -> &'static [TopicConfigSpec] {
    topic::TABLE
}

/// All broker keys.
pub fn broker_configs() -> impl Iterator<Item = &'static ConfigSpec> {
    [
        broker_network::TABLE,
        broker_log::TABLE,
        broker_cluster::TABLE,
        broker_coordinators::TABLE,
        broker_security::TABLE,
    ]
    .into_iter()
    .flatten()
}

/// The topic key of this name.
pub fn topic_config(name: &str) -> Option<&'static TopicConfigSpec> {
    topic::TABLE.iter().find(|entry| entry.spec.name == name)
}

/// The broker key of this name.
pub fn broker_config(name: &str) -> Option<&'static ConfigSpec> {
    broker_configs().find(|spec| spec.name == name)
}

/// Checks one topic override as CreateTopics and AlterConfigs must.
pub fn validate_topic_config(name: &str, value: &str) -> Result<(), ConfigError> {
    match topic_config(name) {
        Some(entry) => entry.spec.validate(value),
        None => Err(ConfigError::UnknownTopicConfig(name.to_owned())),
    }
}

/// Checks a topic's overrides against each other, each being valid by itself.
pub fn validate_topic_configs(configs: &BTreeMap<String, String>) -> Result<(), ConfigError> {
    for (name, value) in configs {
        validate_topic_config(name, value)?;
    }
    let lag = |name: &str| configs.get(name).and_then(|value| value.trim().parse::<i64>().ok());
    if let (Some(min), Some(max)) = (lag("min.compaction.lag.ms"), lag("max.compaction.lag.ms"))
        && min > max
    {
        return Err(ConfigError::Invalid {
            name: "max.compaction.lag.ms".to_owned(),
            value: max.to_string(),
            reason: format!("must not be below min.compaction.lag.ms, which is {min}"),
        });
    }
    Ok(())
}

/// Checks one broker property, static or dynamic. Unknown names are an error; a server that reads a properties file
/// warns of them instead.
pub fn validate_broker_config(name: &str, value: &str) -> Result<(), ConfigError> {
    match broker_config(name) {
        Some(spec) => spec.validate(value),
        None => Err(ConfigError::UnknownBrokerConfig(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_default_is_valid_and_every_name_is_unique() {
        let mut seen = BTreeSet::new();
        for spec in broker_configs() {
            assert!(seen.insert(spec.name), "{} is twice in the table", spec.name);
            assert!(!spec.documentation.is_empty(), "{}", spec.name);
            if let Some(default) = spec.default {
                spec.validate(default).unwrap();
            }
        }
        let mut seen = BTreeSet::new();
        for entry in topic_configs() {
            assert!(seen.insert(entry.spec.name), "{} is twice in the table", entry.spec.name);
            entry.spec.validate(entry.spec.default.unwrap()).unwrap();
        }
    }

    #[test]
    fn a_topic_key_and_its_broker_synonym_agree_on_the_default() {
        for entry in topic_configs() {
            for synonym in entry.synonyms {
                let spec =
                    broker_config(synonym.name).unwrap_or_else(|| panic!("no broker key {}", synonym.name));
                if let Some(default) = spec.default {
                    let default = synonym.unit.convert(default).unwrap();
                    assert_eq!(Some(default.as_str()), entry.spec.default, "{}", entry.spec.name);
                }
            }
        }
    }

    #[test]
    fn bad_values_are_refused_naming_key_and_value() {
        let refused = |name, value| validate_topic_config(name, value).unwrap_err().to_string();
        assert_eq!(refused("nonsense.ms", "1"), "Unknown topic config name: nonsense.ms");
        assert_eq!(
            refused("retention.ms", "soon"),
            "Invalid value soon for configuration retention.ms: Not a number of type LONG"
        );
        assert_eq!(
            refused("min.insync.replicas", "0"),
            "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1"
        );
        assert!(refused("cleanup.policy", "delete,burn").contains("cleanup.policy"));
        assert!(refused("unclean.leader.election.enable", "yes").contains("true or false"));
        assert!(validate_topic_config("cleanup.policy", "compact, delete").is_ok());
        assert!(validate_topic_config("leader.replication.throttled.replicas", "0:1,1:2").is_ok());
        assert!(validate_topic_config("leader.replication.throttled.replicas", "0-1").is_err());
        assert!(validate_topic_config("remote.storage.enable", "true").is_err());
    }

    #[test]
    fn contradicting_compaction_lags_are_refused() {
        let configs = [("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")];
        let configs = configs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert!(validate_topic_configs(&configs).unwrap_err().to_string().contains("max.compaction.lag.ms"));
    }
}
