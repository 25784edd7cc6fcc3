//! The CEL rules of the generated definitions, judged as an API server judges them.

#![allow(clippy::unwrap_used)]

use klamm_operator_api::crds;
use kube_cel::{Validator, compile_schema};
use serde_json::{Value, json};

fn schema(kind: &str) -> Value {
    let crd = crds::all().into_iter().find(|crd| crd.definition.spec.names.kind == kind).unwrap();
    let schema = crd.definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.clone();
    serde_json::to_value(schema.unwrap()).unwrap()
}

/// The messages with which a new object, or a change of one, is refused.
fn refused(kind: &str, spec: Value, old: Option<Value>) -> Vec<String> {
    let object = |spec: Value| json!({"metadata": {"name": "a"}, "spec": spec});
    let old = old.map(object);
    match Validator::new().validate(&schema(kind), &object(spec), old.as_ref()) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
    }
}

fn cluster(kafka: Value, old: Option<Value>) -> Vec<String> {
    refused("KafkaCluster", json!({"kafka": kafka}), old.map(|kafka| json!({"kafka": kafka})))
}

fn topic(spec: Value, old: Option<Value>) -> Vec<String> {
    refused("KafkaTopic", spec, old)
}

#[track_caller]
fn assert_only(refused: &[String], expected: &str) {
    assert!(refused.len() == 1 && refused[0].contains(expected), "{refused:?}");
}

#[test]
fn every_rule_compiles() {
    for kind in ["KafkaCluster", "KafkaTopic"] {
        let schema = schema(kind);
        let compiled = compile_schema(&schema["properties"]["spec"]);
        assert!(compiled.compilation_errors().is_empty(), "{:?}", compiled.compilation_errors());
        assert!(!compile_schema(&schema).has_errors());
    }
}

#[test]
fn controllers_are_odd_and_run_on_nodes() {
    for good in [json!({"replicas": 1}), json!({"replicas": 3}), json!({"replicas": 2, "controllers": 1})] {
        assert_eq!(cluster(good, None), Vec::<String>::new());
    }
    assert_only(
        &cluster(json!({"replicas": 3, "controllers": 2}), None),
        "set spec.kafka.controllers to 1, 3 or 5",
    );
    assert_only(&cluster(json!({"replicas": 1, "controllers": 3}), None), "raise spec.kafka.replicas");
    assert_only(&cluster(json!({"replicas": 2}), None), "set spec.kafka.replicas to 3");
}

#[test]
fn nodes_are_added_and_not_taken_away() {
    let three = || Some(json!({"replicas": 3}));
    assert_eq!(cluster(json!({"replicas": 5}), three()), Vec::<String>::new());
    let fewer = cluster(json!({"replicas": 1, "controllers": 1}), three());
    assert!(fewer.iter().any(|message| message.contains("cannot be drained yet")), "{fewer:?}");
}

#[test]
fn the_quorum_keeps_its_size() {
    let one = || Some(json!({"replicas": 1}));
    assert_only(&cluster(json!({"replicas": 3}), one()), "keeps the size that it was founded with");
    assert_eq!(cluster(json!({"replicas": 3, "controllers": 1}), one()), Vec::<String>::new());
}

#[test]
fn listeners_are_plain_and_do_not_take_the_name_of_the_controllers() {
    let with = |listener: Value| cluster(json!({"replicas": 1, "listeners": [listener]}), None);
    assert_eq!(
        with(json!({"name": "a", "port": 9092, "type": "internal", "tls": false})),
        Vec::<String>::new()
    );
    assert_only(
        &with(json!({"name": "a", "port": 9092, "type": "internal", "tls": true})),
        "set tls to false",
    );
    let taken = with(json!({"name": "controller", "port": 9092, "type": "internal"}));
    assert_only(&taken, "choose another name");
}

#[test]
fn partitions_grow_and_never_shrink() {
    let three = || Some(json!({"partitions": 3}));
    assert_eq!(topic(json!({"partitions": 4}), three()), Vec::<String>::new());
    assert_only(&topic(json!({"partitions": 2}), three()), "set spec.partitions back");
}

#[test]
fn a_topic_is_neither_renamed_nor_moved() {
    let old = || Some(json!({"topicName": "a", "clusterRef": {"name": "c"}}));
    assert_eq!(topic(json!({"topicName": "a", "clusterRef": {"name": "c"}}), old()), Vec::<String>::new());
    assert_only(&topic(json!({"topicName": "b", "clusterRef": {"name": "c"}}), old()), "cannot be renamed");
    assert_only(&topic(json!({"clusterRef": {"name": "c"}}), old()), "cannot be renamed");
    assert_only(&topic(json!({"topicName": "a", "clusterRef": {"name": "d"}}), old()), "cannot move");
    assert_only(&topic(json!({"topicName": ".."}), None), "choose another name");
}
