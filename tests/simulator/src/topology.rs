//! What a run's cluster looks like.

use klamm_log::LogConfig;
use klamm_wire::Str;
use klamm_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};

use crate::message::Key;
use crate::random::Random;

/// The topic that clients use.
pub(crate) const DATA: &str = "orders";
/// The topic of the groups' offsets.
pub(crate) const OFFSETS: &str = "__consumer_offsets";
/// Voters of the metadata quorum.
pub(crate) const CONTROLLERS: usize = 3;
/// `replica.lag.time.max.ms`.
pub(crate) const LAG_MS: i64 = 800;

/// Size and settings of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    pub nodes: usize,
    pub replication: usize,
    pub min_isr: usize,
    /// Partitions of the clients' topic; the one behind them is that of the groups.
    pub data_partitions: usize,
    pub segment_bytes: u64,
}

impl Topology {
    pub(crate) fn new(random: &mut Random) -> Self {
        let nodes = if random.chance(750) { 3 } else { 4 };
        Self {
            nodes,
            replication: 3,
            min_isr: 2,
            data_partitions: random.between(1, 2) as usize,
            segment_bytes: random.pick(&[6 << 10, 24 << 10, 1 << 20]).unwrap_or(24 << 10),
        }
    }

    /// All partitions, that of the groups included.
    pub(crate) fn partitions(&self) -> usize {
        self.data_partitions + 1
    }

    /// The partition of the groups.
    pub(crate) fn groups(&self) -> Key {
        self.data_partitions
    }

    pub(crate) fn name(&self, key: Key) -> (&'static str, i32) {
        if key < self.data_partitions { (DATA, key as i32) } else { (OFFSETS, 0) }
    }

    pub(crate) fn key(&self, topic: &str, partition: i32) -> Option<Key> {
        match topic {
            DATA => usize::try_from(partition).ok().filter(|key| *key < self.data_partitions),
            OFFSETS if partition == 0 => Some(self.groups()),
            _ => None,
        }
    }

    /// As the broker makes it of the topic's settings.
    pub(crate) fn log_config(&self) -> LogConfig {
        LogConfig {
            segment_bytes: self.segment_bytes,
            index_interval_bytes: 512,
            retention_ms: -1,
            ..LogConfig::default()
        }
    }

    pub(crate) fn create_topics(&self) -> CreateTopicsRequest {
        let topics = vec![self.topic(DATA, self.data_partitions), self.topic(OFFSETS, 1)];
        CreateTopicsRequest { topics, ..CreateTopicsRequest::default() }
    }

    fn topic(&self, name: &'static str, partitions: usize) -> CreatableTopic {
        let assignments = (0..partitions).map(|index| CreatableReplicaAssignment {
            partition_index: index as i32,
            broker_ids: (0..self.replication).map(|at| ((index + at) % self.nodes) as i32).collect(),
            ..CreatableReplicaAssignment::default()
        });
        let min_isr = CreatableTopicConfig {
            name: Str::copy_from("min.insync.replicas"),
            value: Some(Str::copy_from(&self.min_isr.to_string())),
            ..CreatableTopicConfig::default()
        };
        CreatableTopic {
            name: Str::copy_from(name),
            num_partitions: -1,
            replication_factor: -1,
            assignments: assignments.collect(),
            configs: vec![min_isr],
            ..CreatableTopic::default()
        }
    }
}
