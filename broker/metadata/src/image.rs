//! The image: the cluster's state after a prefix of the metadata log.

mod apply;
mod broker;
mod delta;
mod disruption;
pub(crate) mod snapshot;
pub(crate) mod topic;

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

pub use broker::{Broker, BrokerFeature, Endpoint};
pub use delta::{BrokerDelta, Delta, PartitionDelta};
pub use disruption::Disruption;
pub use snapshot::SnapshotError;
pub use topic::{Partition, Topic};

static NO_CONFIGS: BTreeMap<String, String> = BTreeMap::new();

/// What a stored configuration belongs to. Numbers on the wire are those of Kafka's `ConfigResource.Type`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic, by name.
    Topic(String),
    /// One broker, by id.
    Broker(i32),
    /// The default of all brokers.
    ClusterDefault,
    /// A kind that this Klamm stores but does not interpret: type number and name.
    Other(i8, String),
}

impl ConfigResource {
    /// `ConfigResource.Type` of a topic.
    pub const TOPIC: i8 = 2;
    /// `ConfigResource.Type` of a broker; the empty name is the cluster default.
    pub const BROKER: i8 = 4;

    /// From the type number and name that requests and records carry.
    pub fn from_parts(resource_type: i8, name: &str) -> ConfigResource {
        match (resource_type, name.parse::<i32>()) {
            (Self::TOPIC, _) => ConfigResource::Topic(name.to_owned()),
            (Self::BROKER, _) if name.is_empty() => ConfigResource::ClusterDefault,
            (Self::BROKER, Ok(id)) => ConfigResource::Broker(id),
            _ => ConfigResource::Other(resource_type, name.to_owned()),
        }
    }

    /// The type number and name that requests and records carry.
    pub fn to_parts(&self) -> (i8, String) {
        match self {
            ConfigResource::Topic(name) => (Self::TOPIC, name.clone()),
            ConfigResource::Broker(id) => (Self::BROKER, id.to_string()),
            ConfigResource::ClusterDefault => (Self::BROKER, String::new()),
            ConfigResource::Other(kind, name) => (*kind, name.clone()),
        }
    }
}

/// The cluster's state after a prefix of the metadata log.
///
/// Cloning copies a few pointers. Entries that did not change between two images are the same allocation, so that
/// [`Image::diff`] skips them by pointer.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    offset: i64,
    epoch: i32,
    founding: Option<Uuid>,
    topics: Arc<BTreeMap<Uuid, Arc<Topic>>>,
    topic_ids: Arc<BTreeMap<String, Uuid>>,
    brokers: Arc<BTreeMap<i32, Arc<Broker>>>,
    configs: Arc<BTreeMap<ConfigResource, Arc<BTreeMap<String, String>>>>,
    features: Arc<BTreeMap<String, i16>>,
    next_producer_id: i64,
    disruptions: Arc<BTreeMap<i32, Arc<Disruption>>>,
    has_skipped: bool,
}

impl Default for Image {
    fn default() -> Self {
        Image::empty()
    }
}

impl Image {
    /// The state before the first record.
    pub fn empty() -> Image {
        Image {
            offset: -1,
            epoch: -1,
            founding: None,
            topics: Arc::default(),
            topic_ids: Arc::default(),
            brokers: Arc::default(),
            configs: Arc::default(),
            features: Arc::default(),
            next_producer_id: 0,
            disruptions: Arc::default(),
            has_skipped: false,
        }
    }

    /// Offset of the last entry applied, -1 before the first.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Whether a record of a kind that this Klamm does not know was applied: a newer one would have made more of it.
    pub fn has_skipped_records(&self) -> bool {
        self.has_skipped
    }

    /// Epoch of the last entry applied, -1 before the first.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The founding of the quorum that this is the metadata of; `None` before the first record, and in logs that are older
    /// than the record.
    pub fn founding(&self) -> Option<Uuid> {
        self.founding
    }

    /// Whether no record has left anything here.
    pub fn is_blank(&self) -> bool {
        *self == Image { offset: self.offset, epoch: self.epoch, ..Image::empty() }
    }

    /// Whether this image cannot be of the metadata log of that founding, which is the first record of its log: who holds
    /// any other record of it knows the founding. A log without one tells nothing.
    pub fn is_foreign_to(&self, founding: Option<Uuid>) -> bool {
        founding.is_some() && self.founding != founding && !self.is_blank()
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topic_by_id(*self.topic_ids.get(name)?)
    }

    /// The topic of this id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topic_ids.values().filter_map(|id| self.topics.get(id))
    }

    /// The names of the topics, in order.
    pub fn topic_names(&self) -> impl Iterator<Item = &str> {
        self.topic_ids.keys().map(String::as_str)
    }

    /// One partition of a topic.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&Arc<Partition>> {
        self.topic(topic)?.partitions.get(&partition)
    }

    /// A registered broker.
    pub fn broker(&self, id: i32) -> Option<&Arc<Broker>> {
        self.brokers.get(&id)
    }

    /// All registered brokers, by id.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<Broker>> {
        self.brokers.values()
    }

    /// The overrides stored for a resource.
    pub fn config(&self, resource: &ConfigResource) -> &BTreeMap<String, String> {
        self.configs.get(resource).map_or(&NO_CONFIGS, |configs| configs)
    }

    /// The overrides of a topic.
    pub fn topic_config(&self, topic: &str) -> &BTreeMap<String, String> {
        self.config(&ConfigResource::Topic(topic.to_owned()))
    }

    /// The dynamic configuration of one broker.
    pub fn broker_config(&self, id: i32) -> &BTreeMap<String, String> {
        self.config(&ConfigResource::Broker(id))
    }

    /// The dynamic configuration that holds for all brokers.
    pub fn cluster_default_config(&self) -> &BTreeMap<String, String> {
        self.config(&ConfigResource::ClusterDefault)
    }

    /// Every resource that has overrides.
    pub fn configured_resources(&self) -> impl Iterator<Item = &ConfigResource> {
        self.configs.keys()
    }

    /// Finalised feature levels, by feature name.
    pub fn features(&self) -> &BTreeMap<String, i16> {
        &self.features
    }

    /// The disruptions that are granted now, by node id.
    pub fn disruptions(&self) -> impl Iterator<Item = &Arc<Disruption>> {
        self.disruptions.values()
    }

    /// The first producer id that no block handed out so far contains.
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }
}
