//! Amounts of CPU, memory and space as Kubernetes writes them, and how much of what a node may use.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An amount such as `500m`, `2` or `4Gi`, as text or as a whole number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Quantity {
    /// A whole number, such as `2` of `cpu: 2`.
    Int(i64),
    /// Text.
    Text(String),
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(v) => v.fmt(f),
            Self::Text(v) => f.write_str(v),
        }
    }
}

impl From<&str> for Quantity {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-int-or-string": true, "maxLength": 32 })
    }
}

/// How much CPU and memory a node is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.requests) || self.requests.all(k, isQuantity(string(self.requests[k])))")
        .message("this is no amount: write for example cpu: 500m and memory: 1Gi")
        .field_path(".requests"),
    validation = Rule::new("!has(self.limits) || self.limits.all(k, isQuantity(string(self.limits[k])))")
        .message("this is no amount: write for example cpu: 2 and memory: 2Gi")
        .field_path(".limits"),
)]
pub struct ResourceRequirements {
    /// What a node is sure to get, for example `cpu: 500m` and `memory: 1Gi`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, Quantity>,
    /// What a node gets at most. A node that uses more memory is killed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, Quantity>,
}
