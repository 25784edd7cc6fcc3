//! Which APIs there are: the one table that ApiVersions, dispatch, access checks and metric labels derive from.

use std::ops::RangeInclusive;

/// One API.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Api {
    /// The number in the request header.
    pub key: i16,
    /// Kafka's name, such as `Produce`.
    pub name: &'static str,
    /// The lowest version that is accepted.
    pub min: i16,
    /// The highest version that is accepted.
    pub max: i16,
    /// The lowest version that ApiVersions names.
    pub advertised_min: i16,
    /// The first version with compact lengths and tagged fields.
    pub flexible: Option<i16>,
    /// Where it is served.
    pub listeners: Listeners,
    /// Whether a broker hands it on to the active controller.
    pub forwarded: bool,
    /// Whether ApiVersions names it. What is not built is not advertised.
    pub advertised: bool,
}

/// A kind of listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Of a broker: clients, and brokers among themselves.
    Broker,
    /// Of a controller.
    Controller,
}

/// The kinds of listeners that serve an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listeners {
    /// Only brokers'.
    Broker,
    /// Only controllers'.
    Controller,
    /// Brokers' and controllers'.
    Both,
}

impl Listeners {
    /// Whether listeners of this kind serve the API.
    pub const fn contains(self, listener: Listener) -> bool {
        match self {
            Self::Both => true,
            Self::Broker => matches!(listener, Listener::Broker),
            Self::Controller => matches!(listener, Listener::Controller),
        }
    }
}

impl Api {
    /// The versions that are accepted.
    pub const fn versions(&self) -> RangeInclusive<i16> {
        self.min..=self.max
    }

    /// Whether `version` has compact lengths and tagged fields.
    pub fn is_flexible(&self, version: i16) -> bool {
        self.flexible.is_some_and(|first| version >= first)
    }

    const fn flexible_from(self, first: i16) -> Self {
        Self { flexible: Some(first), ..self }
    }

    const fn forwarded(self) -> Self {
        Self { forwarded: true, ..self }
    }

    const fn advertised_from(self, min: i16) -> Self {
        Self { advertised_min: min, ..self }
    }

    const fn not_advertised(self) -> Self {
        Self { advertised: false, ..self }
    }
}

const fn row(key: i16, name: &'static str, min: i16, max: i16, listeners: Listeners) -> Api {
    Api {
        key,
        name,
        min,
        max,
        advertised_min: min,
        flexible: None,
        listeners,
        forwarded: false,
        advertised: true,
    }
}

use Listeners::{Both, Broker, Controller};

/// Ascending by key. A maximum below that of the message table is listed with its reason in [`HELD_BACK`].
const APIS: &[Api] = &[
    // librdkafka derives features such as compression from a range that starts at 0 (KAFKA-18659).
    row(0, "Produce", 3, 13, Broker).flexible_from(9).advertised_from(0),
    row(1, "Fetch", 4, 18, Both).flexible_from(12),
    row(2, "ListOffsets", 1, 11, Broker).flexible_from(6),
    row(3, "Metadata", 0, 13, Broker).flexible_from(9),
    row(8, "OffsetCommit", 2, 10, Broker).flexible_from(8),
    row(9, "OffsetFetch", 1, 10, Broker).flexible_from(6),
    row(10, "FindCoordinator", 0, 6, Broker).flexible_from(3),
    row(11, "JoinGroup", 0, 9, Broker).flexible_from(6),
    row(12, "Heartbeat", 0, 4, Broker).flexible_from(4),
    row(13, "LeaveGroup", 0, 5, Broker).flexible_from(4),
    row(14, "SyncGroup", 0, 5, Broker).flexible_from(4),
    row(15, "DescribeGroups", 0, 6, Broker).flexible_from(5),
    row(16, "ListGroups", 0, 5, Broker).flexible_from(3),
    row(18, "ApiVersions", 0, 4, Both).flexible_from(3),
    row(19, "CreateTopics", 2, 7, Both).flexible_from(5).forwarded(),
    row(20, "DeleteTopics", 1, 6, Both).flexible_from(4).forwarded(),
    row(21, "DeleteRecords", 0, 2, Broker).flexible_from(2),
    row(22, "InitProducerId", 0, 5, Broker).flexible_from(2),
    row(23, "OffsetForLeaderEpoch", 2, 4, Broker).flexible_from(4),
    row(32, "DescribeConfigs", 1, 4, Both).flexible_from(4),
    row(33, "AlterConfigs", 0, 2, Both).flexible_from(2).forwarded(),
    row(35, "DescribeLogDirs", 1, 5, Broker).flexible_from(2),
    row(37, "CreatePartitions", 0, 3, Both).flexible_from(2).forwarded(),
    row(42, "DeleteGroups", 0, 2, Broker).flexible_from(2),
    row(43, "ElectLeaders", 0, 2, Both).flexible_from(2).forwarded(),
    row(44, "IncrementalAlterConfigs", 0, 1, Both).flexible_from(1).forwarded(),
    row(45, "AlterPartitionReassignments", 0, 1, Both).flexible_from(0).forwarded(),
    row(46, "ListPartitionReassignments", 0, 0, Both).flexible_from(0).forwarded(),
    row(47, "OffsetDelete", 0, 0, Broker),
    row(55, "DescribeQuorum", 0, 2, Both).flexible_from(0).forwarded(),
    row(56, "AlterPartition", 2, 3, Controller).flexible_from(0),
    row(58, "Envelope", 0, 0, Controller).flexible_from(0),
    row(60, "DescribeCluster", 0, 2, Both).flexible_from(0),
    row(62, "BrokerRegistration", 0, 4, Controller).flexible_from(0),
    row(63, "BrokerHeartbeat", 0, 2, Controller).flexible_from(0),
    row(67, "AllocateProducerIds", 0, 0, Controller).flexible_from(0),
    row(75, "DescribeTopicPartitions", 0, 0, Broker).flexible_from(0),
    row(80, "AddRaftVoter", 0, 1, Both).flexible_from(0).forwarded(),
    row(81, "RemoveRaftVoter", 0, 0, Both).flexible_from(0).forwarded(),
    // Private keys between Klamm's own nodes.
    row(1000, "RaftAppend", 0, 0, Controller).flexible_from(0).not_advertised(),
    row(1001, "RaftVote", 0, 0, Controller).flexible_from(0).not_advertised(),
    row(1002, "RaftPreVote", 0, 0, Controller).flexible_from(0).not_advertised(),
    row(1003, "RaftSnapshot", 0, 0, Controller).flexible_from(0).not_advertised(),
    row(1004, "RaftTransferLeader", 0, 0, Controller).flexible_from(0).not_advertised(),
    row(1005, "RaftIdentify", 0, 0, Controller).flexible_from(0).not_advertised(),
    row(1010, "MetadataFetch", 0, 0, Controller).flexible_from(0).not_advertised(),
    // Private keys of those who run a cluster.
    row(1020, "BeginDisruption", 0, 0, Both).flexible_from(0).forwarded().not_advertised(),
    row(1021, "EndDisruption", 0, 0, Both).flexible_from(0).forwarded().not_advertised(),
    row(1022, "DescribeDisruptions", 0, 0, Both).flexible_from(0).forwarded().not_advertised(),
    // Between nodes again.
    row(1030, "ReplicaDamage", 0, 0, Controller).flexible_from(0).not_advertised(),
];

/// APIs whose newest version in the message tables is not accepted: key, highest accepted version, why.
pub const HELD_BACK: &[(i16, i16, &str)] = &[(22, 5, "InitProducerId v6 is unstable in Kafka 4.3 (KIP-939)")];

/// The API with this key.
pub fn api(key: i16) -> Option<&'static Api> {
    APIS.binary_search_by_key(&key, |api| api.key).ok().and_then(|index| APIS.get(index))
}

/// Every API, ascending by key.
pub const fn all() -> &'static [Api] {
    APIS
}

/// What ApiVersions names on a listener of this kind, ascending by key.
pub fn advertised(listener: Listener) -> impl Iterator<Item = &'static Api> {
    APIS.iter().filter(move |api| api.advertised && api.listeners.contains(listener))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ascend_so_that_they_can_be_searched() {
        assert!(APIS.is_sorted_by(|a, b| a.key < b.key));
    }

    #[test]
    fn produce_is_advertised_from_zero_but_accepted_from_three() {
        let produce = api(0).unwrap();
        assert_eq!((produce.advertised_min, produce.min), (0, 3));
    }

    #[test]
    fn private_keys_are_never_advertised_and_brokers_hand_them_on() {
        for api in APIS.iter().filter(|api| api.key >= 1000) {
            assert!(!api.advertised, "{}", api.name);
            assert_eq!(api.listeners.contains(Listener::Broker), api.forwarded, "{}", api.name);
        }
    }

    #[test]
    fn what_nodes_say_among_themselves_is_for_controllers_only() {
        for api in APIS.iter().filter(|api| (1000..1020).contains(&api.key)) {
            assert_eq!(api.listeners, Controller, "{}", api.name);
        }
    }

    #[test]
    fn only_produce_advertises_versions_that_it_refuses() {
        let wider: Vec<_> =
            APIS.iter().filter(|api| api.advertised_min != api.min).map(|api| api.name).collect();
        assert_eq!(wider, ["Produce"]);
    }
}
