//! Plans restarts: one node at a time, and only under a grant of the controller, which alone knows whom it would hurt.
//!
//! A node that is due is asked for ([`Action::RequestDisruption`]), restarted once the grant is there
//! ([`Action::RestartNode`]), and the grant is given back when the node is in every ISR again, or need not be restarted
//! any more ([`Action::EndDisruption`]). Without a grant only a node that does not serve is touched, and only while there is no
//! controller that could be asked.

use std::collections::{BTreeMap, BTreeSet};

use klamm_operator_api::conditions::Reason;
use klamm_operator_api::status::RollState;

use crate::action::Action;
use crate::desired::DesiredCluster;
use crate::observed::{Grant, NodeState, Observed, Properties};
use crate::plan::{Held, Plan, RollStep};
use crate::render;

/// What every node that is due does not run with yet.
type Due = BTreeMap<i32, BTreeSet<String>>;

/// Appends what has to be done about restarts. While nodes are being `starting`, none is taken away.
pub fn plan(
    cluster: &DesiredCluster,
    observed: &Observed,
    wanted: &BTreeMap<i32, Properties>,
    starting: bool,
    plan: &mut Plan,
) {
    let due = due(observed, wanted);
    for (node, reasons) in &due {
        let step = RollStep { reasons: reasons.clone(), state: RollState::Waiting, blockers: Vec::new() };
        plan.roll.insert(*node, step);
    }
    match &observed.disruption {
        Some(grant) => under_grant(grant, &due, cluster, observed, starting, plan),
        None if starting => {}
        None => ask(&due, cluster, observed, plan),
    }
}

/// Every node that runs with something else than it should.
fn due(observed: &Observed, wanted: &BTreeMap<i32, Properties>) -> Due {
    let mut due = Due::new();
    for (node, is) in &observed.nodes {
        let (Some(running), Some(wanted)) = (&is.running, wanted.get(node)) else { continue };
        let mut reasons = render::restart_needed_for(running, wanted);
        reasons.extend(is.outdated.iter().cloned());
        if is.state != NodeState::Stopping && !reasons.is_empty() {
            due.insert(*node, reasons);
        }
    }
    due
}

/// Goes on with the node that the controller has granted.
fn under_grant(
    grant: &Grant,
    due: &Due,
    cluster: &DesiredCluster,
    observed: &Observed,
    starting: bool,
    plan: &mut Plan,
) {
    let node = grant.node;
    let Some(is) = observed.nodes.get(&node) else {
        return plan.actions.push(Action::EndDisruption { node });
    };
    if let Some(reasons) = due.get(&node) {
        let others = others_down(node, observed);
        if is.state == NodeState::Ready && !others.is_empty() {
            return block(node, vec![others.join(", ")], cluster, plan);
        }
        set_state(node, RollState::Restarting, plan);
        if !starting {
            plan.actions.push(Action::RestartNode { node, changed: reasons.clone() });
        }
        return;
    }
    // A change that was reverted before its restart leaves nothing to wait for.
    if grant.unused || (is.state == NodeState::Ready && grant.restored) {
        return plan.actions.push(Action::EndDisruption { node });
    }
    let (state, message) = match is.state {
        NodeState::Ready => (RollState::CatchingUp, format!("node {node} is not back in every ISR yet")),
        other => (RollState::Restarting, format!("node {node} is {}", other.as_str())),
    };
    set_state(node, state, plan);
    for (_, step) in plan.roll.iter_mut().filter(|(other, _)| due.contains_key(other)) {
        step.blockers = vec![message.clone()];
    }
    plan.held.push(Held { subject: cluster.subject(), reason: Reason::RestartWaiting, message });
}

/// Asks for the next node, or says what stands in the way.
fn ask(due: &Due, cluster: &DesiredCluster, observed: &Observed, plan: &mut Plan) {
    for (node, refusal) in due.keys().filter_map(|node| Some((*node, observed.refusals.get(node)?))) {
        block(node, refusal.blockers.clone(), cluster, plan);
    }
    let Some(node) = next(due, observed) else { return };
    let serves = observed.nodes.get(&node).is_some_and(|is| is.state == NodeState::Ready);
    let reasons = due.get(&node).cloned().unwrap_or_default();
    if observed.serving().may_go_unasked(node) {
        set_state(node, RollState::Restarting, plan);
        return plan.actions.push(Action::RestartNode { node, changed: reasons });
    }
    if serves && observed.quorum_lost() {
        return block(node, vec!["too few controllers are ready to decide anything".into()], cluster, plan);
    }
    let others = others_down(node, observed);
    if serves && !others.is_empty() {
        return block(node, vec![others.join(", ")], cluster, plan);
    }
    plan.actions.push(Action::RequestDisruption { node, reasons });
}

/// Which node goes first: one that does not serve anyway, then one that was not refused, then by id, and the active
/// controller last. One that was refused is passed over until its refusal is stale.
fn next(due: &Due, observed: &Observed) -> Option<i32> {
    let serves = |node: &i32| observed.nodes.get(node).is_some_and(|is| is.state == NodeState::Ready);
    let is_last = |node: &i32| serves(node) && observed.active_controller == Some(*node) && due.len() > 1;
    let refusal = |node: &i32| observed.refusals.get(node);
    let open = due.keys().filter(|node| refusal(node).is_none_or(|refusal| refusal.stale) && !is_last(node));
    open.copied().min_by_key(|node| (serves(node), refusal(node).is_some(), *node))
}

/// The other nodes that do not serve, each with how it is.
fn others_down(node: i32, observed: &Observed) -> Vec<String> {
    let down = observed.nodes.iter().filter(|(id, is)| **id != node && is.state != NodeState::Ready);
    down.map(|(id, is)| format!("node {id} is {}", is.state.as_str())).collect()
}

fn set_state(node: i32, state: RollState, plan: &mut Plan) {
    let step = RollStep { reasons: BTreeSet::new(), state, blockers: Vec::new() };
    plan.roll.entry(node).or_insert(step).state = state;
}

fn block(node: i32, blockers: Vec<String>, cluster: &DesiredCluster, plan: &mut Plan) {
    set_state(node, RollState::Blocked, plan);
    let message = format!("node {node} is due for a restart, which waits: {}", summary(&blockers));
    plan.held.push(Held { subject: cluster.subject(), reason: Reason::RollBlocked, message });
    if let Some(step) = plan.roll.get_mut(&node) {
        step.blockers = blockers;
    }
}

/// The blockers as part of a sentence, the first few by name.
fn summary(blockers: &[String]) -> String {
    const NAMED: usize = 5;
    let named = blockers.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match blockers.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
