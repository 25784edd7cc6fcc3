//! Checks a document against the generated schema, so that a file read without an API server is read as strictly
//! as one would: a field that does not exist, a missing one and a wrong type are named with their place.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrBool,
};
use serde_json::Value;

use crate::nearest::nearest;

/// The fields of `metadata` that a manifest may hold (Kubernetes' ObjectMeta).
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// One thing that the schema does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", path.join("."))]
pub struct Violation {
    /// The place, as field names and list positions from the root, for example `["spec", "kafka", "replicas"]`.
    pub path: Vec<String>,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Everything in `document` that the schema of its kind does not allow; empty if it conforms.
pub fn check(document: &Value, definition: &CustomResourceDefinition) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut path = Vec::new();
    for version in &definition.spec.versions {
        if let Some(schema) = version.schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref()) {
            Walk { path: &mut path, found: &mut found }.root(document, schema);
        }
    }
    found
}

/// A place in the document, and what was found so far.
struct Walk<'a> {
    path: &'a mut Vec<String>,
    found: &'a mut Vec<Violation>,
}

impl Walk<'_> {
    fn root(&mut self, document: &Value, schema: &JSONSchemaProps) {
        let Some(fields) = document.as_object() else {
            return self.report(format!("{} where a resource is expected", kind_of(document)));
        };
        let properties = schema.properties.iter().flatten().map(|(name, _)| name.as_str());
        let known: Vec<&str> = properties.chain(["apiVersion", "kind", "metadata"]).collect();
        for (name, value) in fields {
            match schema.properties.as_ref().and_then(|p| p.get(name)) {
                _ if !known.contains(&name.as_str()) => self.unknown(name, &known),
                _ if name == "metadata" => self.within(name, |walk| walk.metadata(value)),
                Some(field) if name != "status" => self.within(name, |walk| walk.value(value, field)),
                _ => {}
            }
        }
        self.required(document, schema);
    }

    fn metadata(&mut self, value: &Value) {
        let Some(fields) = value.as_object() else {
            return self.report(format!("{} where a map is expected", kind_of(value)));
        };
        for name in fields.keys().filter(|name| !METADATA.contains(&name.as_str())) {
            self.unknown(name, &METADATA);
        }
        if fields.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
            self.within("name", |walk| walk.report("every resource needs a name".into()));
        }
        for map in ["labels", "annotations"] {
            for (key, value) in fields.get(map).and_then(Value::as_object).into_iter().flatten() {
                if !value.is_string() {
                    let message = format!("{} where text is expected: put it in quotes", kind_of(value));
                    self.within(map, |walk| walk.within(key, |walk| walk.report(message)));
                }
            }
        }
    }

    fn value(&mut self, value: &Value, schema: &JSONSchemaProps) {
        if schema.x_kubernetes_preserve_unknown_fields == Some(true) && schema.type_.is_none() {
            return self.scalar(value);
        }
        if schema.x_kubernetes_int_or_string == Some(true) {
            return self.int_or_text(value);
        }
        if value.is_null() {
            return match schema.nullable {
                Some(true) => {}
                _ => self.report("a value is missing: give one, or leave the field out".into()),
            };
        }
        match schema.type_.as_deref() {
            Some("object") => self.object(value, schema),
            Some("array") => self.array(value, schema),
            Some(expected) if !has_type(value, expected) => {
                self.report(format!("{} where {} is expected", kind_of(value), article(expected)));
            }
            _ => {
                self.enumeration(value, schema);
                self.range(value, schema);
            }
        }
    }

    /// A configuration value: anything that Kafka can take as text, or null.
    fn scalar(&mut self, value: &Value) {
        if value.is_object() || value.is_array() {
            self.report(format!("{} where text, a number or true/false is expected", kind_of(value)));
        }
    }

    /// An amount: text or a whole number.
    fn int_or_text(&mut self, value: &Value) {
        if !(value.is_string() || value.is_i64() || value.is_u64()) {
            self.report(format!("{} where text or a whole number is expected", kind_of(value)));
        }
    }

    fn object(&mut self, value: &Value, schema: &JSONSchemaProps) {
        let Some(fields) = value.as_object() else {
            return self.report(format!("{} where a map is expected", kind_of(value)));
        };
        if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
            return;
        }
        let known: Vec<&str> = schema.properties.iter().flatten().map(|(name, _)| name.as_str()).collect();
        for (name, value) in fields {
            match (schema.properties.as_ref().and_then(|p| p.get(name)), &schema.additional_properties) {
                (Some(field), _) => self.within(name, |walk| walk.value(value, field)),
                (None, Some(JSONSchemaPropsOrBool::Schema(any))) => {
                    self.within(name, |walk| walk.value(value, any));
                }
                (None, _) => self.unknown(name, &known),
            }
        }
        self.required(value, schema);
    }

    fn array(&mut self, value: &Value, schema: &JSONSchemaProps) {
        let Some(items) = value.as_array() else {
            return self.report(format!("{} where a list is expected", kind_of(value)));
        };
        if schema.min_items.is_some_and(|min| (items.len() as i64) < min) {
            self.report("the list is empty: give an entry, or leave the field out".into());
        }
        if let Some(max) = schema.max_items.filter(|max| items.len() as i64 > *max) {
            self.report(format!("{} entries where {max} are allowed", items.len()));
        }
        if let Some(k8s_items) = &schema.items {
            for (index, item) in items.iter().enumerate() {
                self.within(&index.to_string(), |walk| walk.item(item, k8s_items));
            }
        }
    }

    fn item(
        &mut self,
        item: &Value,
        schema: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrArray,
    ) {
        use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrArray as Items;
        match schema {
            Items::Schema(schema) => self.value(item, schema),
            Items::Schemas(schemas) => schemas.iter().for_each(|schema| self.value(item, schema)),
        }
    }

    fn enumeration(&mut self, value: &Value, schema: &JSONSchemaProps) {
        let Some(allowed) = &schema.enum_ else { return };
        let allowed: Vec<&str> = allowed.iter().filter_map(|v| v.0.as_str()).collect();
        let Some(word) = value.as_str().filter(|word| !allowed.contains(word)) else { return };
        let meant = nearest(word, allowed.iter().copied());
        let hint =
            meant.map_or_else(|| format!("one of: {}", allowed.join(", ")), |w| format!("did you mean {w}?"));
        self.report(format!("{word:?} is not known here; {hint}"));
    }

    fn range(&mut self, value: &Value, schema: &JSONSchemaProps) {
        let Some(number) = value.as_f64() else { return };
        if let Some(min) = schema.minimum.filter(|min| number < *min) {
            self.report(format!("{value} is too small: the least is {min}"));
        }
        if let Some(max) = schema.maximum.filter(|max| number > *max) {
            self.report(format!("{value} is too large: the most is {max}"));
        }
    }

    fn required(&mut self, value: &Value, schema: &JSONSchemaProps) {
        for name in schema.required.iter().flatten().filter(|name| value.get(name.as_str()).is_none()) {
            self.within(name, |walk| walk.report("this field is required".into()));
        }
    }

    fn unknown(&mut self, name: &str, known: &[&str]) {
        let meant = nearest(name, known.iter().copied());
        let hint = meant.map_or_else(
            || format!("the fields here are: {}", known.join(", ")),
            |field| format!("did you mean {field}?"),
        );
        self.within(name, |walk| walk.report(format!("there is no such field; {hint}")));
    }

    fn within(&mut self, segment: &str, then: impl FnOnce(&mut Walk<'_>)) {
        self.path.push(segment.to_owned());
        then(&mut Walk { path: self.path, found: self.found });
        self.path.pop();
    }

    fn report(&mut self, message: String) {
        self.found.push(Violation { path: self.path.clone(), message });
    }
}

fn has_type(value: &Value, expected: &str) -> bool {
    match expected {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(v) => v.to_string(),
        Value::Number(v) => format!("the number {v}"),
        Value::String(v) => format!("the text {v:?}"),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
    }
}

fn article(expected: &str) -> &str {
    match expected {
        "string" => "text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crds;

    fn topic(spec: Value) -> Vec<String> {
        let document = json!({
            "apiVersion": crate::API_VERSION, "kind": "KafkaTopic", "metadata": {"name": "orders"}, "spec": spec,
        });
        check(&document, &crds::of("KafkaTopic").unwrap()).iter().map(ToString::to_string).collect()
    }

    fn cluster(kafka: Value) -> Vec<String> {
        let document = json!({
            "apiVersion": crate::API_VERSION, "kind": "KafkaCluster", "metadata": {"name": "c"},
            "spec": {"kafka": kafka},
        });
        check(&document, &crds::of("KafkaCluster").unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_conforming_topic_has_no_violation() {
        let spec =
            json!({"partitions": 3, "replicas": 3, "config": {"retention.ms": 1, "cleanup.policy": null}});
        assert_eq!(topic(spec), Vec::<String>::new());
    }

    #[test]
    fn a_typo_names_the_place_and_the_nearest_name() {
        assert_eq!(
            topic(json!({"partitons": 3})),
            ["spec.partitons: there is no such field; did you mean partitions?"]
        );
        assert_eq!(
            cluster(
                json!({"replicas": 3, "listeners": [{"name": "a", "prot": 9092, "port": 9092, "type": "internal"}]})
            ),
            ["spec.kafka.listeners.0.prot: there is no such field; did you mean port?"]
        );
    }

    #[test]
    fn a_typo_of_metadata_is_named_too() {
        let document =
            json!({"apiVersion": "x", "kind": "KafkaTopic", "metadata": {"nmae": "a"}, "spec": {}});
        let found = check(&document, &crds::of("KafkaTopic").unwrap());
        assert_eq!(found[0].to_string(), "metadata.nmae: there is no such field; did you mean name?");
        assert_eq!(found[1].path, ["metadata", "name"]);
    }

    #[test]
    fn a_foreign_field_lists_what_there_is() {
        let found = cluster(json!({"replicas": 3, "jvmOptions": {}}));
        assert!(found[0].starts_with("spec.kafka.jvmOptions: there is no such field; the fields here are: "));
        assert!(found[0].contains("replicas"));
    }

    #[test]
    fn wrong_types_and_ranges_are_named() {
        assert_eq!(
            topic(json!({"partitions": "three"})),
            ["spec.partitions: the text \"three\" where a whole number is expected"]
        );
        assert_eq!(topic(json!({"partitions": 0})), ["spec.partitions: 0 is too small: the least is 1"]);
        assert_eq!(
            topic(json!({"config": {"retention.ms": [1]}})),
            ["spec.config.retention.ms: a list where text, a number or true/false is expected"]
        );
    }

    #[test]
    fn a_missing_field_is_named() {
        assert_eq!(cluster(json!({})), ["spec.kafka.replicas: this field is required"]);
    }

    #[test]
    fn an_unknown_word_names_the_nearest() {
        let found =
            cluster(json!({"replicas": 1, "listeners": [{"name": "a", "port": 9092, "type": "internl"}]}));
        assert_eq!(
            found,
            ["spec.kafka.listeners.0.type: \"internl\" is not known here; did you mean internal?"]
        );
    }
}
