//! What clients put into `bootstrap.servers`, by listener.

use k8s_openapi::api::core::v1::Service;
use klamm_operator_plan::observed::HostPort;

use crate::cluster::{Cluster, Exposure, Listener};
use crate::names;
use crate::places::{self, Pending, Places, Surroundings};

/// Where clients of a listener begin. Without addresses while those for the outside are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// The listener.
    pub listener: String,
    /// The addresses, of which one suffices.
    pub addresses: Vec<HostPort>,
}

impl Bootstrap {
    /// The addresses as one line.
    pub fn servers(&self) -> String {
        self.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

/// Where clients of each listener begin.
pub fn bootstrap(cluster: &Cluster, found: &Places, around: Surroundings<'_>) -> Vec<Bootstrap> {
    let one = |listener: &Listener| Bootstrap {
        listener: listener.name.clone(),
        addresses: addresses(cluster, listener, found, around),
    };
    cluster.listeners.iter().map(one).collect()
}

fn addresses(
    cluster: &Cluster,
    listener: &Listener,
    found: &Places,
    around: Surroundings<'_>,
) -> Vec<HostPort> {
    let service = service_of(cluster, listener, around);
    match &listener.exposure {
        Exposure::Internal => {
            let host = names::bootstrap_host(&cluster.name, &cluster.namespace);
            vec![HostPort { host, port: listener.port }]
        }
        Exposure::LoadBalancer(_) => {
            let host = service.and_then(places::load_balancer);
            host.map(|host| HostPort { host, port: listener.port }).into_iter().collect()
        }
        Exposure::NodePort(_) => {
            let Some(port) = service.and_then(places::node_port) else { return Vec::new() };
            let hosts = machines_of(cluster, listener, found);
            hosts.into_iter().map(|host| HostPort { host, port }).collect()
        }
    }
}

fn service_of<'a>(cluster: &Cluster, listener: &Listener, around: Surroundings<'a>) -> Option<&'a Service> {
    let name = names::external_bootstrap(&cluster.name, &listener.name);
    around.services.iter().find(|service| service.metadata.name.as_ref() == Some(&name))
}

/// What the address to begin with waits for, if it is for the outside and not known yet.
pub(crate) fn pending(cluster: &Cluster, listener: &Listener, around: Surroundings<'_>) -> Option<Pending> {
    let (name, service) =
        (names::external_bootstrap(&cluster.name, &listener.name), service_of(cluster, listener, around));
    let waits_for = match &listener.exposure {
        Exposure::LoadBalancer(_) if service.and_then(places::load_balancer).is_none() => {
            format!("the load balancer of Service {name}")
        }
        Exposure::NodePort(_) if service.and_then(places::node_port).is_none() => {
            format!("the port of Service {name}")
        }
        _ => return None,
    };
    Some(Pending { listener: listener.name.clone(), node: None, waits_for })
}

/// The hosts that brokers advertise for a listener, each once.
fn machines_of(cluster: &Cluster, listener: &Listener, found: &Places) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for (node, place) in &found.places {
        let within = names::host(&cluster.name, &cluster.namespace, *node);
        let Some(address) = place.listeners.get(&listener.name) else { continue };
        let host = &address.advertised.host;
        if *host != within && !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    hosts
}
