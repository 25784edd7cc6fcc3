//! All keys of a topic or a broker with what DescribeConfigs says about them.

use std::collections::BTreeMap;

use super::effective::{
    BrokerProperties, ConfigSource, Effective, Synonym, effective_broker, effective_topic,
};
use super::spec::{ConfigKind, ConfigSpec, Update};
use super::{broker_configs, topic_configs};

/// One key as DescribeConfigs (32) and CreateTopics (19) show it. Sensitive values are absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key.
    pub name: &'static str,
    /// The value in effect.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed at run time.
    pub read_only: bool,
    /// Whether the value is hidden.
    pub sensitive: bool,
    /// The value's type.
    pub kind: ConfigKind,
    /// What the key does.
    pub documentation: &'static str,
    /// All places that give a value, the strongest first.
    pub synonyms: Vec<Synonym>,
}

/// All keys of a topic, by name.
pub fn describe_topic(
    overrides: &BTreeMap<String, String>,
    broker: &BrokerProperties<'_>,
) -> Vec<ConfigEntry> {
    topic_configs().iter().map(|row| entry(&row.spec, effective_topic(row, overrides, broker))).collect()
}

/// All keys of a broker, by name.
pub fn describe_broker(broker: &BrokerProperties<'_>) -> Vec<ConfigEntry> {
    let mut entries: Vec<_> =
        broker_configs().map(|spec| entry(spec, effective_broker(spec, broker))).collect();
    entries.sort_by_key(|entry| entry.name);
    entries
}

fn entry(spec: &ConfigSpec, effective: Effective) -> ConfigEntry {
    let sensitive = spec.is_sensitive();
    let shown = |value: Option<String>| value.filter(|_| !sensitive);
    let hide = |synonym: Synonym| Synonym { value: shown(synonym.value), ..synonym };
    ConfigEntry {
        name: spec.name,
        value: shown(effective.value),
        source: effective.source,
        read_only: spec.update == Update::ReadOnly,
        sensitive,
        kind: spec.kind,
        documentation: spec.documentation,
        synonyms: effective.synonyms.into_iter().map(hide).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown_not_even_as_a_synonym() {
        let fixed = [("ssl.keystore.password".to_owned(), "hunter2".to_owned())].into();
        let none = BTreeMap::new();
        let broker = BrokerProperties { fixed: &fixed, dynamic: &none, dynamic_default: &none };
        let entries = describe_broker(&broker);
        let entry = entries.iter().find(|entry| entry.name == "ssl.keystore.password").unwrap();
        assert_eq!((entry.source, &entry.value), (ConfigSource::StaticBroker, &None));
        assert!(!format!("{entries:?}").contains("hunter2"));
    }
}
