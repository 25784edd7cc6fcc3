//! Services: the names of pods, the bootstrap address, and the ways in from outside.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cluster::{Cluster, Entry, Exposure, External, Listener};
use crate::labels::{self, Labels};
use crate::{drift, names, pod};

/// The Services of a cluster, sealed. Addresses for the outside are known only once they exist, so they come first.
#[derive(Clone, Debug, PartialEq)]
pub struct Services {
    /// Gives each pod a name.
    pub headless: Service,
    /// In front of all brokers, within Kubernetes.
    pub bootstrap: Service,
    /// For each external listener the bootstrap Service and one for each broker.
    pub external: Vec<Service>,
}

/// The Services of a cluster with these nodes.
pub fn services(cluster: &Cluster, nodes: &BTreeSet<i32>) -> Services {
    let external = cluster.listeners.iter().filter_map(|listener| {
        listener.exposure.external().map(|external| of_listener(cluster, listener, external, nodes))
    });
    Services {
        headless: drift::seal(headless(cluster)),
        bootstrap: drift::seal(bootstrap(cluster)),
        external: external.flatten().map(drift::seal).collect(),
    }
}

/// Pods have names before they are ready: a quorum has to find itself before anybody can be ready.
fn headless(cluster: &Cluster) -> Service {
    let mut ports = listener_ports(cluster);
    ports.push(port(pod::CONTROLLER_PORT_NAME, pod::CONTROLLER_PORT));
    ports.push(port(pod::HTTP_PORT_NAME, pod::HTTP_PORT));
    let spec = ServiceSpec {
        cluster_ip: Some("None".into()),
        publish_not_ready_addresses: Some(true),
        selector: Some(labels::selector(cluster)),
        ports: Some(ports),
        ..ServiceSpec::default()
    };
    service(cluster, names::headless(&cluster.name), spec)
}

fn bootstrap(cluster: &Cluster) -> Service {
    let spec = ServiceSpec {
        type_: Some("ClusterIP".into()),
        selector: Some(labels::selector(cluster)),
        ports: Some(listener_ports(cluster)),
        ..ServiceSpec::default()
    };
    service(cluster, names::bootstrap(&cluster.name), spec)
}

fn of_listener(
    cluster: &Cluster,
    listener: &Listener,
    external: &External,
    nodes: &BTreeSet<i32>,
) -> Vec<Service> {
    let name = names::external_bootstrap(&cluster.name, &listener.name);
    let to_all = labels::selector(cluster);
    let mut services = vec![to_outside(cluster, listener, &external.bootstrap, name, to_all, false)];
    for node in nodes {
        let default = Entry::default();
        let entry = external.brokers.get(node).unwrap_or(&default);
        let name = names::external_broker(&cluster.name, &listener.name, *node);
        let mut to_one = labels::selector(cluster);
        to_one.insert(labels::POD_NAME.into(), names::pod(&cluster.name, *node));
        services.push(to_outside(cluster, listener, entry, name, to_one, true));
    }
    services
}

/// A broker that catches up may lead partitions that nobody else has, so the way to it is open before it is ready.
fn to_outside(
    cluster: &Cluster,
    listener: &Listener,
    entry: &Entry,
    name: String,
    selector: Labels,
    to_one: bool,
) -> Service {
    let only_local = listener.exposure.external().is_some_and(|external| external.only_local);
    let kind =
        if matches!(listener.exposure, Exposure::LoadBalancer(_)) { "LoadBalancer" } else { "NodePort" };
    let mut port = port(&names::port(&listener.name), listener.port);
    port.node_port = entry.node_port;
    let spec = ServiceSpec {
        type_: Some(kind.into()),
        external_traffic_policy: Some(if only_local { "Local" } else { "Cluster" }.into()),
        publish_not_ready_addresses: to_one.then_some(true),
        selector: Some(selector),
        ports: Some(vec![port]),
        ..ServiceSpec::default()
    };
    let mut service = service(cluster, name, spec);
    if !entry.annotations.is_empty() {
        service.metadata.annotations = Some(entry.annotations.clone());
    }
    service
}

fn listener_ports(cluster: &Cluster) -> Vec<ServicePort> {
    cluster.listeners.iter().map(|listener| port(&names::port(&listener.name), listener.port)).collect()
}

fn port(name: &str, number: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number.into(),
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".into()),
        ..ServicePort::default()
    }
}

fn service(cluster: &Cluster, name: String, spec: ServiceSpec) -> Service {
    Service { metadata: labels::metadata(cluster, name), spec: Some(spec), status: None }
}
