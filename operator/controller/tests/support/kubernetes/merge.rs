//! How a patch changes an object: merge patches, and server-side apply as far as the operator relies on it.

use serde_json::{Map, Value};

/// RFC 7386.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let target = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Applies `wanted`: what the manager had applied before and does not want any more goes, what it wants is set. Lists are
/// of one owner, except those that are known to be shared.
pub fn apply(live: &mut Value, before: &Value, wanted: &Value) {
    let (Value::Object(wanted_fields), true) = (wanted, live.is_object()) else {
        *live = wanted.clone();
        return;
    };
    let fields = live.as_object_mut().unwrap();
    if let Value::Object(before) = before {
        for key in before.keys().filter(|key| !wanted_fields.contains_key(*key)) {
            fields.remove(key);
        }
    }
    for (key, wanted) in wanted_fields {
        let before = before.get(key).unwrap_or(&Value::Null);
        if key == "ownerReferences" {
            shared(fields.entry(key.clone()).or_insert(Value::Array(Vec::new())), wanted, "uid");
        } else {
            match fields.get_mut(key) {
                Some(live) => apply(live, before, wanted),
                None => drop(fields.insert(key.clone(), wanted.clone())),
            }
        }
    }
}

fn shared(live: &mut Value, wanted: &Value, by: &str) {
    let live = live.as_array_mut().unwrap();
    for item in wanted.as_array().unwrap() {
        live.retain(|other| other[by] != item[by]);
        live.push(item.clone());
    }
}

/// Whether an object carries every label of an equality selector.
pub fn selected(object: &Value, selector: Option<&str>) -> bool {
    let terms = selector.unwrap_or_default().split(',').filter(|term| !term.is_empty());
    terms.into_iter().all(|term| {
        let (key, value) = term.split_once('=').unwrap();
        object["metadata"]["labels"][key] == value.trim_start_matches('=')
    })
}
