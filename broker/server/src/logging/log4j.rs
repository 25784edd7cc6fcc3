//! The levels of Kafka's loggers as a filter of ours.

/// Kafka's loggers, by the longest beginning that fits, and the modules that do here what those do there.
const LOGGERS: &[(&str, &[&str])] = &[
    ("kafka", &["klamm_broker", "klamm_log", "klamm_metadata", "klamm_coordinator", "klamm_quorum"]),
    (
        "org.apache.kafka",
        &["klamm_broker", "klamm_log", "klamm_metadata", "klamm_coordinator", "klamm_quorum"],
    ),
    ("kafka.server", &["klamm_broker"]),
    ("org.apache.kafka.server", &["klamm_broker"]),
    ("kafka.network", &["klamm_broker::net", "klamm_broker::api"]),
    ("kafka.request.logger", &["klamm_broker::api"]),
    ("kafka.controller", &["klamm_broker::controller", "klamm_metadata"]),
    ("org.apache.kafka.controller", &["klamm_broker::controller", "klamm_metadata"]),
    ("org.apache.kafka.metadata", &["klamm_broker::metadata", "klamm_metadata"]),
    ("org.apache.kafka.raft", &["klamm_quorum", "openraft"]),
    ("kafka.raft", &["klamm_quorum", "openraft"]),
    ("kafka.log", &["klamm_log"]),
    ("org.apache.kafka.storage", &["klamm_log"]),
    ("kafka.cluster", &["klamm_broker::partition"]),
    ("state.change.logger", &["klamm_broker::partition"]),
    ("kafka.coordinator", &["klamm_broker::group", "klamm_coordinator"]),
    ("org.apache.kafka.coordinator", &["klamm_broker::group", "klamm_coordinator"]),
];

/// The lines that tell of a start stay unless somebody turns Kafka's own loggers down: the images' root level does not
/// reach them there either, and tools wait for them.
const START: &str = "klamm_broker::lifecycle=info,klamm_broker::process=info";

/// The filter for a root level and a list `logger=LEVEL,…`. Loggers and levels that do not exist are passed over, as
/// Log4j does.
pub fn filter(default: &str, root: Option<&str>, loggers: Option<&str>) -> String {
    let mut named = Vec::new();
    for (logger, text) in loggers.unwrap_or_default().split(',').filter_map(|item| item.split_once('=')) {
        if let Some(level) = level(text) {
            named.extend(modules(logger.trim()).iter().map(|module| format!("{module}={level}")));
        }
    }
    let mut directives = vec![default.to_owned()];
    if let Some(level) = root.and_then(level) {
        directives = vec![level.to_owned()];
        if level == "info" {
            directives.push("openraft=error".to_owned());
        }
        if !named.iter().any(|directive| directive.starts_with("klamm_broker=")) {
            directives.push(START.to_owned());
        }
    }
    directives.extend(named);
    directives.join(",")
}

fn modules(logger: &str) -> &'static [&'static str] {
    let fits = |name: &str| {
        logger.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '$']))
    };
    let found = LOGGERS.iter().filter(|(name, _)| fits(name)).max_by_key(|(name, _)| name.len());
    found.map_or(&[], |(_, modules)| modules)
}

fn level(name: &str) -> Option<&'static str> {
    match name.trim().to_ascii_uppercase().as_str() {
        "ALL" | "TRACE" => Some("trace"),
        "DEBUG" => Some("debug"),
        "INFO" => Some("info"),
        "WARN" => Some("warn"),
        "ERROR" | "FATAL" => Some("error"),
        "OFF" => Some("off"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::EnvFilter;

    use super::*;

    #[test]
    fn without_variables_the_default_stands() {
        assert_eq!(filter("info,openraft=error", None, None), "info,openraft=error");
        assert_eq!(filter("info", Some("LOUD"), Some("kafka=LOUD,nonsense")), "info");
    }

    #[test]
    fn the_root_level_leaves_the_lines_about_the_start() {
        let found = filter("info", Some("WARN"), None);
        assert!(found.starts_with("warn,") && found.contains("klamm_broker::lifecycle=info"), "{found}");
        assert!(EnvFilter::try_new(found).is_ok());
        assert_eq!(filter("info", Some("WARN"), Some("kafka.server=ERROR")), "warn,klamm_broker=error");
    }

    #[test]
    fn loggers_are_the_modules_that_do_the_same() {
        let found =
            filter("info", None, Some("kafka.controller=TRACE, state.change.logger=OFF,org.foo=DEBUG"));
        assert_eq!(
            found,
            "info,klamm_broker::controller=trace,klamm_metadata=trace,klamm_broker::partition=off"
        );
        assert_eq!(modules("kafka.network.RequestChannel$"), ["klamm_broker::net", "klamm_broker::api"]);
        assert_eq!(modules("kafkaesque"), [""; 0]);
    }
}
