//! `KafkaCluster`: a cluster of brokers and controllers.

// Each printer column has a `type_` of its own; the lint takes them for one attribute given twice.
#![allow(clippy::duplicated_attributes)]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conditions::Condition;
use crate::config::ConfigValue;

/// What is wanted of a cluster.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "klamm.dev",
    version = "v1alpha1",
    kind = "KafkaCluster",
    plural = "kafkaclusters",
    shortname = "kcluster",
    category = "klamm",
    namespaced,
    status = "KafkaClusterStatus",
    derive = "PartialEq",
    doc = "A Kafka cluster: brokers, the controller quorum that governs them, and the listeners that clients connect to.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether every node serves and every topic is applied"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why it is, or is not, ready"
    ),
    printcolumn(
        name = "Nodes",
        type_ = "integer",
        json_path = ".status.readyReplicas",
        description = "Nodes that are ready"
    ),
    printcolumn(
        name = "Desired",
        type_ = "integer",
        json_path = ".spec.kafka.replicas",
        description = "Nodes that are asked for"
    ),
    printcolumn(
        name = "Bootstrap",
        type_ = "string",
        json_path = ".status.listeners[0].bootstrapServers",
        description = "What clients put into bootstrap.servers",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct KafkaClusterSpec {
    /// The nodes of the cluster and how they are configured.
    pub kafka: KafkaSpec,
}

/// The nodes of a cluster and how they are configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.controllers) || self.controllers % 2 == 1")
        .message("an even number of controllers survives no more failures than one controller fewer: set spec.kafka.controllers to 1, 3 or 5")
        .field_path(".controllers"),
    validation = Rule::new("!has(self.controllers) || self.controllers <= self.replicas")
        .message("controllers run on nodes: raise spec.kafka.replicas, or lower spec.kafka.controllers to an odd number that is not above it")
        .field_path(".controllers"),
    validation = Rule::new("has(self.controllers) || self.replicas != 2")
        .message("2 nodes would make 2 controllers, and neither may fail: set spec.kafka.replicas to 3, or spec.kafka.controllers to 1")
        .field_path(".replicas"),
    validation = Rule::new("self.replicas >= oldSelf.replicas")
        .message("fewer nodes are refused, as nodes that hold data cannot be drained yet: set spec.kafka.replicas back")
        .field_path(".replicas"),
    validation = Rule::new("(has(self.controllers) ? self.controllers : (self.replicas < 3 ? self.replicas : 3)) == (has(oldSelf.controllers) ? oldSelf.controllers : (oldSelf.replicas < 3 ? oldSelf.replicas : 3))")
        .message("the controller quorum keeps the size that it was founded with: set spec.kafka.controllers to the number of controllers that the cluster has")
        .field_path(".controllers"),
)]
pub struct KafkaSpec {
    /// How many nodes the cluster has. Node ids count from 0. Raising it adds brokers, which take part in topics
    /// that are created or grown from then on. Lowering it is refused, as nodes cannot be drained yet.
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: i32,
    /// How many of the nodes, counted from id 0, are controllers as well as brokers. It must be odd; a quorum of
    /// 3 survives the loss of one, of 5 the loss of two. Default: every node, up to 3. It cannot be changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9))]
    pub controllers: Option<i32>,
    /// Where clients connect. Brokers speak to each other on the first one. Default: one internal listener
    /// named `plaintext` on port 9092.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_string()]))]
    pub listeners: Option<Vec<Listener>>,
    /// Where a node keeps its data. Default: a persistent claim of 10Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Broker configuration under Kafka's own names, for example `min.insync.replicas: 2` or
    /// `auto.create.topics.enable: false`. A change restarts the brokers one at a time. Names that follow from this
    /// resource, such as `node.id`, `listeners` and `log.dirs`, are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, ConfigValue>,
}

/// A place where clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.name != 'controller'")
        .message("the listener name controller is taken by the controller quorum: choose another name")
        .field_path(".name"),
    validation = Rule::new("!has(self.tls) || !self.tls")
        .message("listeners with TLS are not served yet: set tls to false")
        .field_path(".tls"),
)]
pub struct Listener {
    /// The name of the listener: up to 11 lower-case letters and digits. Brokers know it in upper case.
    #[schemars(regex(pattern = r"^[a-z0-9]{1,11}$"))]
    pub name: String,
    /// The port that clients connect to, 9092 or above. Where every node has the same address, as on one
    /// computer, nodes get ports of their own instead, and `status.listeners` names them.
    #[schemars(range(min = 9092, max = 65535))]
    pub port: i32,
    /// From where the listener can be reached.
    #[serde(rename = "type")]
    pub type_: ListenerType,
    /// Whether connections are encrypted. Only `false` is served yet. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
}

/// From where a listener can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ListenerType {
    /// From within the network that the brokers run in.
    Internal,
}

/// Where a node keeps its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == oldSelf.type")
        .message("the type of storage cannot be changed, as the data would be left behind: set spec.kafka.storage.type back")
        .field_path(".type"),
)]
pub struct Storage {
    /// Whether data outlives the node's process.
    #[serde(rename = "type")]
    pub type_: StorageType,
    /// How much space a node asks for, as a Kubernetes quantity such as `100Gi`. Plain directories have no limit
    /// of their own and ignore it. Default: 10Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub size: Option<String>,
}

/// Whether data outlives the node's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StorageType {
    /// Data is kept until it is deleted on purpose.
    PersistentClaim,
}

/// What is known of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaClusterStatus {
    /// The `metadata.generation` that this status was judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The id that the cluster gave itself, as `kafka-cluster cluster-id` prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Ready, Reconciling and Stalled.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
    /// Where clients connect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerStatus>,
    /// How many nodes exist.
    #[serde(default)]
    pub replicas: i32,
    /// How many nodes are ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Every node that exists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeStatus>,
}

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// The name of the listener in the specification.
    pub name: String,
    /// What clients put into `bootstrap.servers`.
    pub bootstrap_servers: String,
}

/// One node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The node id.
    pub id: i32,
    /// `broker`, `controller` or both.
    pub roles: Vec<String>,
    /// Stopped, Starting, Ready or Unready.
    pub state: String,
}
