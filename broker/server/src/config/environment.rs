//! `KAFKA_*` environment variables as properties, by the rule of the apache/kafka and cp-kafka images.

use std::collections::BTreeMap;

/// Variables that configure a JVM or an image script and never become a property.
const EXCLUDED: &[&str] = &[
    "KAFKA_VERSION",
    "KAFKA_HEAP_OPTS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_OPTS",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
];

/// Turns the process environment into properties.
///
/// `KAFKA_` is stripped, the rest lower-cased, `___` becomes `-`, `__` becomes `_` and `_` becomes `.`. Empty values
/// count as unset. `KAFKA_BROKER_ID` is an alias of `node.id`, `KAFKA_CFG_*` (another image family) follows the
/// same rule after its own prefix, and `CLUSTER_ID` becomes `cluster.id`. Kubernetes service links
/// (`KAFKA_PORT=tcp://…`, `KAFKA_SERVICE_HOST`, `KAFKA_PORT_9092_TCP`) are not configuration and are dropped.
pub fn properties<I>(variables: I) -> BTreeMap<String, String>
where
    I: IntoIterator<Item = (String, String)>,
{
    let mut out = BTreeMap::new();
    let mut broker_id = None;
    for (name, value) in variables {
        if value.is_empty() || EXCLUDED.contains(&name.as_str()) || is_service_link(&name, &value) {
            continue;
        }
        match name.as_str() {
            "CLUSTER_ID" => drop(out.insert("cluster.id".to_owned(), value)),
            "KAFKA_BROKER_ID" => broker_id = Some(value),
            _ => {
                let stripped = name.strip_prefix("KAFKA_CFG_").or_else(|| name.strip_prefix("KAFKA_"));
                if let Some(rest) = stripped {
                    out.insert(property_name(rest), value);
                }
            }
        }
    }
    if let Some(id) = broker_id {
        out.entry("node.id".to_owned()).or_insert(id);
    }
    out
}

/// `LOG_RETENTION_MS` → `log.retention.ms`, `A__B` → `a_b`, `A___B` → `a-b`.
fn property_name(rest: &str) -> String {
    rest.to_ascii_lowercase()
        .replace("___", "-")
        .replace("__", "\u{0}")
        .replace('_', ".")
        .replace('\u{0}', "_")
}

fn is_service_link(name: &str, value: &str) -> bool {
    name.starts_with("KAFKA_SERVICE_")
        || name.contains("_TCP_")
        || name.ends_with("_TCP")
        || (name.starts_with("KAFKA_PORT") && value.contains("://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        properties(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn underscores_follow_the_image_convention() {
        let p = from(&[
            ("KAFKA_LOG_RETENTION_MS", "5"),
            ("KAFKA_A__B", "6"),
            ("KAFKA_A___B_C", "7"),
            ("PATH", "x"),
        ]);
        assert_eq!(p["log.retention.ms"], "5");
        assert_eq!(p["a_b"], "6");
        assert_eq!(p["a-b.c"], "7");
        assert_eq!(p.len(), 3);
    }

    #[test]
    fn service_links_and_jvm_variables_are_not_configuration() {
        let p = from(&[
            ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
            ("KAFKA_SERVICE_HOST", "10.0.0.1"),
            ("KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
            ("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1"),
            ("KAFKA_HEAP_OPTS", "-Xmx1G"),
            ("KAFKA_ADVERTISED_LISTENERS", ""),
        ]);
        assert!(p.is_empty(), "{p:?}");
    }

    #[test]
    fn aliases_of_node_id_and_cluster_id() {
        let p = from(&[("KAFKA_BROKER_ID", "3"), ("CLUSTER_ID", "abc"), ("KAFKA_CFG_NUM_PARTITIONS", "2")]);
        assert_eq!(
            (p["node.id"].as_str(), p["cluster.id"].as_str(), p["num.partitions"].as_str()),
            ("3", "abc", "2")
        );
        assert_eq!(from(&[("KAFKA_BROKER_ID", "3"), ("KAFKA_NODE_ID", "4")])["node.id"], "4");
    }
}
