//! Restarts: one node at a time, and only with the controller's leave.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use klamm_operator_api::conditions::Reason;
use klamm_operator_api::status::RollState;
use klamm_operator_plan::observed::{Grant, NodeState, Observed, Properties};
use klamm_operator_plan::{Action, plan, status};
use support::{apply, cluster, converged, names, resources, topic, valid};

#[test]
fn a_changed_configuration_rolls_one_node_after_another() {
    let mut observed = converged(&valid(resources(cluster(3, None, &[]), vec![])));
    observed.active_controller = Some(0);
    let changed = valid(resources(cluster(3, None, &[("log.retention.hours", "1")]), vec![]));
    let planned = plan(&changed, &observed);
    let expected = ["UpdateNodeConfig", "UpdateNodeConfig", "UpdateNodeConfig", "RequestDisruption"];
    assert_eq!(names(&planned.actions), expected);
    let mut order = Vec::new();
    loop {
        let planned = plan(&changed, &observed);
        if planned.actions.is_empty() {
            break;
        }
        order.extend(planned.actions.iter().filter(|a| a.is_disruptive()).filter_map(Action::node));
        planned.actions.iter().for_each(|action| apply(action, &mut observed));
    }
    assert_eq!(order, [1, 2, 0], "the active controller goes last");
}

#[test]
fn a_roll_waits_for_a_partition_out_of_sync_and_names_it() {
    let topics = || vec![topic("orders", 1, 3, &[])];
    let mut observed = converged(&valid(resources(cluster(3, None, &[]), topics())));
    observed.topics.as_mut().unwrap().get_mut("orders").unwrap().partitions[0].isr = vec![0, 1];
    let changed = valid(resources(cluster(3, None, &[("log.retention.hours", "1")]), topics()));
    for _ in 0..4 {
        plan(&changed, &observed).actions.iter().for_each(|action| apply(action, &mut observed));
    }
    let planned = plan(&changed, &observed);
    assert_eq!(planned.actions, []);
    assert_eq!(planned.held[0].reason, Reason::RollBlocked);
    assert!(planned.held[0].message.contains("orders-0 is not in sync"), "{:?}", planned.held);
    assert!(!planned.held[0].needs_a_person());
    let operations = status::operations(&changed, &observed, &planned).unwrap().roll.unwrap();
    assert_eq!(operations.brokers[1].blockers, ["orders-0 is not in sync"]);
    assert_eq!(operations.brokers[1].reasons, ["log.retention.hours"]);
    observed.topics.as_mut().unwrap().get_mut("orders").unwrap().partitions[0].isr = vec![0, 1, 2];
    observed.refusals.clear();
    while !plan(&changed, &observed).actions.is_empty() {
        plan(&changed, &observed).actions.iter().for_each(|action| apply(action, &mut observed));
    }
    assert_eq!(status::operations(&changed, &observed, &plan(&changed, &observed)), None);
}

#[test]
fn a_grant_is_given_back_only_when_the_node_is_in_every_isr_again() {
    let desired = valid(resources(cluster(3, None, &[]), vec![]));
    let mut observed = converged(&desired);
    observed.disruption = Some(Grant { node: 1, id: 7, restored: false, unused: false });
    let waiting = plan(&desired, &observed);
    assert_eq!(waiting.actions, []);
    assert_eq!(waiting.held[0].reason, Reason::RestartWaiting);
    assert_eq!(waiting.roll[&1].state, RollState::CatchingUp);
    observed.disruption = Some(Grant { node: 1, id: 7, restored: true, unused: false });
    assert_eq!(plan(&desired, &observed).actions, [Action::EndDisruption { node: 1 }]);
}

#[test]
fn a_change_that_is_reverted_before_its_restart_lets_its_grant_go() {
    let before = valid(resources(cluster(3, None, &[]), vec![]));
    let mut observed = converged(&before);
    let changed = valid(resources(cluster(3, None, &[("log.retention.hours", "1")]), vec![]));
    plan(&changed, &observed).actions.iter().for_each(|action| apply(action, &mut observed));
    let node = observed.disruption.as_ref().unwrap().node;
    assert!(plan(&changed, &observed).actions.iter().any(Action::is_disruptive));
    let reverted = plan(&before, &observed);
    assert!(reverted.actions.contains(&Action::EndDisruption { node }), "{:?}", reverted.actions);
    assert!(!reverted.actions.iter().any(Action::is_disruptive));
    assert_eq!((reverted.held, reverted.roll.len()), (vec![], 0));
}

#[test]
fn another_image_rolls_like_another_property() {
    let desired = valid(resources(cluster(3, None, &[]), vec![]));
    let mut observed = converged(&desired);
    observed.nodes.get_mut(&2).unwrap().outdated.insert("image".into());
    let reasons = BTreeSet::from(["image".to_owned()]);
    assert_eq!(plan(&desired, &observed).actions, [Action::RequestDisruption { node: 2, reasons }]);
}

#[test]
fn a_node_that_does_not_come_back_keeps_the_others_from_being_restarted() {
    let before = valid(resources(cluster(3, None, &[]), vec![]));
    let mut observed = converged(&before);
    observed.active_controller = Some(0);
    let changed = valid(resources(cluster(3, None, &[("log.retention.hours", "1")]), vec![]));
    plan(&changed, &observed).actions.iter().for_each(|action| apply(action, &mut observed));
    plan(&changed, &observed).actions.iter().for_each(|action| apply(action, &mut observed));
    let grant = observed.disruption.take().unwrap();
    let broken = observed.nodes.get_mut(&grant.node).unwrap();
    (broken.state, broken.running) = (NodeState::BackingOff, None);
    let planned = plan(&changed, &observed);
    assert_eq!(planned.actions, []);
    assert!(
        planned.held[0].message.contains(&format!("node {} is BackingOff", grant.node)),
        "{:?}",
        planned.held
    );
    // An edit that may cure it is taken up by the broken node first.
    observed.nodes.get_mut(&grant.node).unwrap().running = Some(Properties::new());
    let planned = plan(&changed, &observed);
    assert!(matches!(planned.actions[0], Action::RequestDisruption { node, .. } if node == grant.node));
}

#[test]
fn without_a_quorum_only_nodes_that_do_not_serve_are_touched() {
    let before = valid(resources(cluster(3, None, &[]), vec![]));
    let mut observed = converged(&before);
    let changed = valid(resources(cluster(3, None, &[("log.retention.hours", "1")]), vec![]));
    for node in [1, 2] {
        observed.nodes.get_mut(&node).unwrap().state = NodeState::Unready;
    }
    let restarted = |observed: &Observed| {
        let actions = plan(&changed, observed).actions;
        actions.iter().filter(|action| action.is_disruptive()).filter_map(Action::node).collect::<Vec<_>>()
    };
    assert_eq!(restarted(&observed), [1]);
    observed.active_controller = Some(0);
    assert_eq!(restarted(&observed), Vec::<i32>::new(), "whoever can be asked must be asked");
}

#[test]
fn whoever_waits_for_its_turn_names_the_node_that_is_away() {
    let mut observed = converged(&valid(resources(cluster(3, None, &[]), vec![])));
    observed.disruption = Some(Grant { node: 1, id: 7, restored: false, unused: false });
    observed.nodes.get_mut(&1).unwrap().state = NodeState::Stopping;
    let changed = valid(resources(cluster(3, None, &[("log.retention.hours", "1")]), vec![]));
    let planned = plan(&changed, &observed);
    assert!(!planned.actions.iter().any(Action::is_disruptive), "{:?}", planned.actions);
    for other in [0, 2] {
        assert_eq!(planned.roll[&other].state, RollState::Waiting);
        assert_eq!(planned.roll[&other].blockers, ["node 1 is Stopping"]);
    }
}
