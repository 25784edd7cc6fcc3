//! Typed access to raw properties.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use super::ConfigError;

/// Properties as given; an empty value counts as absent.
pub(super) struct Properties<'a>(pub(super) &'a BTreeMap<String, String>);

impl<'a> Properties<'a> {
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(|v| v.trim()).filter(|v| !v.is_empty())
    }

    pub(super) fn parsed<T: FromStr>(&self, key: &str, default: T) -> Result<T, ConfigError> {
        self.text(key).map_or(Ok(default), |v| {
            v.parse().map_err(|_| ConfigError::invalid(key, v, format!("not a valid {}", type_name::<T>())))
        })
    }

    /// A size of a socket's buffer; -1 leaves it to the system, which is `None`.
    pub(super) fn buffer(&self, key: &str, default: Option<usize>) -> Result<Option<usize>, ConfigError> {
        match self.text(key) {
            None => Ok(default),
            Some("-1") => Ok(None),
            Some(_) => self.parsed(key, 0).map(Some),
        }
    }

    pub(super) fn millis(&self, key: &str, default: u64) -> Result<Duration, ConfigError> {
        self.parsed(key, default).map(Duration::from_millis)
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.text(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Values of known properties are of the type and within the bounds that Kafka knows.
    pub(super) fn check_known(&self) -> Result<(), ConfigError> {
        for (key, value) in self.0.iter().filter(|(_, value)| !value.trim().is_empty()) {
            if let Some(spec) = klamm_metadata::config::broker_config(key) {
                spec.validate(value).map_err(ConfigError::Value)?;
            }
        }
        Ok(())
    }
}

fn type_name<T>() -> &'static str {
    match std::any::type_name::<T>() {
        "bool" => "boolean (true or false)",
        _ => "number",
    }
}
