//! What the controller is told once.

use std::collections::BTreeMap;

use crate::config::{BrokerProperties, names};

static NONE: BTreeMap<String, String> = BTreeMap::new();

/// The controller's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The cluster that brokers must belong to.
    pub cluster_id: String,
    /// The properties file of the controller's node; gives the defaults of topics.
    pub properties: BTreeMap<String, String>,
    /// Milliseconds without a heartbeat after which a broker is fenced.
    pub session_timeout_ms: i64,
    /// How long a session inherited from an earlier controller defends a broker id against a new process, when nothing
    /// has been heard of the old one, in milliseconds.
    pub inherited_session_ms: i64,
    /// Milliseconds between two looks at the leaders' balance; `None` leaves leaders where they are.
    pub rebalance_interval_ms: Option<i64>,
    /// The same while a preferred replica is alive but not yet back in the ISR.
    pub prompt_rebalance_interval_ms: i64,
}

impl Settings {
    /// Settings from a properties file, the defaults of [`crate::config`] where it is silent.
    pub fn new(cluster_id: impl Into<String>, properties: BTreeMap<String, String>) -> Settings {
        let values = BrokerProperties { fixed: &properties, dynamic: &NONE, dynamic_default: &NONE };
        let session_timeout_ms = values.parsed(names::BROKER_SESSION_TIMEOUT_MS).unwrap_or(1_000);
        let heartbeat_ms: i64 = values.parsed(names::BROKER_HEARTBEAT_INTERVAL_MS).unwrap_or(200);
        let rebalance_seconds: i64 =
            values.parsed(names::LEADER_IMBALANCE_CHECK_INTERVAL_SECONDS).unwrap_or(300);
        let rebalance = values.flag(names::AUTO_LEADER_REBALANCE_ENABLE);
        Settings {
            cluster_id: cluster_id.into(),
            session_timeout_ms,
            inherited_session_ms: heartbeat_ms.saturating_add(heartbeat_ms / 2).min(session_timeout_ms),
            rebalance_interval_ms: rebalance.then(|| rebalance_seconds.saturating_mul(1_000)),
            prompt_rebalance_interval_ms: 5_000,
            properties,
        }
    }
}
