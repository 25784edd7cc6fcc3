//! What is wanted, with every default resolved and every rule of a single resource kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use klamm_operator_api::storage::StorageType;

use crate::resources::Subject;

/// A cluster and its topics that passed validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// The cluster.
    pub cluster: DesiredCluster,
    /// Its topics by the name that clients use.
    pub topics: BTreeMap<String, DesiredTopic>,
    /// Resources of topics that are being deleted, by the name of the resource.
    pub leaving: BTreeMap<String, LeavingTopic>,
}

/// A cluster as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredCluster {
    /// The name of the resource.
    pub name: String,
    /// Every node by its id.
    pub nodes: BTreeMap<i32, Roles>,
    /// Where clients connect; brokers speak to each other on the first. Never empty.
    pub listeners: Vec<DesiredListener>,
    /// Where nodes keep their data.
    pub storage: DesiredStorage,
    /// Broker configuration that was asked for.
    pub config: BTreeMap<String, String>,
}

/// Where nodes keep their data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredStorage {
    /// Whether data outlives the node.
    pub kind: StorageType,
    /// How much space a node asks for.
    pub bytes: u64,
    /// The class of storage; none is the default one.
    pub class: Option<String>,
}

impl DesiredCluster {
    /// How messages name it.
    pub fn subject(&self) -> Subject {
        Subject::Cluster(self.name.clone())
    }

    /// The ids of the nodes that should be controllers.
    pub fn controllers(&self) -> BTreeSet<i32> {
        self.nodes.iter().filter(|(_, roles)| roles.controller).map(|(id, _)| *id).collect()
    }
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// It keeps partitions and serves clients.
    pub broker: bool,
    /// It is a voter of the controller quorum.
    pub controller: bool,
}

impl Roles {
    /// The names of the roles, as in `process.roles`.
    pub fn names(self) -> Vec<&'static str> {
        let both = [(self.broker, "broker"), (self.controller, "controller")];
        both.into_iter().filter_map(|(has, name)| has.then_some(name)).collect()
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

/// A listener as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredListener {
    /// The name in the resource, such as `plaintext`.
    pub name: String,
    /// The port that the resource asks for.
    pub port: u16,
}

impl DesiredListener {
    /// The name that brokers and clients know it by, such as `PLAINTEXT`.
    pub fn kafka_name(&self) -> String {
        self.name.to_uppercase()
    }
}

/// A topic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredTopic {
    /// The name of the resource.
    pub resource: String,
    /// The name that clients use.
    pub name: String,
    /// How many partitions; `None` leaves it to the brokers.
    pub partitions: Option<i32>,
    /// How many copies of each; `None` leaves it to the brokers.
    pub replicas: Option<i32>,
    /// Configuration; a key without a value is left as it is on the topic.
    pub config: BTreeMap<String, Option<String>>,
    /// Other resources that name the same topic. They are younger, and are not applied.
    pub rivals: Vec<String>,
}

/// The resource of a topic that is being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingTopic {
    /// The name that clients use.
    pub name: String,
    /// The id of the topic that is to be deleted with it; none leaves the topic.
    pub delete: Option<String>,
}

impl DesiredTopic {
    /// How messages name it.
    pub fn subject(&self) -> Subject {
        Subject::Topic(self.resource.clone())
    }
}
