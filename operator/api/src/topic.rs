//! `KafkaTopic`: one topic of a cluster.

// Each printer column has a `type_` of its own; the lint takes them for one attribute given twice.
#![allow(clippy::duplicated_attributes)]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::CLUSTER_LABEL;
use crate::conditions::Condition;
use crate::config::{ConfigValue, nullable_values};

/// The longest topic name, in bytes.
pub const MAX_TOPIC_NAME: usize = 249;

/// What is wanted of a topic.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "klamm.dev",
    version = "v1alpha1",
    kind = "KafkaTopic",
    plural = "kafkatopics",
    shortname = "ktopic",
    category = "klamm",
    namespaced,
    status = "KafkaTopicStatus",
    derive = "PartialEq",
    doc = "A topic of a KafkaCluster. Deleting the resource leaves the topic and its data in place, unless spec.deletionPolicy is Delete.",
    printcolumn(
        name = "Topic",
        type_ = "string",
        json_path = ".status.topicName",
        description = "The name that clients use"
    ),
    printcolumn(
        name = "Partitions",
        type_ = "integer",
        json_path = ".status.partitions",
        description = "Partitions that the topic has"
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".status.replicas",
        description = "Copies of each partition"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the topic is as asked for"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why it is, or is not"
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
#[x_kube(
    validation = Rule::new("!has(self.partitions) || !has(oldSelf.partitions) || self.partitions >= oldSelf.partitions")
        .message("partitions of a topic cannot be taken away: set spec.partitions back, or make a new topic with fewer and copy the records")
        .field_path(".partitions"),
    validation = Rule::new("has(self.topicName) == has(oldSelf.topicName) && (!has(self.topicName) || self.topicName == oldSelf.topicName)")
        .message("a topic cannot be renamed: set spec.topicName back, or make another KafkaTopic")
        .field_path(".topicName"),
    validation = Rule::new("!has(self.clusterRef) || !has(oldSelf.clusterRef) || self.clusterRef.name == oldSelf.clusterRef.name")
        .message("a topic cannot move to another cluster: set spec.clusterRef.name back, or make another KafkaTopic")
        .field_path(".clusterRef"),
)]
pub struct KafkaTopicSpec {
    /// The cluster of the topic. It may be left out where the label `klamm.dev/cluster` names the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ref: Option<ClusterRef>,
    /// The name that clients use, where it cannot be a Kubernetes name: letters, digits, `.`, `_` and `-`, at most
    /// 249 of them. Default: the name of the resource. It cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-zA-Z0-9._-]{1,249}$"))]
    #[x_kube(validation = Rule::new("self != '.' && self != '..'")
        .message("a topic cannot be named . or ..: choose another name"))]
    pub topic_name: Option<String>,
    /// How many partitions the topic has. It may grow, never shrink. Growing changes which partition a key goes to.
    /// Default: `num.partitions` of the brokers when the topic is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub partitions: Option<i32>,
    /// How many copies of each partition are kept, on as many brokers. Default: `default.replication.factor` of the
    /// brokers when the topic is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32767))]
    pub replicas: Option<i32>,
    /// Topic configuration under Kafka's own names, for example `retention.ms: 604800000`. A name that is taken out
    /// goes back to its default; a name set to `null` is left as it is on the topic.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "nullable_values")]
    pub config: BTreeMap<String, Option<ConfigValue>>,
    /// What becomes of the topic and its records when the resource is deleted: `Retain` leaves them, `Delete` deletes
    /// them. Default: Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// What becomes of a topic and its records when its resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay.
    #[default]
    Retain,
    /// They are deleted.
    Delete,
}

/// The cluster of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRef {
    /// The name of a KafkaCluster in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What is known of a topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTopicStatus {
    /// The `metadata.generation` that this status was judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The name that clients use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<String>,
    /// The id that the cluster gave the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// Partitions that the topic has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// Copies of each partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Ready.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
}

impl KafkaTopic {
    /// The name that clients use: `spec.topicName`, else the resource's own name.
    pub fn topic_name(&self) -> &str {
        self.spec.topic_name.as_deref().or(self.metadata.name.as_deref()).unwrap_or_default()
    }

    /// What becomes of the topic when the resource is deleted.
    pub fn deletion_policy(&self) -> DeletionPolicy {
        self.spec.deletion_policy.unwrap_or_default()
    }

    /// The cluster that the topic belongs to, by reference or by label.
    pub fn cluster_name(&self) -> Option<&str> {
        let label = || self.metadata.labels.as_ref()?.get(CLUSTER_LABEL).map(String::as_str);
        self.spec.cluster_ref.as_ref().map(|r| r.name.as_str()).or_else(label)
    }
}
