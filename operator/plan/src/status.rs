//! Conditions from what is wanted, what is there, what is planned and what failed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use klamm_operator_api::conditions::{ConditionStatus, ConditionType, Reason, Verdict};
use klamm_operator_api::status::{Operations, Roll, RollBroker};

use crate::action::Action;
use crate::desired::{DesiredTopic, LeavingTopic, Validated};
use crate::observed::{NodeState, Observed};
use crate::plan::{Held, Plan, RollStep};
use crate::resources::{Problem, Subject};

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

/// What is under way; none at rest.
pub fn operations(_: &Validated, _: &Observed, plan: &Plan) -> Option<Operations> {
    let broker = |(id, step): (&i32, &RollStep)| RollBroker {
        id: *id,
        reasons: step.reasons.iter().cloned().collect(),
        state: step.state,
        blockers: step.blockers.clone(),
    };
    let brokers: Vec<RollBroker> = plan.roll.iter().map(broker).collect();
    (!brokers.is_empty()).then_some(Operations { roll: Some(Roll { brokers }) })
}

/// Problems as failures: one for each resource, with all that is wrong with it.
pub fn failures(problems: &[Problem]) -> Failures {
    let mut failures = Failures::new();
    for problem in problems {
        let sentence = format!("{}: {}", problem.path.join("."), problem.message);
        match failures.entry(problem.subject.clone()) {
            Entry::Vacant(none) => drop(none.insert(Failure { reason: problem.reason, message: sentence })),
            Entry::Occupied(mut other) => {
                let message = &mut other.get_mut().message;
                message.push_str("; ");
                message.push_str(&sentence);
            }
        }
    }
    failures
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
        (true, Reason::Applied, conflict(topic))
    };
    Verdict { type_: ConditionType::Ready, status: status.into(), reason, message }
}

/// Says of a topic that is applied which other resources name it, and are not.
fn conflict(topic: &DesiredTopic) -> String {
    let rivals: Vec<String> = topic.rivals.iter().map(|rival| format!("KafkaTopic {rival}")).collect();
    match rivals.is_empty() {
        true => String::new(),
        false => format!(
            "topic {} is also named by {}, which is younger and not applied: rename or remove one of them",
            topic.name,
            rivals.join(" and ")
        ),
    }
}

/// A resource that is being deleted: what its topic waits for.
pub fn leaving(resource: &str, topic: &LeavingTopic, plan: &Plan, failures: &Failures) -> Verdict {
    let subject = Subject::Topic(resource.to_owned());
    let held = plan.held.iter().find(|held| held.subject == subject);
    let (reason, message) = match (failures.get(&subject), held) {
        (Some(failure), _) => (failure.reason, failure.message.clone()),
        (None, Some(held)) => (held.reason, held.message.clone()),
        (None, None) => (Reason::DeletingTopic, format!("topic {} is being deleted", topic.name)),
    };
    Verdict { type_: ConditionType::Ready, status: ConditionStatus::False, reason, message }
}

fn ready(desired: &Validated, observed: &Observed) -> Verdict {
    let state = |id: &i32| observed.nodes.get(id).map(|node| node.state);
    let surplus = observed.nodes.keys().filter(|id| !desired.cluster.nodes.contains_key(id));
    let all = desired.cluster.nodes.keys().chain(surplus).copied();
    let down: Vec<i32> = all.filter(|id| state(id) != Some(NodeState::Ready)).collect();
    let describe = |id: &i32| format!("node {id} is {}", state(id).map_or("not created", NodeState::as_str));
    let missing: Vec<String> = down.iter().map(describe).collect();
    let first_start = |id: &i32| matches!(state(id), None | Some(NodeState::Starting));
    let serves = observed.nodes.values().any(|node| node.state == NodeState::Ready);
    let granted = observed.disruption.as_ref().map(|grant| grant.node);
    if missing.is_empty() && !observed.pending.is_empty() {
        let (reason, message) = (Reason::ListenerPending, observed.pending.join(", "));
        return Verdict { type_: ConditionType::Ready, status: ConditionStatus::False, reason, message };
    }
    let reason = match missing.is_empty() {
        true => Reason::AllHealthy,
        false if desired.cluster.nodes.keys().all(first_start) => Reason::Creating,
        false if !serves => Reason::BrokersUnavailable,
        false if observed.quorum_lost() => Reason::QuorumLost,
        false if down.iter().all(|id| Some(*id) == granted) => Reason::Rolling,
        false => Reason::NodesUnavailable,
    };
    let status = missing.is_empty().into();
    Verdict { type_: ConditionType::Ready, status, reason, message: missing.join(", ") }
}

fn reconciling(observed: &Observed, plan: &Plan) -> Verdict {
    let reason = |action: &Action| match action {
        Action::RequestDisruption { .. }
        | Action::EndDisruption { .. }
        | Action::RestartNode { .. }
        | Action::UpdateNodeConfig { .. } => Reason::Rolling,
        Action::CreateTopic { .. } | Action::GrowTopic { .. } | Action::AlterTopicConfig { .. } => {
            Reason::ApplyingTopics
        }
        _ if observed.nodes.is_empty() => Reason::Creating,
        Action::StartNode { .. } => Reason::NodesUnavailable,
        _ => Reason::ScalingUp,
    };
    let rolling =
        plan.held.iter().find(|held| matches!(held.reason, Reason::RollBlocked | Reason::RestartWaiting));
    // Asking once more is no news as long as the answer is not another one.
    let news = plan.actions.iter().find(|action| !matches!(action, Action::RequestDisruption { .. }));
    let (status, reason, message) = match (news.or_else(|| plan.actions.first()), rolling) {
        (Some(Action::RequestDisruption { .. }) | None, Some(held)) => {
            (true, Reason::Rolling, held.message.clone())
        }
        (Some(action), _) => (true, reason(action), action.to_string()),
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
