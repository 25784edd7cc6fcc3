//! Topics: grown, configured, given to one of several resources, deleted.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use klamm_operator_api::KafkaTopicStatus;
use klamm_operator_api::conditions::{ConditionStatus, Reason};
use klamm_operator_api::topic::DeletionPolicy;
use klamm_operator_plan::{Action, Subject, admit, change, plan, status};
use support::{apply, at, cluster, converged, resources, topic, valid};

#[test]
fn of_two_resources_for_one_topic_the_oldest_wins_and_both_say_so() {
    let made = |name: &str, second: i64| {
        let mut made = topic(name, 1, 1, &[]);
        made.spec.topic_name = Some("orders".into());
        made.metadata.creation_timestamp = Some(at(second));
        made
    };
    let admitted = admit(&resources(cluster(1, None, &[]), vec![made("a", 2), made("b", 1), made("c", 2)]));
    let desired = admitted.desired.unwrap();
    assert_eq!(desired.topics["orders"].resource, "b");
    let failures = status::failures(&admitted.problems);
    for loser in ["a", "c"] {
        let failure = &failures[&Subject::Topic(loser.into())];
        assert_eq!(failure.reason, Reason::ResourceConflict);
        assert!(failure.message.contains(&format!("KafkaTopic b and KafkaTopic {loser}")), "{failure:?}");
    }
    let observed = converged(&desired);
    let winner = status::topic(&desired.topics["orders"], &plan(&desired, &observed), &failures);
    assert_eq!((winner.status, winner.reason), (ConditionStatus::True, Reason::Applied));
    assert!(winner.message.contains("KafkaTopic a and KafkaTopic c"), "{}", winner.message);
}

#[test]
fn a_topic_that_is_wrong_concerns_nobody_but_itself() {
    let admitted =
        admit(&resources(cluster(1, None, &[]), vec![topic("a", 1, 3, &[]), topic("b", 1, 1, &[])]));
    assert_eq!(admitted.desired.unwrap().topics.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(admitted.problems[0].reason, Reason::ReplicasNotSatisfiable);
    let admitted = admit(&resources(cluster(2, None, &[]), vec![topic("b", 1, 1, &[])]));
    assert_eq!(admitted.desired, None);
}

#[test]
fn a_topic_goes_with_its_resource_only_if_that_says_so_and_has_had_this_very_topic() {
    let going = |policy, id: Option<&str>| {
        let mut going = topic("orders", 1, 1, &[]);
        going.spec.deletion_policy = Some(policy);
        going.metadata.deletion_timestamp = Some(at(9));
        let topic_id = id.map(str::to_owned);
        going.status = Some(KafkaTopicStatus { topic_id, ..KafkaTopicStatus::default() });
        going
    };
    let with = |topics| admit(&resources(cluster(1, None, &[]), topics)).desired.unwrap();
    let mut observed = converged(&with(vec![topic("orders", 1, 1, &[])]));
    let delete = Action::DeleteTopic { topic: "orders".into(), id: "id".into() };
    let released = BTreeSet::from(["orders".to_owned()]);
    for (resource, actions) in [
        (going(DeletionPolicy::Delete, Some("id")), vec![delete.clone()]),
        (going(DeletionPolicy::Retain, Some("id")), vec![]),
        (going(DeletionPolicy::Delete, Some("another")), vec![]),
        (going(DeletionPolicy::Delete, None), vec![]),
    ] {
        let planned = plan(&with(vec![resource]), &observed);
        assert_eq!(planned.released.is_empty(), !actions.is_empty());
        assert_eq!(planned.actions, actions);
    }
    let doomed = with(vec![going(DeletionPolicy::Delete, Some("id"))]);
    let mut unknown = observed.clone();
    unknown.topics = None;
    let planned = plan(&doomed, &unknown);
    assert_eq!((planned.actions.len(), planned.released.len()), (0, 0));
    assert_eq!(planned.held[0].reason, Reason::ClusterNotReady);
    apply(&delete, &mut observed);
    assert_eq!(plan(&doomed, &observed).released, released);
}

#[test]
fn a_topic_that_another_resource_names_stays_when_one_of_them_goes() {
    let mut going = topic("going", 1, 1, &[]);
    going.spec.topic_name = Some("orders".into());
    going.spec.deletion_policy = Some(DeletionPolicy::Delete);
    going.metadata.deletion_timestamp = Some(at(9));
    going.metadata.creation_timestamp = Some(at(1));
    let topic_id = Some("id".to_owned());
    going.status = Some(KafkaTopicStatus { topic_id, ..KafkaTopicStatus::default() });
    let mut staying = topic("orders", 1, 1, &[]);
    staying.metadata.creation_timestamp = Some(at(2));
    let desired =
        admit(&resources(cluster(1, None, &[]), vec![going.clone(), staying.clone()])).desired.unwrap();
    let planned = plan(&desired, &converged(&desired));
    assert_eq!(planned.actions, []);
    assert_eq!(planned.released, BTreeSet::from(["going".to_owned()]));
    // A younger one that wants the deletion does not decide over an older one that does not.
    going.metadata.creation_timestamp = Some(at(3));
    staying.metadata.deletion_timestamp = Some(at(9));
    let desired = admit(&resources(cluster(1, None, &[]), vec![going, staying])).desired.unwrap();
    assert!(desired.leaving.values().all(|leaving| leaving.delete.is_none()), "{:?}", desired.leaving);
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
fn topic_configuration_is_set_and_reset_and_null_is_left_alone() {
    let before = valid(resources(
        cluster(1, None, &[]),
        vec![topic("t", 1, 1, &[("retention.ms", Some("1")), ("segment.ms", Some("1"))])],
    ));
    let mut observed = converged(&before);
    let config = &mut observed.topics.as_mut().unwrap().get_mut("t").unwrap().config;
    config.insert("retention.bytes".into(), "7".into());
    let after = [("retention.ms", Some("2")), ("retention.bytes", None)];
    let after = valid(resources(cluster(1, None, &[]), vec![topic("t", 1, 1, &after)]));
    let planned = plan(&after, &observed).actions;
    assert_eq!(planned[0].to_string(), "AlterTopicConfig: t, retention.ms=2, segment.ms to its default");
}
