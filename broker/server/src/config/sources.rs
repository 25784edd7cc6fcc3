//! Where properties come from, and which of two wins.

use std::collections::BTreeMap;

use super::environment::Environment;

/// Every place that may say something about a property.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The properties file, if one is given.
    pub file: Option<BTreeMap<String, String>>,
    /// The environment.
    pub environment: Environment,
    /// `--override`.
    pub overrides: Vec<(String, String)>,
    /// `--default`: for properties that nobody else sets.
    pub defaults: Vec<(String, String)>,
    /// `--default-config`: used as a whole if neither file nor environment says anything.
    pub default_file: Option<BTreeMap<String, String>>,
}

impl Sources {
    /// One map: overrides win over the environment, that over the file, and all over the defaults.
    pub fn assemble(self) -> BTreeMap<String, String> {
        let file = self.file.unwrap_or_default();
        let nobody_speaks = file.is_empty() && !self.environment.configures();
        let base = if nobody_speaks { self.default_file.unwrap_or_default() } else { file };
        let mut all = base;
        all.extend(self.environment.properties);
        all.extend(self.overrides);
        for (name, value) in self.defaults {
            if !is_set(&all, &name) {
                all.insert(name, value);
            }
        }
        all
    }
}

/// Whether a property or, for the log directory, its other name has a value.
fn is_set(all: &BTreeMap<String, String>, name: &str) -> bool {
    let filled = |name: &str| all.get(name).is_some_and(|value| !value.trim().is_empty());
    filled(name) || (name == "log.dirs" && filled("log.dir"))
}

#[cfg(test)]
mod tests {
    use super::super::{environment, properties};
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        environment::read(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    fn pairs(text: &str) -> Vec<(String, String)> {
        properties::parse(text).into_iter().collect()
    }

    #[test]
    fn later_sources_win() {
        let all = Sources {
            file: Some(properties::parse("a.b=file\nc=file\nd=file\n")),
            environment: environment(&[("KAFKA_A_B", "env"), ("KAFKA_C", "env")]),
            overrides: pairs("c=override"),
            defaults: pairs("d=default\ne=default"),
            default_file: Some(properties::parse("f=default\n")),
        }
        .assemble();
        let expect = [("a.b", "env"), ("c", "override"), ("d", "file"), ("e", "default")];
        assert_eq!(all, expect.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
    }

    #[test]
    fn the_default_file_is_dropped_with_the_first_variable() {
        let with = |variables: &[(&str, &str)]| {
            Sources {
                environment: environment(variables),
                default_file: Some(properties::parse("node.id=1\nlog.dirs=/tmp/x\n")),
                defaults: pairs("log.dirs=/var/lib/kafka/data"),
                ..Sources::default()
            }
            .assemble()
        };
        let alone = with(&[("CLUSTER_ID", "five"), ("KAFKA_HEAP_OPTS", "-Xmx1g")]);
        assert_eq!((alone["node.id"].as_str(), alone["log.dirs"].as_str()), ("1", "/tmp/x"));
        assert_eq!(alone["cluster.id"], "five");
        let dropped = with(&[("KAFKA_NUM_PARTITIONS", "3")]);
        assert!(!dropped.contains_key("node.id"));
        assert_eq!(dropped["log.dirs"], "/var/lib/kafka/data");
        assert!(!with(&[("KAFKA_LOG_DIR", "/mine")]).contains_key("log.dirs"));
    }
}
