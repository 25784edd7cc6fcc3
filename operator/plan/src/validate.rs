//! Resources to what is wanted, or every problem at once. The rules are those of the resources' CEL rules and those
//! that need more than one resource.

use std::collections::BTreeMap;

use klamm_operator_api::cluster::KafkaSpec;
use klamm_operator_api::listener::Listener;
use klamm_operator_api::storage::Storage;
use klamm_operator_api::nearest::nearest;
use klamm_operator_api::topic::MAX_TOPIC_NAME;
use klamm_operator_api::{CLUSTER_LABEL, KafkaTopic};

use crate::desired::{DesiredCluster, DesiredListener, DesiredTopic, Roles, Validated};
use crate::quantity;
use crate::render::DERIVED;
use crate::resources::{Problem, Resources, Subject};

/// The most controllers that a cluster has where `spec.kafka.controllers` is not given.
const DEFAULT_CONTROLLERS: i32 = 3;
/// The listener of a cluster that names none.
const DEFAULT_LISTENER: (&str, u16) = ("plaintext", 9092);

/// Resolves every default and judges every rule.
///
/// # Errors
/// Every problem that was found, in the order of the resources.
pub fn validate(resources: &Resources) -> Result<Validated, Vec<Problem>> {
    let mut problems = Vec::new();
    let name = resources.cluster.metadata.name.clone().unwrap_or_default();
    let cluster = cluster(&name, &resources.cluster.spec.kafka, &mut problems);
    let mut topics: BTreeMap<String, DesiredTopic> = BTreeMap::new();
    for resource in &resources.topics {
        let desired = topic(resource, &cluster, &mut problems);
        match topics.get(&desired.name) {
            Some(other) => problems.push(twice(&desired, other)),
            None => drop(topics.insert(desired.name.clone(), desired)),
        }
    }
    if problems.is_empty() { Ok(Validated { cluster, topics }) } else { Err(problems) }
}

fn cluster(name: &str, spec: &KafkaSpec, problems: &mut Vec<Problem>) -> DesiredCluster {
    let subject = Subject::Cluster(name.to_owned());
    let controllers = controllers(&subject, spec, problems);
    let nodes =
        (0..spec.replicas).map(|id| (id, Roles { broker: true, controller: id < controllers })).collect();
    let listeners = match &spec.listeners {
        Some(listeners) => listeners_of(&subject, listeners, problems),
        None => vec![DesiredListener { name: DEFAULT_LISTENER.0.into(), port: DEFAULT_LISTENER.1 }],
    };
    storage(&subject, spec.storage.as_ref(), problems);
    let config =
        spec.config.iter().map(|(key, value)| (key.clone(), value.to_string().trim().to_owned())).collect();
    properties(&subject, &config, problems);
    DesiredCluster { name: name.to_owned(), nodes, listeners, config }
}

/// How many of the nodes are controllers.
fn controllers(subject: &Subject, spec: &KafkaSpec, problems: &mut Vec<Problem>) -> i32 {
    let (path, replicas) = (["spec", "kafka", "controllers"], spec.replicas);
    let count = spec.controllers.unwrap_or_else(|| replicas.min(DEFAULT_CONTROLLERS));
    let message = match spec.controllers {
        None if count % 2 == 0 => {
            let path = ["spec", "kafka", "replicas"];
            let message = format!(
                "{replicas} nodes would make {count} controllers, and neither may fail: \
                 set replicas to 3, or controllers to 1"
            );
            problems.push(Problem::new(subject, &path, message));
            return count;
        }
        Some(count) if count % 2 == 0 => format!(
            "{count} controllers survive no more failures than {}: set an odd number, 1, 3 or 5",
            count.saturating_sub(1)
        ),
        Some(count) if count > replicas => format!(
            "{count} controllers need {count} nodes, and there are {replicas}: \
             raise replicas to {count}, or lower controllers to an odd number that is not above {replicas}"
        ),
        _ => return count,
    };
    problems.push(Problem::new(subject, &path, message));
    count
}

fn listeners_of(
    subject: &Subject,
    listeners: &[Listener],
    problems: &mut Vec<Problem>,
) -> Vec<DesiredListener> {
    let mut desired: Vec<DesiredListener> = Vec::new();
    for (index, listener) in listeners.iter().enumerate() {
        let (position, name) = (index.to_string(), &listener.name);
        let mut report = |field: &str, message: String| {
            problems.push(Problem::new(subject, &["spec", "kafka", "listeners", &position, field], message));
        };
        if !is_listener_name(name) {
            report(
                "name",
                format!("{name:?} cannot be a listener: use up to 11 lower-case letters and digits"),
            );
        }
        if name == "controller" {
            report("name", "controller is taken by the controller quorum: choose another name".into());
        }
        if listener.tls == Some(true) {
            report("tls", "listeners with TLS are not served yet: set tls to false".into());
        }
        if desired.iter().any(|other| other.name == *name) {
            report("name", format!("there are two listeners named {name}: rename one"));
        }
        if desired.iter().any(|other| i32::from(other.port) == listener.port) {
            report(
                "port",
                format!("port {} is taken by another listener: choose another one", listener.port),
            );
        }
        let port = u16::try_from(listener.port).unwrap_or(DEFAULT_LISTENER.1);
        desired.push(DesiredListener { name: name.clone(), port });
    }
    desired
}

fn is_listener_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=11).contains(&name.len()) && name.bytes().all(fits)
}

fn storage(subject: &Subject, storage: Option<&Storage>, problems: &mut Vec<Problem>) {
    let Some(size) = storage.and_then(|storage| storage.size.as_deref()) else { return };
    if quantity::bytes(size).is_none_or(|bytes| bytes == 0) {
        let message = format!("{size:?} is not an amount of space: write for example 100Gi");
        problems.push(Problem::new(subject, &["spec", "kafka", "storage", "size"], message));
    }
}

fn properties(subject: &Subject, config: &BTreeMap<String, String>, problems: &mut Vec<Problem>) {
    for (key, why) in DERIVED.iter().filter(|(key, _)| config.contains_key(*key)) {
        let message = format!("it cannot be set here, as {why}: take it out");
        problems.push(Problem::new(subject, &["spec", "kafka", "config", key], message));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    for (key, value) in config {
        let path = ["spec", "kafka", "config", key];
        if key.is_empty() || !key.chars().all(legal) {
            let message = "it cannot be a property: names are letters, digits, '.', '_' and '-'";
            problems.push(Problem::new(subject, &path, message));
        }
        if value.contains(char::is_control) {
            problems.push(Problem::new(
                subject,
                &path,
                "a value is one line of text: take the line break out",
            ));
        }
    }
}

fn topic(resource: &KafkaTopic, cluster: &DesiredCluster, problems: &mut Vec<Problem>) -> DesiredTopic {
    let desired = DesiredTopic {
        resource: resource.metadata.name.clone().unwrap_or_default(),
        name: resource.topic_name().to_owned(),
        partitions: resource.spec.partitions,
        replicas: resource.spec.replicas,
        config: resource
            .spec
            .config
            .iter()
            .map(|(key, value)| (key.clone(), value.as_ref().map(ToString::to_string)))
            .collect(),
    };
    let subject = desired.subject();
    let field = if resource.spec.topic_name.is_some() { ["spec", "topicName"] } else { ["metadata", "name"] };
    if let Some(message) = topic_name_problem(&desired.name) {
        problems.push(Problem::new(&subject, &field, message));
    }
    belongs(&subject, resource.cluster_name(), cluster, problems);
    replicas(&subject, &desired, cluster, problems);
    desired
}

/// Kafka's rule for topic names.
fn topic_name_problem(name: &str) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some(bad) = name.chars().find(|c| !legal(*c)) {
        return Some(format!(
            "{name:?} cannot be a topic, as it contains {bad:?}: use letters, digits, '.', '_' and '-'"
        ));
    }
    if name.is_empty() || name == "." || name == ".." {
        return Some(format!("{name:?} cannot be a topic: choose another name"));
    }
    let length = name.len();
    (length > MAX_TOPIC_NAME).then(|| format!("{length} letters are too many: use at most {MAX_TOPIC_NAME}"))
}

fn belongs(subject: &Subject, named: Option<&str>, cluster: &DesiredCluster, problems: &mut Vec<Problem>) {
    let (path, ours) = (["spec", "clusterRef", "name"], &cluster.name);
    match named {
        Some(name) if name == ours => {}
        Some(name) => {
            let meant = nearest(name, [ours.as_str()]);
            let hint = meant.map_or_else(|| format!("there is {ours}"), |n| format!("did you mean {n}?"));
            problems.push(Problem::new(subject, &path, format!("there is no KafkaCluster {name}; {hint}")));
        }
        None => {
            let message =
                format!("which cluster? Set it to {ours}, or set the label {CLUSTER_LABEL}: {ours}");
            problems.push(Problem::new(subject, &path, message));
        }
    }
}

fn replicas(subject: &Subject, topic: &DesiredTopic, cluster: &DesiredCluster, problems: &mut Vec<Problem>) {
    let Some(replicas) = topic.replicas else { return };
    let brokers = cluster.nodes.len();
    if usize::try_from(replicas).is_ok_and(|wanted| wanted > brokers) {
        let message = format!(
            "{replicas} replicas need {replicas} brokers, and KafkaCluster {} has {brokers}: \
             set at most {brokers}, or raise spec.kafka.replicas of the cluster",
            cluster.name
        );
        problems.push(Problem::new(subject, &["spec", "replicas"], message));
    }
    let min_isr =
        topic.config.get("min.insync.replicas").and_then(|value| value.as_deref()?.parse::<i32>().ok());
    if let Some(min) = min_isr.filter(|min| *min > replicas) {
        let message = format!("with {replicas} replicas {min} can never be in sync: set at most {replicas}");
        problems.push(Problem::new(subject, &["spec", "config", "min.insync.replicas"], message));
    }
}

fn twice(topic: &DesiredTopic, other: &DesiredTopic) -> Problem {
    let message = format!(
        "topic {} belongs to KafkaTopic {} already: rename or remove one of KafkaTopic {} and KafkaTopic {}",
        topic.name, other.resource, other.resource, topic.resource
    );
    Problem::new(&topic.subject(), &["metadata", "name"], message)
}
