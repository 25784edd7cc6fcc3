//! Listeners: where clients connect, from where they can be reached, and what is told to clients about it.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::peer::NetworkPolicyPeer;

/// A place where clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.name != 'controller'")
        .message("the listener name controller is taken by the controller quorum: choose another name")
        .field_path(".name"),
    validation = Rule::new("self.name != 'kafka' || self.type == 'internal'")
        .message("the Services of an external listener named kafka would have the names of those of another cluster: choose another name")
        .field_path(".name"),
    validation = Rule::new("!has(self.tls) || !self.tls")
        .message("listeners with TLS are not served yet: set tls to false")
        .field_path(".tls"),
    validation = Rule::new("!has(self.configuration) || self.type != 'internal'")
        .message("an internal listener needs no configuration: take it out, or set type to nodeport or loadbalancer")
        .field_path(".configuration"),
    validation = Rule::new("!has(self.configuration) || !has(self.configuration.preferredNodePortAddressType) || self.type == 'nodeport'")
        .message("only listeners of type nodeport advertise addresses of nodes: take preferredNodePortAddressType out, or set type to nodeport")
        .field_path(".configuration"),
)]
pub struct Listener {
    /// The name of the listener: up to 11 lower-case letters and digits. Brokers know it in upper case. `controller`
    /// is taken, and only an internal listener may be named `kafka`.
    #[schemars(regex(pattern = r"^[a-z0-9]{1,11}$"))]
    pub name: String,
    /// The port that clients connect to, 9092 or above. Where every node has the same address, as on one
    /// computer, nodes get ports of their own instead, and `status.listeners` names them.
    #[schemars(range(min = 9092, max = 65535))]
    pub port: i32,
    /// From where the listener can be reached: `internal` from within the network of the brokers, `nodeport` at a
    /// port of every Kubernetes node, `loadbalancer` at a load balancer for each broker and one for bootstrap. The
    /// first listener must be `internal`, as brokers speak to each other on it. On one computer all are the same.
    #[serde(rename = "type")]
    pub type_: ListenerType,
    /// Whether connections are encrypted. Only `false` is served yet. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// Who may connect. Default: everybody who can reach the listener. The brokers and the operator always may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub network_policy_peers: Option<Vec<NetworkPolicyPeer>>,
    /// How the listener is made reachable from outside, and what is told to clients about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<ListenerConfiguration>,
}

/// From where a listener can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ListenerType {
    /// From within the network that the brokers run in.
    #[default]
    Internal,
    /// At a port of every node of the Kubernetes cluster.
    Nodeport,
    /// At a load balancer for each broker, and one for bootstrap.
    Loadbalancer,
}

/// How a listener is made reachable from outside, and what is told to clients about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerConfiguration {
    /// Whether traffic may enter at any node (`Cluster`) or only at the node that the broker runs on (`Local`,
    /// which keeps the address of the client). Default: Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
    /// Which of the addresses of a Kubernetes node is told to clients of a `nodeport` listener. Default: the first
    /// that there is of ExternalDNS, ExternalIP, InternalDNS, InternalIP and Hostname.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_node_port_address_type: Option<NodeAddressType>,
    /// Where clients connect first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapConfiguration>,
    /// What is special about single brokers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["broker".to_string()]))]
    pub brokers: Option<Vec<BrokerConfiguration>>,
}

/// Where traffic from outside may enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExternalTrafficPolicy {
    /// At any node; the address of the client is lost.
    Cluster,
    /// Only at the node that the broker runs on.
    Local,
}

impl ExternalTrafficPolicy {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Local => "Local",
        }
    }
}

/// One of the addresses of a Kubernetes node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodeAddressType {
    /// The address outside of the cluster.
    #[serde(rename = "ExternalIP")]
    ExternalIp,
    /// The name outside of the cluster.
    #[serde(rename = "ExternalDNS")]
    ExternalDns,
    /// The address within the cluster.
    #[serde(rename = "InternalIP")]
    InternalIp,
    /// The name within the cluster.
    #[serde(rename = "InternalDNS")]
    InternalDns,
    /// The node's own name for itself.
    Hostname,
}

impl NodeAddressType {
    /// The word in the status of a Kubernetes node.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExternalIp => "ExternalIP",
            Self::ExternalDns => "ExternalDNS",
            Self::InternalIp => "InternalIP",
            Self::InternalDns => "InternalDNS",
            Self::Hostname => "Hostname",
        }
    }
}

/// Where clients connect first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootstrapConfiguration {
    /// The node port, 30000 to 32767. Default: one that is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 30000, max = 32767))]
    pub node_port: Option<i32>,
    /// Annotations of the Service, which load balancers are often configured with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What is special about one broker on a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokerConfiguration {
    /// The node id of the broker.
    #[schemars(range(min = 0, max = 999))]
    pub broker: i32,
    /// The host that clients are told instead of the one that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub advertised_host: Option<String>,
    /// The port that clients are told instead of the one that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub advertised_port: Option<i32>,
    /// The node port, 30000 to 32767. Default: one that is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 30000, max = 32767))]
    pub node_port: Option<i32>,
    /// Annotations of the Service, which load balancers are often configured with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}
