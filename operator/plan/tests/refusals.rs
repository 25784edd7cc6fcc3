//! What is refused before anything is planned, with the way out.

#![allow(clippy::unwrap_used)]

mod support;

use klamm_operator_api::conditions::Reason;
use klamm_operator_api::listener::{Listener, ListenerType};
use klamm_operator_api::storage::{Storage, StorageType};
use klamm_operator_plan::{change, validate};
use support::{cluster, problems, resources, topic, valid};

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
fn a_cluster_that_services_cannot_be_named_after_is_refused() {
    let mut named = cluster(1, None, &[]);
    named.metadata.name = Some("My.Cluster".into());
    let found = problems(resources(named, vec![]));
    assert!(
        found[0].contains("metadata.name: \"My.Cluster\" cannot be")
            && found[0].contains("up to 35 lower-case letters"),
        "{found:?}"
    );
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
fn unknown_configuration_is_refused_with_the_nearest_name() {
    let found = problems(resources(cluster(1, None, &[("min.insync.replica", "1")]), vec![]));
    assert!(found[0].contains("did you mean min.insync.replicas?"), "{found:?}");
    let found = problems(resources(cluster(1, None, &[("log.retention.hours", "soon")]), vec![]));
    assert!(found[0].contains("log.retention.hours: it cannot be \"soon\""), "{found:?}");
    let found =
        problems(resources(cluster(1, None, &[]), vec![topic("t", 1, 1, &[("retention.m", Some("1"))])]));
    assert!(found[0].contains("spec.config.retention.m: brokers know no such property"), "{found:?}");
    assert!(validate(&resources(cluster(1, None, &[("klamm.anything", "1")]), vec![])).is_ok());
}

#[test]
fn storage_neither_shrinks_nor_changes_its_class_or_type() {
    let of = |size: &str, class: Option<&str>, type_| {
        let mut cluster = cluster(1, None, &[]);
        let (size, class) = (Some(size.to_owned()), class.map(str::to_owned));
        cluster.spec.kafka.storage = Some(Storage { type_, size, class, delete_claim: None });
        valid(resources(cluster, vec![]))
    };
    let claim = |size, class| of(size, class, StorageType::PersistentClaim);
    let old = claim("10Gi", Some("fast"));
    assert_eq!(change::problems(&old, &claim("20Gi", Some("fast"))), []);
    assert_eq!(change::problems(&old, &claim("10240Mi", Some("fast"))), []);
    for (new, named) in [
        (claim("9Gi", Some("fast")), "volumes grow and never shrink"),
        (claim("10Gi", None), "set it back to fast"),
        (of("10Gi", None, StorageType::Ephemeral), "the type of storage cannot be changed"),
    ] {
        let found = change::problems(&old, &new);
        assert_eq!(found[0].reason, Reason::StorageChangeRefused);
        assert!(found[0].message.contains(named), "{found:?}");
    }
}

#[test]
fn the_first_listener_is_internal_and_ports_are_given_once() {
    let listener = |name: &str, port, type_| Listener {
        name: name.into(),
        port,
        type_,
        tls: None,
        network_policy_peers: None,
        configuration: None,
    };
    let with = |listeners| {
        let mut cluster = cluster(1, None, &[]);
        cluster.spec.kafka.listeners = Some(listeners);
        validate(&resources(cluster, vec![]))
    };
    let inside = listener("plain", 9092, ListenerType::Internal);
    assert!(with(vec![inside.clone(), listener("out", 9094, ListenerType::Nodeport)]).is_ok());
    assert!(with(vec![listener("kafka", 9092, ListenerType::Internal)]).is_ok());
    for (listeners, named) in [
        (
            vec![listener("out", 9094, ListenerType::Nodeport), inside.clone()],
            "put one of type internal first",
        ),
        (vec![inside.clone(), listener("out", 9092, ListenerType::Nodeport)], "port 9092 is taken"),
        (vec![inside.clone(), listener("kafka", 9094, ListenerType::Nodeport)], "choose another name"),
        (vec![listener("plain", 8080, ListenerType::Internal)], "choose one from 9092"),
        (vec![inside.clone(), inside], "two listeners named plain"),
    ] {
        let found = with(listeners).unwrap_err();
        assert!(found[0].message.contains(named), "{found:?}");
    }
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
