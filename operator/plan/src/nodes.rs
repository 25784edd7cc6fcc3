//! Plans nodes: found the quorum, create, start, configure, and restart one at a time.

use std::collections::{BTreeMap, BTreeSet};

use klamm_operator_api::conditions::Reason;

use crate::action::Action;
use crate::desired::{DesiredCluster, Roles};
use crate::disruption;
use crate::observed::{NodeState, Observed, ObservedNode, Properties};
use crate::plan::{Held, Plan};
use crate::render;

/// Appends what has to be done about nodes.
pub fn plan(cluster: &DesiredCluster, observed: &Observed, plan: &mut Plan) {
    hold_shrinking(cluster, observed, plan);
    let Some(voters) = &observed.voters else {
        return plan.actions.push(Action::FoundQuorum { voters: cluster.controllers() });
    };
    hold_other_voters(cluster, voters, plan);
    let nodes = effective_nodes(cluster, observed, voters);
    let lacking: Vec<i32> =
        nodes.keys().copied().filter(|id| lacks_addresses(cluster, observed, *id)).collect();
    if !lacking.is_empty() {
        return plan.actions.extend(lacking.into_iter().map(|node| Action::ReserveAddresses { node }));
    }
    let before = plan.actions.len();
    let mut wanted = BTreeMap::new();
    for (node, roles) in nodes {
        let Some(properties) = render::properties(cluster, observed, node, roles, voters) else { continue };
        converge(node, roles, &properties, observed.nodes.get(&node), plan);
        wanted.insert(node, properties);
    }
    let starting =
        plan.actions[before..].iter().any(|action| !matches!(action, Action::UpdateNodeConfig { .. }));
    if !starting {
        restart_one(cluster, observed, &wanted, plan);
    }
}

/// Every node that should exist or does exist. What exists keeps its roles, and nothing is ever taken away.
fn effective_nodes(
    cluster: &DesiredCluster,
    observed: &Observed,
    voters: &BTreeSet<i32>,
) -> BTreeMap<i32, Roles> {
    let wanted = cluster.nodes.iter().map(|(id, roles)| {
        let controller = voters.contains(id);
        (*id, Roles { controller, ..*roles })
    });
    wanted.chain(observed.nodes.iter().map(|(id, node)| (*id, node.roles))).collect()
}

fn lacks_addresses(cluster: &DesiredCluster, observed: &Observed, node: i32) -> bool {
    let Some(place) = observed.places.get(&node) else { return true };
    cluster.listeners.iter().any(|listener| !place.listeners.contains_key(&listener.name))
}

/// Brings one node to exist, to have its configuration stored, and to run.
fn converge(node: i32, roles: Roles, wanted: &Properties, is: Option<&ObservedNode>, plan: &mut Plan) {
    let properties = wanted.clone();
    let Some(is) = is else {
        return plan.actions.push(Action::CreateNode { node, roles, properties });
    };
    if is.stored != *wanted {
        plan.actions.push(Action::UpdateNodeConfig { node, properties });
    }
    if is.state == NodeState::Stopped {
        plan.actions.push(Action::StartNode { node });
    }
}

/// Restarts one of the nodes that run with something else than they should, if that hurts nobody.
fn restart_one(
    cluster: &DesiredCluster,
    observed: &Observed,
    wanted: &BTreeMap<i32, Properties>,
    plan: &mut Plan,
) {
    let mut due = BTreeMap::new();
    for (node, is) in &observed.nodes {
        let (Some(running), Some(wanted)) = (&is.running, wanted.get(node)) else { continue };
        if is.state == NodeState::Stopping {
            continue;
        }
        let changed = render::restart_needed_for(running, wanted);
        if !changed.is_empty() {
            due.insert(*node, changed);
        }
    }
    let Some((node, changed)) = next(&due, observed) else { return };
    match obstacle(node, observed) {
        None => plan.actions.push(Action::RestartNode { node, changed }),
        Some(obstacle) => plan.held.push(Held {
            subject: cluster.subject(),
            reason: Reason::RollBlocked,
            message: format!("node {node} is due for a restart, which waits: {obstacle}"),
        }),
    }
}

/// Which node goes first: one that does not serve anyway, then by id, the active controller last.
fn next(due: &BTreeMap<i32, BTreeSet<String>>, observed: &Observed) -> Option<(i32, BTreeSet<String>)> {
    let rank = |node: &i32| {
        let serves = observed.nodes.get(node).is_some_and(|is| is.state == NodeState::Ready);
        (serves, observed.active_controller == Some(*node), *node)
    };
    let node = *due.keys().min_by_key(|node| rank(node))?;
    Some((node, due.get(&node)?.clone()))
}

/// What forbids restarting the node now.
fn obstacle(node: i32, observed: &Observed) -> Option<String> {
    let down = |(id, is): &(&i32, &ObservedNode)| **id != node && is.state != NodeState::Ready;
    let others: Vec<String> = observed
        .nodes
        .iter()
        .filter(down)
        .map(|(id, is)| format!("node {id} is {}", is.state.as_str()))
        .collect();
    let is_ready = observed.nodes.get(&node).is_some_and(|is| is.state == NodeState::Ready);
    let nobody_serves = !is_ready && others.len() + 1 == observed.nodes.len();
    if nobody_serves {
        return None;
    }
    if !others.is_empty() {
        return Some(others.join(", "));
    }
    if !is_ready {
        return None;
    }
    let Some(topics) = &observed.topics else {
        return Some("the cluster does not say how its partitions are".into());
    };
    let blockers = disruption::blockers(node, topics);
    (!blockers.is_empty()).then(|| disruption::summary(&blockers))
}

fn hold_shrinking(cluster: &DesiredCluster, observed: &Observed, plan: &mut Plan) {
    let surplus: Vec<String> =
        observed.nodes.keys().filter(|id| !cluster.nodes.contains_key(id)).map(ToString::to_string).collect();
    if !surplus.is_empty() {
        plan.held.push(Held {
            subject: cluster.subject(),
            reason: Reason::ScaleDownRefused,
            message: format!(
                "node {} stays: scaling down is refused, as nodes that hold data cannot be drained yet; \
                 set spec.kafka.replicas back to {}",
                surplus.join(", "),
                observed.nodes.len()
            ),
        });
    }
}

fn hold_other_voters(cluster: &DesiredCluster, voters: &BTreeSet<i32>, plan: &mut Plan) {
    let (is, wanted) = (voters.len(), cluster.controllers().len());
    if is != wanted {
        plan.held.push(Held {
            subject: cluster.subject(),
            reason: Reason::ControllersChangeRefused,
            message: format!(
                "the quorum keeps its {is} controllers instead of {wanted}, as it cannot be resized yet; \
                 set spec.kafka.controllers to {is}"
            ),
        });
    }
}
