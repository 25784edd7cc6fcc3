//! Plans nodes: found the quorum, create, start and configure them. Restarts are the business of [`roll`].

use std::collections::{BTreeMap, BTreeSet};

use klamm_operator_api::conditions::Reason;

use crate::action::Action;
use crate::desired::{DesiredCluster, Roles};
use crate::observed::{NodeState, Observed, ObservedNode, Properties};
use crate::plan::{Held, Plan};
use crate::{render, roll};

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
    roll::plan(cluster, observed, &wanted, starting, plan);
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
