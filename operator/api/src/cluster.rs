//! `KafkaCluster`: a cluster of brokers and controllers.

// Each printer column has a `type_` of its own; the lint takes them for one attribute given twice.
#![allow(clippy::duplicated_attributes)]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::config::ConfigValue;
use crate::listener::Listener;
use crate::quantity::ResourceRequirements;
pub use crate::status::KafkaClusterStatus;
use crate::storage::Storage;
use crate::template::{Rack, Template};

/// The longest name of a cluster: `<cluster>-kafka-<listener of 11>-bootstrap` has to fit into the 63 letters of a label.
pub const MAX_NAME: usize = 35;
/// What the API server judges the name by; [`name_problem`] is the same in other words.
const NAME_RULE: &str = "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,33}[a-z0-9])?$')";
/// Why not, and the way out.
const NAME_MESSAGE: &str = "the Services of a cluster are named after it: choose a metadata.name of up to 35 lower-case letters, digits \
    and '-', of which the first is a letter and the last is no '-'";

/// Why a cluster cannot have this name, with the way out.
pub fn name_problem(name: &str) -> Option<String> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(legal)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-');
    (!fits).then(|| format!("{name:?} cannot be: {NAME_MESSAGE}"))
}

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
    scale(
        spec_replicas_path = ".spec.kafka.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.labelSelector"
    ),
    derive = "PartialEq",
    validation = Rule::new(NAME_RULE).message(NAME_MESSAGE),
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
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        description = "What is missing",
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
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
    validation = Rule::new("!has(self.listeners) || self.listeners.all(l, self.listeners.exists_one(o, o.port == l.port))")
        .message("two listeners cannot share a port: give each a port of its own")
        .field_path(".listeners"),
    validation = Rule::new("!has(self.listeners) || self.listeners[0].type == 'internal'")
        .message("brokers speak to each other on the first listener: put one of type internal first")
        .field_path(".listeners"),
    validation = Rule::new("(has(self.storage) ? self.storage.type : 'persistent-claim') == (has(oldSelf.storage) ? oldSelf.storage.type : 'persistent-claim')")
        .message("the type of storage cannot be changed, as the data would be left behind: set spec.kafka.storage.type back")
        .field_path(".storage"),
    validation = Rule::new("(has(self.storage) && has(self.storage.class) ? self.storage.class : '') == (has(oldSelf.storage) && has(oldSelf.storage.class) ? oldSelf.storage.class : '')")
        .message("the storage class cannot be changed, as claims keep theirs: set spec.kafka.storage.class back")
        .field_path(".storage"),
    validation = Rule::new("!isQuantity(has(self.storage) && has(self.storage.size) ? self.storage.size : '10Gi') || !isQuantity(has(oldSelf.storage) && has(oldSelf.storage.size) ? oldSelf.storage.size : '10Gi') || !quantity(has(self.storage) && has(self.storage.size) ? self.storage.size : '10Gi').isLessThan(quantity(has(oldSelf.storage) && has(oldSelf.storage.size) ? oldSelf.storage.size : '10Gi'))")
        .message("volumes grow and never shrink: set spec.kafka.storage.size back, or to more")
        .field_path(".storage"),
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
    /// The image of the brokers, where it is not the one that came with the operator. A change restarts the brokers
    /// one at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("!self.contains(' ')")
        .message("the name of an image has no spaces: write for example registry.example.com/klamm/broker:1.0"))]
    pub image: Option<String>,
    /// How much CPU and memory a node is given. A change restarts the brokers one at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
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
    #[schemars(extend("maxProperties" = 500))]
    pub config: BTreeMap<String, ConfigValue>,
    /// Which racks there are, so that the copies of a partition are spread over them. Default: the zones of the
    /// Kubernetes nodes (`topology.kubernetes.io/zone`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<Rack>,
    /// What is added to the objects that Kubernetes runs nodes with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
}
