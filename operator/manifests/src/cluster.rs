//! A cluster whose objects are rendered, with every default resolved.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, LocalObjectReference, ResourceRequirements, Toleration, TopologySpreadConstraint,
};
use k8s_openapi::api::networking::v1::NetworkPolicyPeer;

/// The label of a pod that says the zone of its node; the API server copies it there.
pub const DEFAULT_RACK_LABEL: &str = "topology.kubernetes.io/zone";
/// How long a node may take to hand over and stop, if the resource does not say.
pub const DEFAULT_GRACE_SECONDS: i64 = 60;

/// A cluster whose objects are rendered.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// The name of the resource.
    pub name: String,
    /// The namespace of the resource and of everything that is rendered.
    pub namespace: String,
    /// The UID of the resource, which owns everything that is rendered.
    pub uid: String,
    /// The image that nodes run.
    pub image: String,
    /// Requests and limits of a node.
    pub resources: ResourceRequirements,
    /// Where clients connect; brokers speak to each other on the first, which is internal.
    pub listeners: Vec<Listener>,
    /// Where a node keeps its data.
    pub storage: Storage,
    /// The label of a pod whose value is the rack of its broker.
    pub rack_label: String,
    /// What is added to pods.
    pub template: PodTemplate,
    /// Who must always be let in; none if the operator runs outside of Kubernetes.
    pub operator: Option<Operator>,
}

/// A place where clients connect.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// The name in the resource.
    pub name: String,
    /// The port that brokers listen on.
    pub port: u16,
    /// From where it can be reached.
    pub exposure: Exposure,
    /// Who may connect; none is everybody.
    pub peers: Option<Vec<NetworkPolicyPeer>>,
}

/// From where a listener can be reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Exposure {
    /// From within Kubernetes.
    Internal,
    /// On a port of every node of Kubernetes.
    NodePort(External),
    /// Through a load balancer for each broker and one for all.
    LoadBalancer(External),
}

impl Exposure {
    /// How it is exposed to the outside, if it is.
    pub fn external(&self) -> Option<&External> {
        match self {
            Self::Internal => None,
            Self::NodePort(external) | Self::LoadBalancer(external) => Some(external),
        }
    }
}

/// How a listener is exposed to the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct External {
    /// Connections arrive only at the node that the pod runs on, and with the client's own address.
    pub only_local: bool,
    /// Which of a node's addresses is advertised, if it has it.
    pub preferred_address: Option<String>,
    /// The Service in front of all brokers.
    pub bootstrap: Entry,
    /// The Services of single brokers, where they differ from the default.
    pub brokers: BTreeMap<i32, Entry>,
}

/// A Service to the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The port on every node; none lets Kubernetes choose.
    pub node_port: Option<i32>,
    /// What is annotated.
    pub annotations: BTreeMap<String, String>,
    /// What clients are told instead of the discovered host.
    pub advertised_host: Option<String>,
    /// What clients are told instead of the discovered port.
    pub advertised_port: Option<u16>,
}

/// Where a node keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A claim that outlives the node.
    Claim {
        /// How much space, as a quantity.
        size: String,
        /// The storage class; none is the default one.
        class: Option<String>,
    },
    /// Space that goes with the pod.
    Ephemeral {
        /// The most that may be used, as a quantity.
        size: Option<String>,
    },
}

/// What is added to pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodTemplate {
    /// Labels beside those of Klamm.
    pub labels: BTreeMap<String, String>,
    /// Annotations beside those of Klamm.
    pub annotations: BTreeMap<String, String>,
    /// Replaces the soft anti-affinity between nodes of a cluster.
    pub affinity: Option<Affinity>,
    /// Taints that are tolerated.
    pub tolerations: Vec<Toleration>,
    /// Labels that a node of Kubernetes must have.
    pub node_selector: BTreeMap<String, String>,
    /// Replaces the soft spread over zones.
    pub topology_spread: Option<Vec<TopologySpreadConstraint>>,
    /// The priority class.
    pub priority_class: Option<String>,
    /// Secrets for the registry of the image.
    pub pull_secrets: Vec<LocalObjectReference>,
    /// How long a node may take to hand over and stop.
    pub grace_seconds: Option<i64>,
}

/// The pods of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Their namespace.
    pub namespace: String,
    /// Labels that they have.
    pub labels: BTreeMap<String, String>,
}
