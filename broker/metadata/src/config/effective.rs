//! Which value of a key is in effect, where it comes from, and what it hides.

use std::collections::BTreeMap;

use super::spec::{ConfigSpec, TopicConfigSpec};
use super::{broker_config, topic_config};

/// Where a value comes from; [`ConfigSource::code`] is `ConfigSource` of DescribeConfigs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// An override of the topic.
    DynamicTopic,
    /// Set at run time for this broker.
    DynamicBroker,
    /// Set at run time for all brokers.
    DynamicDefaultBroker,
    /// From the broker's properties file.
    StaticBroker,
    /// Nobody set it.
    Default,
}

impl ConfigSource {
    /// The number that DescribeConfigs and CreateTopics carry.
    pub fn code(self) -> i8 {
        match self {
            ConfigSource::DynamicTopic => 1,
            ConfigSource::DynamicBroker => 2,
            ConfigSource::DynamicDefaultBroker => 3,
            ConfigSource::StaticBroker => 4,
            ConfigSource::Default => 5,
        }
    }
}

/// The properties of one broker in their three layers.
#[derive(Clone, Copy, Debug)]
pub struct BrokerProperties<'a> {
    /// From its properties file.
    pub fixed: &'a BTreeMap<String, String>,
    /// Set at run time for this broker.
    pub dynamic: &'a BTreeMap<String, String>,
    /// Set at run time for all brokers.
    pub dynamic_default: &'a BTreeMap<String, String>,
}

impl<'a> BrokerProperties<'a> {
    /// The layers, the strongest first. A read-only key can only be in the properties file.
    fn layers(&self) -> [(ConfigSource, &'a BTreeMap<String, String>); 3] {
        [
            (ConfigSource::DynamicBroker, self.dynamic),
            (ConfigSource::DynamicDefaultBroker, self.dynamic_default),
            (ConfigSource::StaticBroker, self.fixed),
        ]
    }

    /// The value in effect for a broker key, its default included. `None` for no value or an unknown key.
    pub fn get(&self, name: &str) -> Option<String> {
        effective_broker_config(name, self).and_then(|effective| effective.value)
    }

    /// The value in effect, parsed. `None` when there is none, or it is not a `T`.
    pub fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.trim().parse().ok()
    }

    /// The value in effect of a boolean key.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
    }
}

/// One of the places that give a key a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The key there.
    pub name: String,
    /// The value there, in the unit that it has there.
    pub value: Option<String>,
    /// The place.
    pub source: ConfigSource,
}

/// The value in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The value; `None` only for broker keys without a default.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ConfigSource,
    /// All places that give a value, the strongest first.
    pub synonyms: Vec<Synonym>,
}

/// The value in effect for a topic key: override, then the broker's synonyms, then the default. Values that are not
/// valid are passed over, so that the result always is. `None` for an unknown key.
pub fn effective_topic_config(
    name: &str,
    overrides: &BTreeMap<String, String>,
    broker: &BrokerProperties<'_>,
) -> Option<Effective> {
    topic_config(name).map(|entry| effective_topic(entry, overrides, broker))
}

pub(super) fn effective_topic(
    entry: &TopicConfigSpec,
    overrides: &BTreeMap<String, String>,
    broker: &BrokerProperties<'_>,
) -> Effective {
    let spec = &entry.spec;
    let mut found = Found::default();
    if let Some(value) = overrides.get(spec.name) {
        found.add(spec, spec.name, value, Some(value.clone()), ConfigSource::DynamicTopic);
    }
    for (source, layer) in broker.layers() {
        for synonym in entry.synonyms {
            if let Some(value) = layer.get(synonym.name) {
                found.add(spec, synonym.name, value, synonym.unit.convert(value), source);
            }
        }
    }
    found.finish(entry.synonyms.first().map_or(spec.name, |synonym| synonym.name), spec.default)
}

/// The value in effect for a broker key. `None` for an unknown key.
pub fn effective_broker_config(name: &str, broker: &BrokerProperties<'_>) -> Option<Effective> {
    broker_config(name).map(|spec| effective_broker(spec, broker))
}

pub(super) fn effective_broker(spec: &ConfigSpec, broker: &BrokerProperties<'_>) -> Effective {
    let mut found = Found::default();
    for (source, layer) in broker.layers() {
        if let Some(value) = layer.get(spec.name) {
            found.add(spec, spec.name, value, Some(value.clone()), source);
        }
    }
    found.finish(spec.name, spec.default)
}

/// The valid values found so far, the strongest first.
#[derive(Default)]
struct Found {
    winner: Option<(String, ConfigSource)>,
    synonyms: Vec<Synonym>,
}

impl Found {
    /// `raw` is the value in its place, `value` the same in the unit of `spec`.
    fn add(&mut self, spec: &ConfigSpec, name: &str, raw: &str, value: Option<String>, source: ConfigSource) {
        let Some(value) = value.filter(|value| spec.validate(value).is_ok()) else { return };
        self.winner.get_or_insert((value, source));
        self.synonyms.push(Synonym { name: name.to_owned(), value: Some(raw.to_owned()), source });
    }

    fn finish(mut self, default_name: &str, default: Option<&str>) -> Effective {
        let default = default.map(str::to_owned);
        if default.is_some() {
            let (name, value) = (default_name.to_owned(), default.clone());
            self.synonyms.push(Synonym { name, value, source: ConfigSource::Default });
        }
        let (value, source) = match self.winner {
            Some((value, source)) => (Some(value), source),
            None => (default, ConfigSource::Default),
        };
        Effective { value, source, synonyms: self.synonyms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn retention(topic: &[(&str, &str)], fixed: &[(&str, &str)], dynamic: &[(&str, &str)]) -> Effective {
        let (topic, fixed, dynamic, none) = (map(topic), map(fixed), map(dynamic), map(&[]));
        let broker = BrokerProperties { fixed: &fixed, dynamic: &none, dynamic_default: &dynamic };
        effective_topic_config("retention.ms", &topic, &broker).unwrap()
    }

    #[test]
    fn the_strongest_place_wins_and_the_rest_are_synonyms() {
        let both = [("log.retention.hours", "2"), ("log.retention.minutes", "5")];
        let effective = retention(&[("retention.ms", "7")], &both, &[("log.retention.ms", "9")]);
        assert_eq!((effective.value.as_deref(), effective.source), (Some("7"), ConfigSource::DynamicTopic));
        let places: Vec<_> = effective.synonyms.iter().map(|s| (s.name.as_str(), s.source)).collect();
        let expected = [
            ("retention.ms", ConfigSource::DynamicTopic),
            ("log.retention.ms", ConfigSource::DynamicDefaultBroker),
            ("log.retention.minutes", ConfigSource::StaticBroker),
            ("log.retention.hours", ConfigSource::StaticBroker),
            ("log.retention.ms", ConfigSource::Default),
        ];
        assert_eq!(places, expected);
    }

    #[test]
    fn minutes_and_hours_become_milliseconds_and_minus_one_stays() {
        let value = |fixed: &[(&str, &str)]| retention(&[], fixed, &[]).value.unwrap();
        assert_eq!(value(&[("log.retention.hours", "2")]), "7200000");
        assert_eq!(value(&[("log.retention.minutes", "5"), ("log.retention.hours", "2")]), "300000");
        assert_eq!(value(&[("log.retention.hours", "-1")]), "-1");
        assert_eq!(value(&[]), "604800000");
    }

    #[test]
    fn an_invalid_value_in_the_properties_file_is_passed_over() {
        let effective = retention(&[], &[("log.retention.ms", "soon")], &[]);
        assert_eq!(
            (effective.value.as_deref(), effective.source),
            (Some("604800000"), ConfigSource::Default)
        );
    }
}
