//! What is known of a cluster.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conditions::Condition;

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
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_string()]))]
    pub listeners: Vec<ListenerStatus>,
    /// How many nodes exist.
    #[serde(default)]
    pub replicas: i32,
    /// How many nodes are ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// The labels of the pods of the cluster, as a selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<String>,
    /// Every node that exists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".to_string()]))]
    pub nodes: Vec<NodeStatus>,
    /// The nodes by the pool that they belong to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_string()]))]
    pub node_pools: Vec<NodePoolStatus>,
    /// The controller quorum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<QuorumStatus>,
    /// What is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Operations>,
}

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// The name of the listener in the specification.
    pub name: String,
    /// What clients put into `bootstrap.servers`.
    pub bootstrap_servers: String,
    /// The addresses in `bootstrapServers`, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<ListenerAddress>,
}

/// An address that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerAddress {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: i32,
}

/// One node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The node id.
    pub id: i32,
    /// `broker`, `controller` or both.
    pub roles: Vec<String>,
    /// Stopped, BackingOff, Starting, Ready, Unready or Stopping.
    pub state: String,
    /// The rack that the node stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
}

/// Nodes of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePoolStatus {
    /// The name of the pool.
    pub name: String,
    /// How many nodes it has.
    pub replicas: i32,
    /// How many of them are ready.
    pub ready: i32,
    /// Their ids.
    pub node_ids: Vec<i32>,
}

/// The controller quorum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuorumStatus {
    /// The ids of the controllers that it was founded with.
    pub voters: Vec<i32>,
}

/// What is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operations {
    /// Brokers are restarted one after another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roll: Option<Roll>,
}

/// Brokers are restarted one after another, each only while the controller grants it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Roll {
    /// Every broker that is due or in work.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".to_string()]))]
    pub brokers: Vec<RollBroker>,
}

/// A broker that is due for a restart, or in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollBroker {
    /// The node id.
    pub id: i32,
    /// What it does not run with yet: names of properties, `image`, `resources` and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// How far it is.
    pub state: RollState,
    /// What stands in the way, as the controller or the operator says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<String>,
}

/// How far the restart of a broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RollState {
    /// Its turn has not come.
    Waiting,
    /// Taking it down now would hurt; `blockers` says whom.
    Blocked,
    /// The controller has granted it, or it serves nobody anyway.
    Restarting,
    /// It has been restarted, and is not back in every ISR yet.
    CatchingUp,
}
