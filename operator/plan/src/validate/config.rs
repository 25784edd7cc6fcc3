//! The rules of configuration: names that brokers know, and values that they can take.

use std::collections::BTreeMap;

use klamm_metadata::config::{
    ConfigError, broker_configs, topic_config, topic_configs, validate_broker_config, validate_topic_config,
};
use klamm_operator_api::conditions::Reason;
use klamm_operator_api::config::ConfigValue;
use klamm_operator_api::nearest::nearest;

use crate::render::DERIVED;
use crate::resources::{Problem, Subject};

/// Properties of brokers that Kafka does not know; the broker judges them when it starts.
const OWN: &str = "klamm.";

/// The configuration of brokers as text.
pub fn of_brokers(
    subject: &Subject,
    written: &BTreeMap<String, ConfigValue>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, String> {
    let mut config = BTreeMap::new();
    for (key, value) in written {
        let text = value.to_string().trim().to_owned();
        if let Some(message) = wrong_for_brokers(key, value, &text) {
            let problem = Problem::new(subject, &["spec", "kafka", "config", key], message);
            problems.push(problem.because(Reason::InvalidConfig));
        }
        config.insert(key.clone(), text);
    }
    config
}

fn wrong_for_brokers(key: &str, value: &ConfigValue, text: &str) -> Option<String> {
    if let Some((_, why)) = DERIVED.iter().find(|(derived, _)| *derived == key) {
        return Some(format!("it cannot be set here, as {why}: take it out"));
    }
    if let Some(message) = wrong_anyhow(key, value, text) {
        return Some(message);
    }
    if key.starts_with(OWN) {
        return None;
    }
    let names = broker_configs().map(|spec| spec.name);
    validate_broker_config(key, text).err().map(|error| sentence(key, &error, names))
}

/// The configuration of a topic as text; a key without a value is left as it is on the topic.
pub fn of_topic(
    subject: &Subject,
    written: &BTreeMap<String, Option<ConfigValue>>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Option<String>> {
    let mut config = BTreeMap::new();
    for (key, value) in written {
        let text = value.as_ref().map(ToString::to_string);
        if let Some(message) = wrong_for_topics(key, value.as_ref(), text.as_deref()) {
            let problem = Problem::new(subject, &["spec", "config", key], message);
            problems.push(problem.because(Reason::InvalidConfig));
        }
        config.insert(key.clone(), text);
    }
    config
}

fn wrong_for_topics(key: &str, value: Option<&ConfigValue>, text: Option<&str>) -> Option<String> {
    let names = topic_configs().iter().map(|entry| entry.spec.name);
    match (value, text) {
        (Some(value), Some(text)) => wrong_anyhow(key, value, text)
            .or_else(|| validate_topic_config(key, text).err().map(|error| sentence(key, &error, names))),
        _ => topic_config(key).is_none().then(|| unknown(key, names)),
    }
}

/// What can be neither a property nor a value of one.
fn wrong_anyhow(key: &str, value: &ConfigValue, text: &str) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if key.is_empty() || !key.chars().all(legal) {
        return Some("it cannot be a property: names are letters, digits, '.', '_' and '-'".into());
    }
    if !value.is_scalar() {
        return Some(format!("{text} where text, a number or true/false is expected"));
    }
    text.contains(char::is_control).then(|| "a value is one line of text: take the line break out".into())
}

fn sentence(key: &str, error: &ConfigError, names: impl Iterator<Item = &'static str>) -> String {
    match error {
        ConfigError::Invalid { value, reason, .. } => format!("it cannot be {value:?}: {reason}"),
        _ => unknown(key, names),
    }
}

fn unknown(key: &str, names: impl Iterator<Item = &'static str>) -> String {
    match nearest(key, names) {
        Some(meant) => format!("brokers know no such property; did you mean {meant}?"),
        None => "brokers know no such property: take it out".into(),
    }
}
