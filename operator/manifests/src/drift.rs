//! Whether a live object still is what was rendered, so that an operator with nothing to do writes nothing.
//!
//! A rendered object is sealed with the hash of itself. A live object is current if it has the same seal, which tells
//! that nothing was taken out since, and holds everything that was rendered, which tells that nobody changed it. What
//! the server added, such as defaults, does not matter.

use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
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
            live == wanted || amount(live).is_some_and(|live| Some(live) == amount(wanted))
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

/// A quantity in thousandths, the smallest that a server keeps.
fn amount(text: &str) -> Option<i128> {
    const UNITS: [(&str, i128); 14] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("Ei", 1 << 60),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000),
        ("m", 0),
        ("", 1),
    ];
    let (number, unit) = UNITS.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let thousandths = if unit == 0 { 1 } else { unit.checked_mul(1000)? };
    Some(digits.checked_mul(thousandths)? / scale)
}
