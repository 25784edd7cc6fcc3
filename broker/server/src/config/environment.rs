//! `KAFKA_*` environment variables as properties, by the rule of the apache/kafka and cp-kafka images.

use std::collections::BTreeMap;

/// Variables that configure a JVM, an image's script or a log and never become a property.
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
    LOG4J_ROOT_LEVEL,
    LOG4J_LOGGERS,
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
];

/// The level of everything that [`LOG4J_LOGGERS`] does not name.
pub const LOG4J_ROOT_LEVEL: &str = "KAFKA_LOG4J_ROOT_LOGLEVEL";
/// Levels of loggers, `name=LEVEL,…`.
pub const LOG4J_LOGGERS: &str = "KAFKA_LOG4J_LOGGERS";

/// What the environment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Properties, by name.
    pub properties: BTreeMap<String, String>,
    /// The variable that each property comes from.
    pub variables: BTreeMap<String, String>,
    /// Whether somebody expects to find JMX.
    pub wants_jmx: bool,
}

impl Environment {
    fn set(&mut self, property: String, variable: &str, value: &str) {
        self.variables.insert(property.clone(), variable.to_owned());
        self.properties.insert(property, value.to_owned());
    }

    /// Whether there is anything but the cluster's id, which the images do not count.
    pub fn configures(&self) -> bool {
        self.properties.keys().any(|name| name != "cluster.id")
    }
}

/// Turns the process environment into properties.
///
/// `KAFKA_` is stripped, the rest lower-cased, `___` becomes `-`, `__` becomes `_` and `_` becomes `.`. Empty values
/// count as unset. `KAFKA_BROKER_ID` is an alias of `node.id`, `KAFKA_CFG_*` (another image family) follows the
/// same rule after its own prefix and yields to the plain name, and `CLUSTER_ID` becomes `cluster.id`. Kubernetes service
/// links (`KAFKA_PORT=tcp://…`, `KAFKA_SERVICE_HOST`, `KAFKA_PORT_9092_TCP`) are not configuration and are dropped.
pub fn read<I>(variables: I) -> Environment
where
    I: IntoIterator<Item = (String, String)>,
{
    let mut given: Vec<(String, String)> =
        variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    // The order of the environment is nobody's intention. Later entries win below.
    given.sort();
    let mut out = Environment {
        wants_jmx: given.iter().any(|(name, _)| name.starts_with("KAFKA_JMX_")),
        ..Environment::default()
    };
    let is_configuration =
        |name: &str, value: &str| !EXCLUDED.contains(&name) && !is_service_link(name, value);
    given.retain(|(name, value)| is_configuration(name, value));
    let (aliases, plain): (Vec<_>, Vec<_>) =
        given.iter().partition(|(name, _)| name.starts_with("KAFKA_CFG_") || name == "KAFKA_BROKER_ID");
    for (name, value) in aliases.into_iter().chain(plain) {
        if let Some(property) = property(name) {
            out.set(property, name, value);
        }
    }
    out
}

/// The property of a variable; `None` for those that are not Kafka's.
fn property(variable: &str) -> Option<String> {
    match variable {
        "CLUSTER_ID" => Some("cluster.id".to_owned()),
        "KAFKA_BROKER_ID" | "KAFKA_CFG_BROKER_ID" => Some("node.id".to_owned()),
        _ => {
            let rest = variable.strip_prefix("KAFKA_CFG_").or_else(|| variable.strip_prefix("KAFKA_"))?;
            Some(property_name(rest))
        }
    }
}

/// `LOG_RETENTION_MS` → `log.retention.ms`, `A__B` → `a_b`, `A___B` → `a-b`.
fn property_name(rest: &str) -> String {
    rest.to_ascii_lowercase()
        .replace("___", "-")
        .replace("__", "\u{0}")
        .replace('_', ".")
        .replace('\u{0}', "_")
}

/// Kubernetes gives every pod variables about the Services beside it; those of a Service `kafka` or `kafka-…` begin
/// like ours.
fn is_service_link(name: &str, value: &str) -> bool {
    let names_protocol = |part: &str| matches!(part, "TCP" | "UDP" | "SCTP");
    let mut parts = name.split('_').skip_while(|part| *part != "PORT").skip(1);
    let port = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && value.contains("://"))
        || (port && parts.next().is_some_and(names_protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        read(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))).properties
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
            ("KAFKA_SERVICE_PORT", "9092"),
            ("KAFKA_SERVICE_PORT_TCP_CLIENTS", "9092"),
            ("KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
            ("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1"),
            ("KAFKA_PORT_9092_TCP_PROTO", "tcp"),
            ("KAFKA_BROKERS_SERVICE_HOST", "10.0.0.2"),
            ("KAFKA_BROKERS_PORT", "udp://10.0.0.2:9092"),
            ("KAFKA_BROKERS_PORT_9092_UDP_PORT", "9092"),
            ("KAFKA_HEAP_OPTS", "-Xmx1G"),
            ("KAFKA_LOG4J_LOGGERS", "kafka=WARN"),
            ("KAFKA_ADVERTISED_LISTENERS", ""),
        ]);
        assert!(p.is_empty(), "{p:?}");
    }

    #[test]
    fn what_only_looks_like_a_service_link_is_configuration() {
        let p =
            from(&[("KAFKA_ADVERTISED_PORT", "9092"), ("KAFKA_PORT", "9092"), ("KAFKA_LISTENERS", "A://:1")]);
        assert_eq!(p.len(), 3, "{p:?}");
    }

    #[test]
    fn aliases_of_node_id_and_cluster_id() {
        let p = from(&[("KAFKA_BROKER_ID", "3"), ("CLUSTER_ID", "abc"), ("KAFKA_CFG_NUM_PARTITIONS", "2")]);
        assert_eq!(
            (p["node.id"].as_str(), p["cluster.id"].as_str(), p["num.partitions"].as_str()),
            ("3", "abc", "2")
        );
        assert_eq!(from(&[("KAFKA_NODE_ID", "4"), ("KAFKA_BROKER_ID", "3")])["node.id"], "4");
        let both = from(&[("KAFKA_NUM_PARTITIONS", "4"), ("KAFKA_CFG_NUM_PARTITIONS", "3")]);
        assert_eq!(both["num.partitions"], "4");
    }

    #[test]
    fn the_variable_of_a_property_is_remembered() {
        let env = read([("KAFKA_CFG_FOO_BAR".to_owned(), "1".to_owned())]);
        assert_eq!(env.variables["foo.bar"], "KAFKA_CFG_FOO_BAR");
    }

    #[test]
    fn a_cluster_id_alone_configures_nothing_and_jmx_is_noticed() {
        assert!(!read([("CLUSTER_ID".to_owned(), "x".to_owned())]).configures());
        assert!(read([("KAFKA_NODE_ID".to_owned(), "1".to_owned())]).configures());
        let jmx = read([("KAFKA_JMX_PORT".to_owned(), "9999".to_owned())]);
        assert!(jmx.wants_jmx && !jmx.configures());
    }
}
