//! Single cases of validating, planning and rendering that people rely on.

#![allow(clippy::unwrap_used)]

mod support;

use klamm_operator_api::conditions::{ConditionStatus, ConditionType, Reason};
use klamm_operator_plan::observed::NodeState;
use klamm_operator_plan::{Action, Observed, Validated, change, plan, status, validate};
use support::{apply, cluster, resources, topic};

fn valid(resources: klamm_operator_plan::Resources) -> Validated {
    validate(&resources).unwrap()
}

fn problems(resources: klamm_operator_plan::Resources) -> Vec<String> {
    validate(&resources).unwrap_err().iter().map(ToString::to_string).collect()
}

fn converged(desired: &Validated) -> Observed {
    let mut observed = Observed::default();
    loop {
        let planned = plan(desired, &observed);
        if planned.actions.is_empty() {
            return observed;
        }
        planned.actions.iter().for_each(|action| apply(action, &mut observed));
    }
}

fn names(actions: &[Action]) -> Vec<&'static str> {
    actions.iter().map(Action::name).collect()
}

#[test]
fn two_controllers_are_refused_with_the_way_out() {
    let found = problems(resources(cluster(3, Some(2), &[]), vec![]));
    assert_eq!(
        found,
        ["KafkaCluster c: spec.kafka.controllers: 2 controllers survive no more failures than 1: \
          set an odd number, 1, 3 or 5"]
    );
    let found = problems(resources(cluster(2, None, &[]), vec![]));
    assert!(found[0].contains("set replicas to 3, or controllers to 1"), "{found:?}");
}

#[test]
fn a_topic_name_with_a_slash_is_refused_naming_the_slash() {
    let mut slashed = topic("orders", 1, 1, &[]);
    slashed.spec.topic_name = Some("a/b".into());
    let found = problems(resources(cluster(1, None, &[]), vec![slashed]));
    assert!(found[0].contains("spec.topicName") && found[0].contains("contains '/'"), "{found:?}");
}

#[test]
fn a_topic_named_twice_is_refused_naming_both_resources() {
    let mut other = topic("second", 1, 1, &[]);
    other.spec.topic_name = Some("orders".into());
    let found = problems(resources(cluster(1, None, &[]), vec![topic("orders", 1, 1, &[]), other]));
    assert!(found[0].contains("KafkaTopic orders and KafkaTopic second"), "{found:?}");
}

#[test]
fn a_topic_of_another_cluster_is_refused_with_the_nearest_name() {
    let mut lost = topic("orders", 1, 1, &[]);
    lost.spec.cluster_ref.as_mut().unwrap().name = "d".into();
    let found = problems(resources(cluster(1, None, &[]), vec![lost]));
    assert!(found[0].contains("there is no KafkaCluster d; there is c"), "{found:?}");
}

#[test]
fn more_replicas_than_brokers_are_refused() {
    let found = problems(resources(cluster(1, None, &[]), vec![topic("orders", 1, 3, &[])]));
    assert!(found[0].contains("spec.replicas: 3 replicas need 3 brokers"), "{found:?}");
}

#[test]
fn a_derived_property_is_refused_in_config() {
    let found = problems(resources(cluster(1, None, &[("node.id", "7")]), vec![]));
    assert!(found[0].contains("spec.kafka.config.node.id: it cannot be set here"), "{found:?}");
}

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
fn partitions_grow_and_never_shrink() {
    let three = valid(resources(cluster(1, None, &[]), vec![topic("orders", 3, 1, &[])]));
    let two = valid(resources(cluster(1, None, &[]), vec![topic("orders", 2, 1, &[])]));
    let five = valid(resources(cluster(1, None, &[]), vec![topic("orders", 5, 1, &[])]));
    let observed = converged(&three);
    let grow = Action::GrowTopic { topic: "orders".into(), from: 3, to: 5 };
    assert_eq!(plan(&five, &observed).actions, [grow]);
    let refused = plan(&two, &observed);
    assert_eq!(refused.actions, []);
    assert_eq!(refused.held[0].reason, Reason::PartitionDecreaseRefused);
    assert!(
        change::problems(&three, &two)[0].to_string().contains("spec.partitions: 2 partitions where 3 exist")
    );
}

#[test]
fn a_changed_configuration_rolls_one_node_after_another() {
    let mut observed = converged(&valid(resources(cluster(3, None, &[]), vec![])));
    observed.active_controller = Some(0);
    let changed = valid(resources(cluster(3, None, &[("log.retention.hours", "1")]), vec![]));
    let planned = plan(&changed, &observed);
    let expected = ["UpdateNodeConfig", "UpdateNodeConfig", "UpdateNodeConfig", "RestartNode"];
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
    let planned = plan(&changed, &observed);
    assert!(!planned.actions.iter().any(Action::is_disruptive));
    assert_eq!(planned.held[0].reason, Reason::RollBlocked);
    assert!(planned.held[0].message.contains("orders-0 has 2 of 3 replicas in sync"));
    assert!(!planned.held[0].needs_a_person());
}

#[test]
fn topic_configuration_is_set_and_reset_and_null_is_left_alone() {
    let before = valid(resources(
        cluster(1, None, &[]),
        vec![topic("t", 1, 1, &[("a", Some("1")), ("b", Some("1"))])],
    ));
    let mut observed = converged(&before);
    let config = &mut observed.topics.as_mut().unwrap().get_mut("t").unwrap().config;
    config.insert("c".into(), "by hand".into());
    let after = [("a", Some("2")), ("c", None)];
    let after = valid(resources(cluster(1, None, &[]), vec![topic("t", 1, 1, &after)]));
    let planned = plan(&after, &observed).actions;
    assert_eq!(planned[0].to_string(), "AlterTopicConfig: t, a=2, b to its default");
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
