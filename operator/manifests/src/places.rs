//! Where nodes can be reached. Within Kubernetes everything follows from names; for the outside the addresses are
//! found in what Kubernetes has made of the Services.
//!
//! Every node has a place at any time. Where an address for the outside is not known yet, clients are told the one
//! within Kubernetes for the time being: a load balancer that never comes must not keep brokers from serving.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use klamm_operator_plan::observed::{Address, HostPort, Place, Properties};

use crate::cluster::{Cluster, Entry, Exposure, External, Listener};
use crate::{bootstrap, labels, names, node_address, pod};

/// Every address of the own machine.
const ANY: &str = "0.0.0.0";

/// What addresses for the outside are found in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings<'a> {
    /// The Services of the cluster, as they are.
    pub services: &'a [Service],
    /// The pods of the cluster, as they are.
    pub pods: &'a [Pod],
    /// The machines of Kubernetes; none if they may not be looked at.
    pub machines: Option<&'a [Node]>,
    /// The properties that nodes would start with next. While a pod or a Service is not there, the address stays what it was.
    pub stored: Option<&'a BTreeMap<i32, Properties>>,
}

/// Where nodes can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The place of each node.
    pub places: BTreeMap<i32, Place>,
    /// Addresses for the outside that are not known yet.
    pub pending: Vec<Pending>,
}

/// An address for the outside that is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The listener.
    pub listener: String,
    /// The node; none for the bootstrap address.
    pub node: Option<i32>,
    /// What is waited for, as a part of a sentence.
    pub waits_for: String,
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listener {} waits for {}", self.listener, self.waits_for)
    }
}

/// Where these nodes of a cluster can be reached.
pub fn places(cluster: &Cluster, nodes: &BTreeSet<i32>, around: Surroundings<'_>) -> Places {
    let mut found = Places::default();
    for node in nodes {
        let host = names::host(&cluster.name, &cluster.namespace, *node);
        let mut listeners = BTreeMap::new();
        for listener in &cluster.listeners {
            let within = HostPort { host: host.clone(), port: listener.port };
            let advertised = advertised(cluster, listener, *node, around).unwrap_or_else(|waits_for| {
                let name = listener.name.clone();
                found.pending.push(Pending { listener: name, node: Some(*node), waits_for });
                // A Service that was deleted is back in a moment, most often with the same address.
                told(around, *node, listener)
            });
            let advertised = advertised.unwrap_or(within);
            listeners.insert(listener.name.clone(), Address { bind: any(listener.port), advertised });
        }
        let controller = Address {
            bind: any(pod::CONTROLLER_PORT),
            advertised: HostPort { host, port: pod::CONTROLLER_PORT },
        };
        let (http, data_dir) = (any(pod::HTTP_PORT), pod::DATA_DIR.to_owned());
        found.places.insert(*node, Place { listeners, controller, http, data_dir });
    }
    found.pending.extend(cluster.listeners.iter().filter_map(|one| bootstrap::pending(cluster, one, around)));
    found
}

/// What clients outside are told: none for a listener within Kubernetes, an error that says what is waited for.
fn advertised(
    cluster: &Cluster,
    listener: &Listener,
    node: i32,
    around: Surroundings<'_>,
) -> Result<Option<HostPort>, String> {
    let Some(external) = listener.exposure.external() else { return Ok(None) };
    let default = Entry::default();
    let entry = external.brokers.get(&node).unwrap_or(&default);
    let name = names::external_broker(&cluster.name, &listener.name, node);
    let service = around.services.iter().find(|service| service.metadata.name.as_ref() == Some(&name));
    let (host, port) = match &listener.exposure {
        Exposure::LoadBalancer(_) => (service.and_then(load_balancer), Some(listener.port)),
        _ => (machine(external, listener, node, around), service.and_then(node_port)),
    };
    let host = entry.advertised_host.clone().or(host);
    let port = entry.advertised_port.or(port);
    match (host, port) {
        (Some(host), Some(port)) => Ok(Some(HostPort { host, port })),
        (_, None) => Err(format!("the port of Service {name}")),
        (None, _) if matches!(listener.exposure, Exposure::LoadBalancer(_)) => {
            Err(format!("the load balancer of Service {name}"))
        }
        (None, _) => Err(format!("a machine that pod {} runs on", names::pod(&cluster.name, node))),
    }
}

/// The address of the machine that the node's pod runs on; before it runs, what was told last; and before that any
/// machine, as long as each lets everybody through to the pod.
fn machine(external: &External, listener: &Listener, node: i32, around: Surroundings<'_>) -> Option<String> {
    let preferred = external.preferred_address.as_deref();
    let pod = around.pods.iter().find(|pod| labels::node_of(pod) == Some(node));
    if let Some(address) = pod.and_then(|pod| node_address::of_pod(pod, around.machines, preferred)) {
        return Some(address.to_owned());
    }
    let told = told(around, node, listener);
    if told.is_some() || external.only_local {
        return told.map(|told| told.host);
    }
    let ready: Vec<&str> = around
        .machines
        .unwrap_or_default()
        .iter()
        .filter(|machine| node_address::is_ready(machine))
        .filter_map(|machine| node_address::of_machine(machine, preferred))
        .collect();
    let turn = usize::try_from(node).ok()?.checked_rem(ready.len())?;
    Some((*ready.get(turn)?).to_owned())
}

/// What a node's stored properties tell clients of a listener, unless it is the address within Kubernetes.
fn told(around: Surroundings<'_>, node: i32, listener: &Listener) -> Option<HostPort> {
    let prefix = format!("{}://", listener.name.to_uppercase());
    let mut all = around.stored?.get(&node)?.get("advertised.listeners")?.split(',');
    let (host, port) = all.find_map(|one| one.strip_prefix(&prefix))?.rsplit_once(':')?;
    (!host.ends_with(".svc")).then_some(HostPort { host: host.to_owned(), port: port.parse().ok()? })
}

/// The port that a Service has on every machine.
pub(crate) fn node_port(service: &Service) -> Option<u16> {
    let port = service.spec.as_ref()?.ports.as_ref()?.first()?.node_port?;
    u16::try_from(port).ok().filter(|port| *port != 0)
}

/// The host of a Service's load balancer.
pub(crate) fn load_balancer(service: &Service) -> Option<String> {
    let ingress = service.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref()?.first()?;
    let host = [&ingress.hostname, &ingress.ip].into_iter().flatten().find(|host| !host.is_empty())?;
    Some(host.clone())
}

fn any(port: u16) -> HostPort {
    HostPort { host: ANY.into(), port }
}
