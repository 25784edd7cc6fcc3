//! Where a node keeps its data.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The space that a node asks for where `spec.kafka.storage.size` is not given.
pub const DEFAULT_SIZE: &str = "10Gi";

/// Where a node keeps its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.size) || (isQuantity(self.size) && quantity(self.size).isGreaterThan(quantity('0')))")
        .message("the size is not an amount of space: write for example 100Gi")
        .field_path(".size"),
    validation = Rule::new("self.type == 'persistent-claim' || !(has(self.class) || has(self.deleteClaim))")
        .message("ephemeral storage has no claim: take class and deleteClaim out, or set type to persistent-claim")
        .field_path(".type"),
)]
pub struct Storage {
    /// Whether data outlives the node: `persistent-claim` keeps it until it is deleted on purpose, `ephemeral`
    /// loses it with the node and is good for tests only. It cannot be changed.
    #[serde(rename = "type")]
    pub type_: StorageType,
    /// How much space a node asks for, as a Kubernetes quantity such as `100Gi`. It may grow, if the storage class
    /// allows it, and never shrink. Plain directories have no limit of their own and ignore it. Default: 10Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub size: Option<String>,
    /// The storage class of the claims. Default: the default class of the Kubernetes cluster. It cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class: Option<String>,
    /// Whether the claims, and with them all data, are deleted together with the KafkaCluster. Default: false, and
    /// creating a KafkaCluster of the same name again finds the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_claim: Option<bool>,
}

/// Whether data outlives the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StorageType {
    /// Data is kept until it is deleted on purpose.
    #[default]
    PersistentClaim,
    /// Data is lost with the node.
    Ephemeral,
}
