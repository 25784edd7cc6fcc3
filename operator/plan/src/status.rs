//! Conditions from what is wanted, what is there, what is planned and what failed.

use std::collections::BTreeMap;

use klamm_operator_api::conditions::{ConditionStatus, ConditionType, Reason, Verdict};

use crate::action::Action;
use crate::desired::{DesiredTopic, Validated};
use crate::observed::{NodeState, Observed};
use crate::plan::{Held, Plan};
use crate::resources::Subject;

/// What the executor could not do, by resource.
pub type Failures = BTreeMap<Subject, Failure>;

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The word.
    pub reason: Reason,
    /// The error, with the way out.
    pub message: String,
}

/// Ready, Reconciling and Stalled of the cluster.
pub fn cluster(desired: &Validated, observed: &Observed, plan: &Plan, failures: &Failures) -> Vec<Verdict> {
    let subject = desired.cluster.subject();
    let held: Vec<&Held> = plan.held.iter().filter(|held| held.subject == subject).collect();
    vec![ready(desired, observed), reconciling(observed, plan), stalled(&held, failures.get(&subject))]
}

/// Ready of a topic.
pub fn topic(topic: &DesiredTopic, plan: &Plan, failures: &Failures) -> Verdict {
    let subject = topic.subject();
    let (status, reason, message) = if let Some(failure) = failures.get(&subject) {
        (false, failure.reason, failure.message.clone())
    } else if let Some(held) = plan.held.iter().find(|held| held.subject == subject) {
        (false, held.reason, held.message.clone())
    } else if let Some(action) = plan.actions.iter().find(|a| a.topic() == Some(&topic.name)) {
        (false, Reason::ApplyingTopics, action.to_string())
    } else {
        (true, Reason::Applied, String::new())
    };
    Verdict { type_: ConditionType::Ready, status: status.into(), reason, message }
}

fn ready(desired: &Validated, observed: &Observed) -> Verdict {
    let state = |id: &i32| observed.nodes.get(id).map(|node| node.state);
    let missing: Vec<String> = desired
        .cluster
        .nodes
        .keys()
        .chain(observed.nodes.keys().filter(|id| !desired.cluster.nodes.contains_key(id)))
        .filter(|id| state(id) != Some(NodeState::Ready))
        .map(|id| format!("node {id} is {}", state(id).map_or("not created", NodeState::as_str)))
        .collect();
    let first_start = |id: &i32| matches!(state(id), None | Some(NodeState::Starting));
    let reason = match missing.is_empty() {
        true => Reason::AllHealthy,
        false if desired.cluster.nodes.keys().all(first_start) => Reason::Creating,
        false => Reason::NodesUnavailable,
    };
    let status = missing.is_empty().into();
    Verdict { type_: ConditionType::Ready, status, reason, message: missing.join(", ") }
}

fn reconciling(observed: &Observed, plan: &Plan) -> Verdict {
    let reason = |action: &Action| match action {
        Action::RestartNode { .. } | Action::UpdateNodeConfig { .. } => Reason::Rolling,
        Action::CreateTopic { .. } | Action::GrowTopic { .. } | Action::AlterTopicConfig { .. } => {
            Reason::ApplyingTopics
        }
        _ if observed.nodes.is_empty() => Reason::Creating,
        Action::StartNode { .. } => Reason::NodesUnavailable,
        _ => Reason::ScalingUp,
    };
    let rolling = plan.held.iter().find(|held| held.reason == Reason::RollBlocked);
    let (status, reason, message) = match (plan.actions.first(), rolling) {
        (Some(action), _) => (true, reason(action), action.to_string()),
        (None, Some(held)) => (true, Reason::Rolling, held.message.clone()),
        (None, None) => (false, Reason::UpToDate, String::new()),
    };
    Verdict { type_: ConditionType::Reconciling, status: status.into(), reason, message }
}

fn stalled(held: &[&Held], failure: Option<&Failure>) -> Verdict {
    let blocked =
        held.iter().find(|held| held.needs_a_person()).map(|held| (held.reason, held.message.clone()));
    let failed = failure.map(|failure| (failure.reason, failure.message.clone()));
    let (status, (reason, message)) = match failed.or(blocked) {
        Some(why) => (ConditionStatus::True, why),
        None => (ConditionStatus::False, (Reason::Progressing, String::new())),
    };
    Verdict { type_: ConditionType::Stalled, status, reason, message }
}
