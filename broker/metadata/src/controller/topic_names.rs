//! Which topic names are allowed, and which collide in metric names.

use std::collections::BTreeMap;

use klamm_wire::ErrorCode;

use super::error::ApiError;
use crate::Image;

const MAX_LENGTH: usize = 249;
/// The metadata log lies beside the partitions' logs, in the directory that a topic of this name would get.
const METADATA_LOG: &str = "__cluster_metadata";

/// Why a topic name is not allowed, as a sentence that names it.
pub fn validate_topic_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        Err("A topic name must not be empty.".to_owned())
    } else if name == "." || name == ".." {
        Err(format!("A topic cannot be called '{name}'."))
    } else if name == METADATA_LOG {
        Err(format!("The name '{name}' is the metadata log's: choose another one."))
    } else if name.len() > MAX_LENGTH {
        let length = name.len();
        Err(format!("A topic name has at most {MAX_LENGTH} characters, '{}' has {length}.", shorten(name)))
    } else if !name.chars().all(allowed) {
        Err(format!(
            "Topic name '{name}' contains a character other than ASCII letters, digits, '.', '_' and '-'."
        ))
    } else {
        Ok(())
    }
}

fn shorten(name: &str) -> String {
    let mut short: String = name.chars().take(32).collect();
    short.push('…');
    short
}

/// Existing names by their form in metric names, where '.' and '_' are the same.
pub(super) struct Collisions {
    by_metric_name: BTreeMap<String, String>,
}

impl Collisions {
    pub(super) fn of(image: &Image) -> Collisions {
        let names = image.topic_names().filter(|name| name.contains(['.', '_']));
        Collisions { by_metric_name: names.map(|name| (metric_name(name), name.to_owned())).collect() }
    }

    /// Checks a new name and remembers it for the rest of the request.
    pub(super) fn admit(&mut self, name: &str) -> Result<(), ApiError> {
        if !name.contains(['.', '_']) {
            return Ok(());
        }
        match self.by_metric_name.get(&metric_name(name)) {
            Some(other) if other != name => Err(ApiError::new(
                ErrorCode::InvalidTopicException,
                format!(
                    "Topic '{name}' collides with topic '{other}': '.' and '_' are the same in metric names."
                ),
            )),
            _ => {
                self.by_metric_name.insert(metric_name(name), name.to_owned());
                Ok(())
            }
        }
    }
}

fn metric_name(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kafkas_topic_names_are_allowed() {
        for name in ["a", "A-b_c.9", "__consumer_offsets", "...", &"x".repeat(249)] {
            assert_eq!(validate_topic_name(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a b", "ü", "a\0", &"x".repeat(250)] {
            assert!(validate_topic_name(name).is_err(), "{name}");
        }
    }
}
