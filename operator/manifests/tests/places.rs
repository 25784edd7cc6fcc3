//! Where nodes are reached, and what clients outside are told.
#![allow(clippy::unwrap_used)] // In a test a panic is a failure.

mod support;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use klamm_operator_manifests::bootstrap::bootstrap;
use klamm_operator_manifests::cluster::{Cluster, Exposure, External};
use klamm_operator_manifests::{Places, Surroundings, places};
use serde_json::json;

use support::{
    everything, from, internal, listener, machine, pod_on, properties, quickstart, rendered, services,
};

fn ids(count: i32) -> BTreeSet<i32> {
    (0..count).collect()
}

fn with(exposure: Exposure) -> Cluster {
    Cluster {
        listeners: vec![internal("plaintext", 9092), listener("outside", 9094, exposure)],
        ..quickstart()
    }
}

fn told(found: &Places, listener: &str) -> Vec<String> {
    found.places.values().map(|place| place.listeners[listener].advertised.to_string()).collect()
}

/// The Services of a cluster as they are once Kubernetes has given them ports: 30000 and up.
fn live_services(cluster: &Cluster) -> Vec<Service> {
    let mut all = services(&rendered(cluster, 3));
    for (number, service) in all.iter_mut().enumerate() {
        for port in service.spec.iter_mut().flat_map(|spec| spec.ports.iter_mut().flatten()) {
            port.node_port.get_or_insert_with(|| 30000 + i32::try_from(number).unwrap());
        }
    }
    all
}

fn three_machines() -> Vec<Node> {
    let one = |i: u8| {
        let (internal, external) = (format!("10.0.0.{i}"), format!("203.0.113.{i}"));
        machine(&format!("m{i}"), true, &[("InternalIP", &internal), ("ExternalIP", &external)])
    };
    [1, 2, 3].map(one).to_vec()
}

/// The pods of three nodes, the other way round than the machines.
fn three_pods() -> Vec<Pod> {
    [(0, "m3", "10.0.0.3"), (1, "m2", "10.0.0.2"), (2, "m1", "10.0.0.1")]
        .map(|(id, m, ip)| pod_on(id, m, ip))
        .to_vec()
}

#[test]
fn within_kubernetes_everything_follows_from_names() {
    let found = places(&quickstart(), &ids(3), Surroundings::default());
    let place = &found.places[&2];
    assert_eq!(place.listeners["plaintext"].bind.to_string(), "0.0.0.0:9092");
    let host = "quickstart-kafka-2.quickstart-kafka-brokers.default.svc";
    assert_eq!(place.listeners["plaintext"].advertised.to_string(), format!("{host}:9092"));
    assert_eq!(place.controller.advertised.to_string(), format!("{host}:9090"));
    assert_eq!(place.http.to_string(), "0.0.0.0:8080");
    assert_eq!(place.data_dir, "/var/lib/kafka/data/klamm");
    assert!(found.pending.is_empty());
    let begin = bootstrap(&quickstart(), &found, Surroundings::default());
    assert_eq!(begin[0].servers(), "quickstart-kafka-bootstrap.default.svc:9092");
}

#[test]
fn a_node_port_is_told_with_the_machine_that_the_pod_runs_on() {
    let cluster = with(Exposure::NodePort(External::default()));
    let (services, pods, machines) = (live_services(&cluster), three_pods(), three_machines());
    let around = Surroundings { services: &services, pods: &pods, machines: Some(&machines), stored: None };
    let found = places(&cluster, &ids(3), around);
    assert_eq!(told(&found, "outside"), ["203.0.113.3:30003", "203.0.113.2:30004", "203.0.113.1:30005"]);
    assert!(found.pending.is_empty());
    let begin = bootstrap(&cluster, &found, around);
    assert_eq!(begin[1].servers(), "203.0.113.3:30002,203.0.113.2:30002,203.0.113.1:30002");
}

#[test]
fn the_preferred_kind_of_address_is_taken_where_a_machine_has_it() {
    let preferred_address = Some("InternalIP".to_owned());
    let cluster = with(Exposure::NodePort(External { preferred_address, ..External::default() }));
    let (services, pods, mut machines) = (live_services(&cluster), three_pods(), three_machines());
    machines[0] = machine("m1", true, &[("Hostname", "m1.example.com")]);
    let around = Surroundings { services: &services, pods: &pods, machines: Some(&machines), stored: None };
    let found = places(&cluster, &ids(3), around);
    assert_eq!(told(&found, "outside"), ["10.0.0.3:30003", "10.0.0.2:30004", "m1.example.com:30005"]);
}

#[test]
fn without_a_look_at_machines_the_pods_say_where_they_run() {
    let cluster = with(Exposure::NodePort(External::default()));
    let (services, pods) = (live_services(&cluster), three_pods());
    let around = Surroundings { services: &services, pods: &pods, machines: None, stored: None };
    let found = places(&cluster, &ids(3), around);
    assert_eq!(told(&found, "outside"), ["10.0.0.3:30003", "10.0.0.2:30004", "10.0.0.1:30005"]);
}

#[test]
fn while_a_pod_is_away_its_address_stays() {
    let cluster = with(Exposure::NodePort(External { only_local: true, ..External::default() }));
    let (services, pods, machines) = (live_services(&cluster), three_pods(), three_machines());
    let around = Surroundings { services: &services, pods: &pods, machines: Some(&machines), stored: None };
    let before = places(&cluster, &ids(3), around);
    let stored = properties(&cluster, &before);
    let around = Surroundings { pods: &pods[..1], stored: Some(&stored), ..around };
    assert_eq!(places(&cluster, &ids(3), around), before);
}

#[test]
fn while_a_service_is_away_its_address_stays_and_is_waited_for() {
    let exposures = [Exposure::NodePort(External::default()), Exposure::LoadBalancer(External::default())];
    for cluster in exposures.map(with) {
        let (mut services, pods, machines) = (live_services(&cluster), three_pods(), three_machines());
        for service in &mut services {
            service.status = Some(from(json!({ "loadBalancer": { "ingress": [{ "ip": "198.51.100.1" }] } })));
        }
        let around =
            Surroundings { services: &services, pods: &pods, machines: Some(&machines), stored: None };
        let before = places(&cluster, &ids(3), around);
        assert!(before.pending.is_empty());
        let stored = properties(&cluster, &before);
        let around = Surroundings { services: &[], stored: Some(&stored), ..around };
        let now = places(&cluster, &ids(3), around);
        assert_eq!(now.places, before.places);
        assert_eq!(now.pending.len(), 4);
    }
}

#[test]
fn before_a_pod_runs_any_machine_that_lets_everybody_through_is_told() {
    let (local, any) = (External { only_local: true, ..External::default() }, External::default());
    let machines = three_machines();
    for (external, first) in
        [(any, "203.0.113.1:30003"), (local, "quickstart-kafka-0.quickstart-kafka-brokers.default.svc:9094")]
    {
        let cluster = with(Exposure::NodePort(external));
        let services = live_services(&cluster);
        let around =
            Surroundings { services: &services, machines: Some(&machines), ..Surroundings::default() };
        let found = places(&cluster, &ids(3), around);
        assert_eq!(told(&found, "outside")[0], first);
        assert_eq!(found.pending.is_empty(), first.starts_with("203"));
    }
}

#[test]
fn a_load_balancer_is_told_once_it_is_there_and_holds_nobody_up() {
    let cluster = with(Exposure::LoadBalancer(External::default()));
    let mut services = live_services(&cluster);
    let balanced = |ingress| from(json!({ "loadBalancer": { "ingress": [ingress] } }));
    services[3].status = Some(balanced(json!({ "ip": "198.51.100.1" })));
    services[4].status = Some(balanced(json!({ "hostname": "lb.example.com" })));
    let around = Surroundings { services: &services, ..Surroundings::default() };
    let found = places(&cluster, &ids(3), around);
    let waiting = "quickstart-kafka-2.quickstart-kafka-brokers.default.svc:9094";
    assert_eq!(told(&found, "outside"), ["198.51.100.1:9094", "lb.example.com:9094", waiting]);
    let [pending, first] = &found.pending[..] else { panic!("two are pending") };
    assert_eq!(
        (first.node, first.waits_for.as_str()),
        (None, "the load balancer of Service quickstart-kafka-outside-bootstrap")
    );
    assert_eq!((pending.listener.as_str(), pending.node), ("outside", Some(2)));
    assert_eq!(pending.waits_for, "the load balancer of Service quickstart-kafka-outside-2");
    assert_eq!(bootstrap(&cluster, &found, around)[1].servers(), "");
}

#[test]
fn what_the_resource_says_is_told_takes_precedence() {
    let cluster = everything();
    let (services, pods, machines) = (live_services(&cluster), three_pods(), three_machines());
    let around = Surroundings { services: &services, pods: &pods, machines: Some(&machines), stored: None };
    let found = places(&cluster, &ids(3), around);
    assert_eq!(told(&found, "ports")[1], "broker-1.example.com:443");
    assert_eq!(told(&found, "ports")[0], "10.0.0.3:30003");
}
