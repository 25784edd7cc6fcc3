//! Every CustomResourceDefinition of Klamm, with the file that it is kept in.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::json;

use crate::conditions::{ConditionStatus, ConditionType, Reason};
use crate::{KafkaCluster, KafkaTopic};

/// When nothing has happened yet.
const NEVER: &str = "1970-01-01T00:00:00Z";

/// A definition and the name of its file under `crds/`.
pub struct Crd {
    /// For example `klamm.dev_kafkaclusters.yaml`.
    pub file: String,
    /// The definition.
    pub definition: CustomResourceDefinition,
}

/// Every definition, in the order in which they are printed.
pub fn all() -> Vec<Crd> {
    [KafkaCluster::crd(), KafkaTopic::crd()]
        .into_iter()
        .map(finish)
        .map(|definition| Crd {
            file: format!("{}_{}.yaml", definition.spec.group, definition.spec.names.plural),
            definition,
        })
        .collect()
}

/// The definition of a kind.
pub fn of(kind: &str) -> Option<CustomResourceDefinition> {
    all().into_iter().map(|crd| crd.definition).find(|definition| definition.spec.names.kind == kind)
}

/// Brings into a definition what the types cannot say: an object that nobody has looked at yet is Unknown, and a field
/// that is set to null counts as left out.
fn finish(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        without_null(schema);
        if let Some(status) = schema.properties.as_mut().and_then(|fields| fields.get_mut("status")) {
            status.default = Some(JSON(unknown()));
        }
    }
    definition
}

/// The status of an object that nobody has looked at yet.
fn unknown() -> serde_json::Value {
    json!({ "conditions": [{
        "type": ConditionType::Ready,
        "status": ConditionStatus::Unknown,
        "reason": Reason::Pending,
        "message": "the operator has not looked at it yet",
        "lastTransitionTime": NEVER,
    }] })
}

/// Null is kept only where the schema allows it, and then rules see it; elsewhere the API server takes it out.
fn without_null(schema: &mut JSONSchemaProps) {
    if schema.type_.is_some() {
        schema.nullable = None;
    }
    schema.properties.iter_mut().flatten().for_each(|(_, field)| without_null(field));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        without_null(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        without_null(values);
    }
}
