//! The rules of topics, and to which of several resources a topic belongs.

use std::collections::BTreeMap;

use klamm_operator_api::conditions::Reason;
use klamm_operator_api::nearest::nearest;
use klamm_operator_api::topic::{DeletionPolicy, MAX_TOPIC_NAME};
use klamm_operator_api::{CLUSTER_LABEL, KafkaTopic};

use super::config;
use crate::desired::{DesiredCluster, DesiredTopic, LeavingTopic};
use crate::resources::{Problem, Subject};

/// Topics, sorted.
#[derive(Debug, Default)]
pub struct Sorted {
    /// To be carried out, by the name that clients use.
    pub topics: BTreeMap<String, DesiredTopic>,
    /// Resources that are being deleted, by their name.
    pub leaving: BTreeMap<String, LeavingTopic>,
}

/// Sorts topics. Where several resources name one topic, it belongs to the oldest that stays.
pub fn sort(resources: &[KafkaTopic], cluster: &DesiredCluster, problems: &mut Vec<Problem>) -> Sorted {
    let mut sorted = Sorted::default();
    let mut claims: BTreeMap<&str, Vec<&KafkaTopic>> = BTreeMap::new();
    for resource in resources {
        claims.entry(resource.topic_name()).or_default().push(resource);
    }
    for (name, mut claimants) in claims {
        claimants.sort_by_key(|resource| age(resource));
        let (leaving, staying): (Vec<&KafkaTopic>, Vec<&KafkaTopic>) =
            claimants.iter().partition(|resource| resource.metadata.deletion_timestamp.is_some());
        // Who leaves takes the topic along only if it is the owner, and nobody who stays wants it.
        let owner = claimants.first().filter(|_| staying.is_empty());
        for resource in leaving {
            let owns = owner.is_some_and(|owner| owner.metadata.name == resource.metadata.name);
            sorted.leaving.insert(resource_name(resource), leaves(resource, owns));
        }
        if let Some((owner, rivals)) = staying.split_first() {
            claim(name, owner, rivals, cluster, &mut sorted, problems);
        }
    }
    sorted
}

fn claim(
    name: &str,
    owner: &KafkaTopic,
    rivals: &[&KafkaTopic],
    cluster: &DesiredCluster,
    sorted: &mut Sorted,
    problems: &mut Vec<Problem>,
) {
    let before = problems.len();
    let mut desired = topic(owner, cluster, problems);
    let is_sound = problems.len() == before;
    problems.extend(rivals.iter().map(|rival| twice(name, rival, &desired.resource)));
    desired.rivals = rivals.iter().map(|rival| resource_name(rival)).collect();
    if is_sound {
        sorted.topics.insert(name.to_owned(), desired);
    }
}

/// What makes a resource older than another: when it was made, then its name.
fn age(resource: &KafkaTopic) -> impl Ord + use<> {
    let created = resource.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (created.is_none(), created, resource_name(resource))
}

fn resource_name(resource: &KafkaTopic) -> String {
    resource.metadata.name.clone().unwrap_or_default()
}

/// Only the topic that the resource has had in its status is ever deleted.
fn leaves(resource: &KafkaTopic, owns: bool) -> LeavingTopic {
    let delete = owns && resource.deletion_policy() == DeletionPolicy::Delete;
    let id = resource.status.as_ref().and_then(|status| status.topic_id.clone());
    LeavingTopic { name: resource.topic_name().to_owned(), delete: id.filter(|_| delete) }
}

fn topic(resource: &KafkaTopic, cluster: &DesiredCluster, problems: &mut Vec<Problem>) -> DesiredTopic {
    let subject = Subject::Topic(resource_name(resource));
    let field = if resource.spec.topic_name.is_some() { ["spec", "topicName"] } else { ["metadata", "name"] };
    if let Some(message) = name_problem(resource.topic_name()) {
        problems.push(Problem::new(&subject, &field, message));
    }
    belongs(&subject, resource.cluster_name(), cluster, problems);
    let desired = DesiredTopic {
        resource: resource_name(resource),
        name: resource.topic_name().to_owned(),
        partitions: resource.spec.partitions,
        replicas: resource.spec.replicas,
        config: config::of_topic(&subject, &resource.spec.config, problems),
        rivals: Vec::new(),
    };
    counts(&subject, &desired, cluster, problems);
    desired
}

/// Kafka's rule for topic names.
fn name_problem(name: &str) -> Option<String> {
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
    let message = match named {
        Some(name) if name == ours => return,
        Some(name) => {
            let meant = nearest(name, [ours.as_str()]);
            let hint = meant.map_or_else(|| format!("there is {ours}"), |n| format!("did you mean {n}?"));
            format!("there is no KafkaCluster {name}; {hint}")
        }
        None => format!("which cluster? Set it to {ours}, or set the label {CLUSTER_LABEL}: {ours}"),
    };
    problems.push(Problem::new(subject, &path, message).because(Reason::ClusterMissing));
}

fn counts(subject: &Subject, topic: &DesiredTopic, cluster: &DesiredCluster, problems: &mut Vec<Problem>) {
    for (field, count) in [("partitions", topic.partitions), ("replicas", topic.replicas)] {
        if let Some(count) = count.filter(|count| *count < 1) {
            let message = format!("{count} {field} cannot be: set at least 1, or leave it to the brokers");
            problems.push(Problem::new(subject, &["spec", field], message));
        }
    }
    let Some(replicas) = topic.replicas else { return };
    let brokers = cluster.nodes.len();
    if usize::try_from(replicas).is_ok_and(|wanted| wanted > brokers) {
        let message = format!(
            "{replicas} replicas need {replicas} brokers, and KafkaCluster {} has {brokers}: \
             set at most {brokers}, or raise spec.kafka.replicas of the cluster",
            cluster.name
        );
        let problem = Problem::new(subject, &["spec", "replicas"], message);
        problems.push(problem.because(Reason::ReplicasNotSatisfiable));
    }
    let min_isr =
        topic.config.get("min.insync.replicas").and_then(|value| value.as_deref()?.parse::<i32>().ok());
    if let Some(min) = min_isr.filter(|min| *min > replicas) {
        let message = format!("with {replicas} replicas {min} can never be in sync: set at most {replicas}");
        let problem = Problem::new(subject, &["spec", "config", "min.insync.replicas"], message);
        problems.push(problem.because(Reason::InvalidConfig));
    }
}

fn twice(topic: &str, rival: &KafkaTopic, owner: &str) -> Problem {
    let rival = resource_name(rival);
    let message = format!(
        "topic {topic} belongs to KafkaTopic {owner} already: \
         rename or remove one of KafkaTopic {owner} and KafkaTopic {rival}"
    );
    Problem::new(&Subject::Topic(rival), &["metadata", "name"], message).because(Reason::ResourceConflict)
}
