//! Plans topics: create, grow, configure. Topics that no resource names are left alone.

use std::collections::{BTreeMap, BTreeSet};

use klamm_operator_api::conditions::Reason;

use crate::action::Action;
use crate::change::{other_replicas, shrinking};
use crate::desired::{DesiredCluster, DesiredTopic, LeavingTopic, Validated};
use crate::observed::{NodeState, Observed, ObservedTopic};
use crate::plan::{Held, Plan};
use crate::resources::Subject;

/// Appends what has to be done about topics.
pub fn plan(desired: &Validated, observed: &Observed, plan: &mut Plan) {
    for topic in desired.topics.values() {
        match observed.topics.as_ref().map(|topics| topics.get(&topic.name)) {
            None => hold(topic, Reason::ClusterNotReady, "the cluster does not answer yet".into(), plan),
            Some(None) => create(topic, &desired.cluster, observed, plan),
            Some(Some(is)) => adjust(topic, is, plan),
        }
    }
    for (resource, topic) in &desired.leaving {
        leave(resource, topic, observed, plan);
    }
}

/// A resource goes when its topic is gone, or is to stay. What goes by the same name and is another topic stays too.
fn leave(resource: &str, leaving: &LeavingTopic, observed: &Observed, plan: &mut Plan) {
    let Some(id) = &leaving.delete else {
        plan.released.insert(resource.to_owned());
        return;
    };
    let Some(topics) = &observed.topics else {
        let subject = Subject::Topic(resource.to_owned());
        let message = "the cluster does not answer, and the topic is to be deleted".into();
        return plan.held.push(Held { subject, reason: Reason::ClusterNotReady, message });
    };
    if topics.get(&leaving.name).is_some_and(|is| is.id == *id) {
        plan.actions.push(Action::DeleteTopic { topic: leaving.name.clone(), id: id.clone() });
    } else {
        plan.released.insert(resource.to_owned());
    }
}

fn create(topic: &DesiredTopic, cluster: &DesiredCluster, observed: &Observed, plan: &mut Plan) {
    if let Some(obstacle) = cannot_place(topic, cluster, observed) {
        return hold(topic, Reason::ClusterNotReady, obstacle, plan);
    }
    let set = |(key, value): (&String, &Option<String>)| Some((key.clone(), value.clone()?));
    plan.actions.push(Action::CreateTopic {
        topic: topic.name.clone(),
        partitions: topic.partitions,
        replicas: topic.replicas,
        config: topic.config.iter().filter_map(set).collect(),
    });
}

/// A new topic waits while nodes come up, so that it is spread over all of them, and until it can have its replicas.
fn cannot_place(topic: &DesiredTopic, cluster: &DesiredCluster, observed: &Observed) -> Option<String> {
    let expected = |id: &&i32| {
        observed
            .nodes
            .get(id)
            .is_none_or(|node| matches!(node.state, NodeState::Starting | NodeState::Stopped))
    };
    let coming: Vec<String> = cluster.nodes.keys().filter(expected).map(ToString::to_string).collect();
    if !coming.is_empty() {
        return Some(format!("node {} is not ready yet", coming.join(", ")));
    }
    let ready = observed.nodes.values().filter(|n| n.roles.broker && n.state == NodeState::Ready).count();
    let wanted = usize::try_from(topic.replicas.unwrap_or(1)).unwrap_or(1);
    (ready < wanted).then(|| format!("{wanted} replicas need {wanted} brokers, and {ready} are ready"))
}

fn adjust(topic: &DesiredTopic, is: &ObservedTopic, plan: &mut Plan) {
    let (count, factor) = (is.partition_count(), is.replication_factor());
    match topic.partitions {
        Some(wanted) if wanted > count => {
            plan.actions.push(Action::GrowTopic { topic: topic.name.clone(), from: count, to: wanted });
        }
        Some(wanted) if wanted < count => {
            hold(topic, Reason::PartitionDecreaseRefused, shrinking(count, wanted), plan);
        }
        _ => {}
    }
    if let Some(wanted) = topic.replicas.filter(|wanted| *wanted != factor) {
        hold(topic, Reason::ReplicasChangeRefused, other_replicas(factor, wanted), plan);
    }
    let set: BTreeMap<String, String> = topic
        .config
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
        .filter(|(key, value)| is.config.get(key) != Some(value))
        .collect();
    let reset: BTreeSet<String> =
        is.config.keys().filter(|key| !topic.config.contains_key(*key)).cloned().collect();
    if !set.is_empty() || !reset.is_empty() {
        plan.actions.push(Action::AlterTopicConfig { topic: topic.name.clone(), set, reset });
    }
}

fn hold(topic: &DesiredTopic, reason: Reason, message: String, plan: &mut Plan) {
    plan.held.push(Held { subject: topic.subject(), reason, message });
}
