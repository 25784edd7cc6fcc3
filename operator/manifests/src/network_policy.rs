//! Who may connect to a cluster's pods: clients to listeners, brokers to each other, the operator to all that it asks.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cluster::{Cluster, Operator};
use crate::{labels, names, pod};

/// The label that every namespace has, with its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The policy. Health and metrics change nothing and may be read by anybody; only brokers reach the controllers. Ports
/// are named, so that a pod that still listens on the port of before stays reachable until it is its turn to change.
pub fn network_policy(cluster: &Cluster) -> NetworkPolicy {
    let brokers = NetworkPolicyPeer {
        pod_selector: Some(labels::label_selector(cluster)),
        ..NetworkPolicyPeer::default()
    };
    let every_port = NetworkPolicyIngressRule { from: Some(vec![brokers]), ports: None };
    let mut ingress = vec![every_port];
    if let Some(operator) = &cluster.operator {
        let listeners = cluster.listeners.iter().map(|listener| names::port(&listener.name)).collect();
        ingress.push(rule(listeners, Some(vec![peer(operator)])));
    }
    ingress.push(rule(vec![pod::HTTP_PORT_NAME.to_owned()], None));
    for listener in &cluster.listeners {
        let peers = listener.peers.clone().filter(|peers| !peers.is_empty());
        ingress.push(rule(vec![names::port(&listener.name)], peers));
    }
    NetworkPolicy {
        metadata: labels::metadata(cluster, names::pool(&cluster.name)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels::label_selector(cluster)),
            policy_types: Some(vec!["Ingress".into()]),
            ingress: Some(ingress),
            ..NetworkPolicySpec::default()
        }),
    }
}

fn peer(operator: &Operator) -> NetworkPolicyPeer {
    let namespace = [(NAMESPACE_NAME.to_owned(), operator.namespace.clone())].into();
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector { match_labels: Some(namespace), ..LabelSelector::default() }),
        pod_selector: Some(LabelSelector {
            match_labels: Some(operator.labels.clone()),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn rule(ports: Vec<String>, from: Option<Vec<NetworkPolicyPeer>>) -> NetworkPolicyIngressRule {
    let port = |name| NetworkPolicyPort {
        port: Some(IntOrString::String(name)),
        protocol: Some("TCP".into()),
        ..NetworkPolicyPort::default()
    };
    NetworkPolicyIngressRule { from, ports: Some(ports.into_iter().map(port).collect()) }
}
