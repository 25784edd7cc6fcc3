//! Configuration values as people write them in YAML: text, numbers and booleans, all of which Kafka takes as text.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// One value of a `config` map. Kafka's configuration is text; YAML's `604800000` and `true` are taken as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ConfigValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction, such as `min.cleanable.dirty.ratio: 0.5`.
    Float(f64),
    /// Text.
    Text(String),
    /// Anything else. No schema keeps it out, so it is taken in and judged later, lest one bad object hide all others.
    Other(serde_json::Value),
}

impl ConfigValue {
    /// Whether it is something that Kafka can take.
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

impl fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(v) => v.fmt(f),
            Self::Int(v) => v.fmt(f),
            Self::Float(v) => v.fmt(f),
            Self::Text(v) => f.write_str(v),
            Self::Other(v) => v.fmt(f),
        }
    }
}

impl From<&str> for ConfigValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl JsonSchema for ConfigValue {
    fn schema_name() -> Cow<'static, str> {
        "ConfigValue".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }
}

/// The schema of a map of values where null says something.
pub(crate) fn nullable_values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": { "nullable": true, "x-kubernetes-preserve-unknown-fields": true },
        "maxProperties": 500,
    })
}
