//! What a process says about its configuration when it starts: settings without a meaning, named once.

use std::collections::BTreeMap;

use super::environment::Environment;

/// Properties of ours that are no part of the table that clients are shown.
const OWN: &[&str] = &[
    "cluster.id",
    "klamm.queued.max.request.bytes",
    "klamm.quorum.heartbeat.ms",
    "klamm.quorum.snapshot.keep.entries",
];

/// Names that mean nothing here, as they were given: variables as variables, properties as properties.
pub fn meaningless(properties: &BTreeMap<String, String>, environment: &Environment) -> Vec<String> {
    let unknown = properties.keys().filter(|name| !is_known(name));
    unknown.map(|name| environment.variables.get(name).unwrap_or(name).clone()).collect()
}

fn is_known(name: &str) -> bool {
    klamm_metadata::config::broker_config(name).is_some()
        || OWN.contains(&name)
        || name.starts_with("listener.name.")
}

/// The line about them; `None` if every name has a meaning.
pub fn warning(properties: &BTreeMap<String, String>, environment: &Environment) -> Option<String> {
    let names = meaningless(properties, environment);
    (!names.is_empty())
        .then(|| format!("these settings mean nothing to Klamm and are ignored: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::environment;
    use super::*;

    #[test]
    fn settings_without_a_meaning_are_named_in_one_line_as_they_were_given() {
        let env = environment::read([
            ("KAFKA_CONFLUENT_METRICS_ENABLE".to_owned(), "true".to_owned()),
            ("KAFKA_ZOOKEEPER_CONNECT".to_owned(), "zookeeper:2181".to_owned()),
            ("KAFKA_NUM_PARTITIONS".to_owned(), "3".to_owned()),
            ("KAFKA_KLAMM_QUORUM_HEARTBEAT_MS".to_owned(), "50".to_owned()),
            ("CLUSTER_ID".to_owned(), "x".to_owned()),
        ]);
        let mut all = env.properties.clone();
        all.insert("from.a.file".to_owned(), "1".to_owned());
        let line = warning(&all, &env).unwrap();
        assert!(
            line.ends_with(": KAFKA_CONFLUENT_METRICS_ENABLE, from.a.file, KAFKA_ZOOKEEPER_CONNECT"),
            "{line}"
        );
        all.retain(|name, _| name == "num.partitions" || name == "cluster.id");
        assert_eq!(warning(&all, &env), None);
    }
}
