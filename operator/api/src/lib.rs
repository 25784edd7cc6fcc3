//! The custom resources of Klamm: types, schemas, CEL rules, conditions, and the strict reading of manifests.
//!
//! - [`cluster`]: `KafkaCluster`, a cluster of brokers and controllers; its parts are [`listener`]s (with the [`peer`]s
//!   that may connect), [`storage`], amounts ([`quantity`]), the [`template`] of what runs it, and [`status`].
//! - [`topic`]: `KafkaTopic`, one topic of a cluster.
//! - [`config`]: configuration values as people write them in YAML.
//! - [`conditions`]: standard conditions with a closed list of types and reasons.
//! - [`crds`]: every CustomResourceDefinition, with the file it is kept in.
//! - [`strict`]: checks a document against the generated schema; a typo is named with its place and the nearest name.
//! - [`nearest`]: the nearest of some names to a misspelt one.
//!
//! There is no client here, and no reading of files.

pub mod cluster;
pub mod conditions;
pub mod config;
pub mod crds;
pub mod listener;
pub mod nearest;
pub mod peer;
pub mod quantity;
pub mod status;
pub mod storage;
pub mod strict;
pub mod template;
pub mod topic;

pub use cluster::{KafkaCluster, KafkaClusterSpec, KafkaClusterStatus};
pub use topic::{KafkaTopic, KafkaTopicSpec, KafkaTopicStatus};

/// The API group of every resource.
pub const GROUP: &str = "klamm.dev";
/// The served version.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` as it stands in a manifest.
pub const API_VERSION: &str = "klamm.dev/v1alpha1";
/// The label that names the cluster of a resource; `spec.clusterRef` takes precedence over it.
pub const CLUSTER_LABEL: &str = "klamm.dev/cluster";
