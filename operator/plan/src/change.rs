//! What an edit of accepted resources may not do. The rules are those that CEL judges with `oldSelf`.

use klamm_operator_api::conditions::Reason;

use crate::desired::{DesiredCluster, DesiredStorage, DesiredTopic, Validated};
use crate::resources::{Problem, Subject};

/// Every problem of going from `old` to `new`; empty if the edit may be taken up.
pub fn problems(old: &Validated, new: &Validated) -> Vec<Problem> {
    let mut found = cluster(&old.cluster, &new.cluster);
    for (name, topic) in &new.topics {
        if let Some(before) = old.topics.get(name) {
            found.extend(topic_problems(before, topic));
        }
    }
    found
}

fn cluster(old: &DesiredCluster, new: &DesiredCluster) -> Vec<Problem> {
    let mut found = Vec::new();
    let subject = new.subject();
    if old.name != new.name {
        let message =
            format!("the cluster is {}: set the name back, or give the new cluster its own place", old.name);
        found.push(Problem::new(&subject, &["metadata", "name"], message));
    }
    if new.nodes.len() < old.nodes.len() {
        let (is, wanted) = (old.nodes.len(), new.nodes.len());
        let message = format!(
            "{wanted} nodes where {is} exist: scaling down is refused, as nodes that hold data cannot be drained yet; \
             set it back to {is}"
        );
        found.push(Problem::new(&subject, &["spec", "kafka", "replicas"], message));
    }
    let (is, wanted) = (old.controllers().len(), new.controllers().len());
    if is != wanted && new.nodes.len() >= old.nodes.len() {
        let message = format!(
            "{wanted} controllers where {is} exist: the quorum keeps the size that it was founded with; \
             set controllers to {is}"
        );
        found.push(Problem::new(&subject, &["spec", "kafka", "controllers"], message));
    }
    found.extend(storage_problems(&subject, &old.storage, &new.storage));
    found
}

/// What storage that holds data may not become.
pub fn storage_problems(subject: &Subject, old: &DesiredStorage, new: &DesiredStorage) -> Vec<Problem> {
    let problem = |field: &str, message: String| {
        let problem = Problem::new(subject, &["spec", "kafka", "storage", field], message);
        problem.because(Reason::StorageChangeRefused)
    };
    let mut found = Vec::new();
    if old.kind != new.kind {
        let message = "the type of storage cannot be changed, as the data would be left behind: set it back";
        found.push(problem("type", message.into()));
    }
    if old.class != new.class {
        let is = old
            .class
            .as_ref()
            .map_or_else(|| "take it out".to_owned(), |class| format!("set it back to {class}"));
        found.push(problem(
            "class",
            format!("the storage class cannot be changed, as claims keep theirs: {is}"),
        ));
    }
    if new.bytes < old.bytes {
        let (is, wanted) = (old.bytes, new.bytes);
        let message = format!(
            "{wanted} bytes where there are {is}: volumes grow and never shrink; set it back, or to more"
        );
        found.push(problem("size", message));
    }
    found
}

fn topic_problems(old: &DesiredTopic, new: &DesiredTopic) -> Vec<Problem> {
    let mut found = Vec::new();
    let subject = new.subject();
    if let (Some(is), Some(wanted)) = (old.partitions, new.partitions)
        && wanted < is
    {
        found.push(Problem::new(&subject, &["spec", "partitions"], shrinking(is, wanted)));
    }
    if let (Some(is), Some(wanted)) = (old.replicas, new.replicas)
        && wanted != is
    {
        found.push(Problem::new(&subject, &["spec", "replicas"], other_replicas(is, wanted)));
    }
    found
}

/// Why partitions are not taken away, and the way out.
pub(crate) fn shrinking(is: i32, wanted: i32) -> String {
    format!(
        "{wanted} partitions where {is} exist: partitions of a topic cannot be taken away; \
         set it back to {is}, or make a new topic with {wanted} and copy the records"
    )
}

/// Why the replication factor is not changed, and the way out.
pub(crate) fn other_replicas(is: i32, wanted: i32) -> String {
    format!(
        "{wanted} replicas where {is} exist: replicas of a topic cannot be changed yet; set it back to {is}"
    )
}
