//! Whether a live object still is what was rendered, so that an operator with nothing to do writes nothing.
//!
//! A rendered object is sealed with the hash of itself. A live object is current if it has the same seal, which tells
//! that nothing was taken out since, and holds everything that was rendered, which tells that nobody changed it. What
//! the server added, such as defaults, does not matter.

use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use klamm_operator_plan::quantity;
use serde::Serialize;
use serde_json::Value;

use crate::hash;

/// The annotation that holds the hash of what was rendered.
pub const SEAL: &str = "klamm.dev/rendered";

/// Puts the seal on an object.
pub fn seal<T: Serialize + Metadata<Ty = ObjectMeta>>(mut object: T) -> T {
    let hash = hash::of(&object);
    object.metadata_mut().annotations.get_or_insert_default().insert(SEAL.into(), hash);
    object
}

/// Whether a live object is what was rendered.
pub fn is_current<T: Serialize + Metadata<Ty = ObjectMeta>>(wanted: &T, live: &T) -> bool {
    let (Ok(wanted), Ok(live)) = (serde_json::to_value(wanted), serde_json::to_value(live)) else {
        return false;
    };
    holds(&live, &wanted, false)
}

/// Whether `live` holds everything that `wanted` does. Within `amounts` texts are quantities, which the server may
/// write in another way.
fn holds(live: &Value, wanted: &Value, amounts: bool) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            let amounts = amounts || matches!(key.as_str(), "requests" | "limits" | "sizeLimit");
            live.get(key).map_or_else(|| is_empty(wanted), |live| holds(live, wanted, amounts))
        }),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(l, w)| holds(l, w, amounts))
        }
        (Value::String(live), Value::String(wanted)) if amounts => {
            live == wanted
                || quantity::thousandths(live).is_some_and(|is| Some(is) == quantity::thousandths(wanted))
        }
        _ => live == wanted,
    }
}

/// Servers leave out what is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}
