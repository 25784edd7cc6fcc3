//! Single cases of planning and rendering that people rely on.

#![allow(clippy::unwrap_used)]

mod support;

use klamm_operator_api::conditions::{ConditionStatus, ConditionType, Reason};
use klamm_operator_plan::observed::NodeState;
use klamm_operator_plan::{Action, Observed, change, plan, status};
use support::{apply, cluster, converged, names, resources, topic, valid};

#[test]
fn a_fresh_cluster_is_founded_addressed_created_and_then_given_its_topics() {
    let desired = valid(resources(cluster(3, None, &[]), vec![topic("orders", 3, 3, &[])]));
    let mut observed = Observed::default();
    let mut rounds = Vec::new();
    loop {
        let planned = plan(&desired, &observed);
        if planned.actions.is_empty() {
            break;
        }
        rounds.push(names(&planned.actions));
        planned.actions.iter().for_each(|action| apply(action, &mut observed));
    }
    let expected: [&[&str]; 4] =
        [&["FoundQuorum"], &["ReserveAddresses"; 3], &["CreateNode"; 3], &["CreateTopic"]];
    assert_eq!(rounds, expected);
}

#[test]
fn rendered_properties_are_kafkas() {
    let observed = converged(&valid(resources(cluster(4, None, &[("min.insync.replicas", "2")]), vec![])));
    let combined = &observed.nodes[&0].stored;
    assert_eq!(combined["process.roles"], "broker,controller");
    assert_eq!(combined["listeners"], "PLAINTEXT://node-0:9092,CONTROLLER://node-0:9090");
    assert_eq!(combined["advertised.listeners"], "PLAINTEXT://node-0:9092");
    assert_eq!(combined["controller.quorum.voters"], "0@node-0:9090,1@node-1:9090,2@node-2:9090");
    assert_eq!(combined["listener.security.protocol.map"], "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT");
    assert_eq!(combined["offsets.topic.replication.factor"], "3");
    assert_eq!(combined["min.insync.replicas"], "2");
    let broker = &observed.nodes[&3].stored;
    assert_eq!(broker["process.roles"], "broker");
    assert_eq!(broker["listeners"], "PLAINTEXT://node-3:9092");
}

#[test]
fn a_fourth_node_is_a_broker_and_restarts_nobody() {
    let mut observed = converged(&valid(resources(cluster(3, None, &[]), vec![])));
    let grown = valid(resources(cluster(4, None, &[]), vec![]));
    assert_eq!(names(&plan(&grown, &observed).actions), ["ReserveAddresses"]);
    plan(&grown, &observed).actions.iter().for_each(|action| apply(action, &mut observed));
    assert_eq!(names(&plan(&grown, &observed).actions), ["CreateNode"]);
}

#[test]
fn fewer_nodes_are_refused_and_what_exists_stays() {
    let five = valid(resources(cluster(5, None, &[]), vec![]));
    let three = valid(resources(cluster(3, None, &[]), vec![]));
    assert!(change::problems(&five, &three)[0].message.contains("set it back to 5"));
    let mut observed = converged(&five);
    observed.nodes.get_mut(&4).unwrap().state = NodeState::Stopped;
    let planned = plan(&three, &observed);
    assert_eq!(planned.held[0].reason, Reason::ScaleDownRefused);
    assert!(planned.held[0].message.starts_with("node 3, 4 stays"), "{}", planned.held[0].message);
    assert!(planned.actions.contains(&Action::StartNode { node: 4 }));
}

#[test]
fn another_number_of_controllers_is_refused() {
    let one = valid(resources(cluster(1, None, &[]), vec![]));
    let three = valid(resources(cluster(3, None, &[]), vec![]));
    assert!(change::problems(&one, &three)[0].message.contains("set controllers to 1"));
    let planned = plan(&three, &converged(&one));
    assert_eq!(planned.held[0].reason, Reason::ControllersChangeRefused);
}

#[test]
fn conditions_say_what_is_missing_and_what_needs_a_person() {
    let desired = valid(resources(cluster(3, None, &[]), vec![]));
    let mut observed = converged(&desired);
    observed.nodes.get_mut(&1).unwrap().state = NodeState::BackingOff;
    let verdicts = status::cluster(&desired, &observed, &plan(&desired, &observed), &status::Failures::new());
    let of = |type_| verdicts.iter().find(|verdict| verdict.type_ == type_).unwrap();
    assert_eq!(of(ConditionType::Ready).status, ConditionStatus::False);
    assert_eq!(of(ConditionType::Ready).message, "node 1 is BackingOff");
    assert_eq!(of(ConditionType::Stalled).status, ConditionStatus::False);
}

#[test]
fn a_cluster_whose_listeners_have_no_address_yet_is_not_ready_and_says_what_it_waits_for() {
    let desired = valid(resources(cluster(3, None, &[]), vec![]));
    let mut observed = converged(&desired);
    observed.pending = vec!["listener outside waits for the load balancer".into()];
    let verdicts = status::cluster(&desired, &observed, &plan(&desired, &observed), &status::Failures::new());
    let ready = &verdicts[0];
    assert_eq!((ready.status, ready.reason), (ConditionStatus::False, Reason::ListenerPending));
    assert_eq!(ready.message, observed.pending[0]);
}
