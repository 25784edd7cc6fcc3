//! Clients outside of the cluster: addresses are discovered and advertised.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::api::{CLUSTER, NODE, SERVICE, condition_of, is_true, until};
use crate::bed::Bed;
use crate::kafka::Cluster;
use crate::manifest::{EXTERNAL, cluster};
use crate::namespace::Namespace;

const PATIENCE: Duration = Duration::from_secs(90);

/// Each broker advertises an address of a node and the port of its own service there.
pub fn node_ports_serve(bed: &Bed) -> Result<String> {
    let busy = bed.busy()?;
    let nodes = bed.kubernetes.list("", NODE, "")?;
    let hosts: Vec<&Value> = nodes
        .iter()
        .flat_map(|n| n["status"]["addresses"].as_array())
        .flatten()
        .map(|a| &a["address"])
        .collect();
    let status = busy.cluster().get()?["status"]["listeners"].clone();
    let listener = status.as_array().into_iter().flatten().find(|l| l["name"] == EXTERNAL);
    let addresses = listener.and_then(|l| l["addresses"].as_array()).context("no addresses")?;
    ensure!(!addresses.is_empty() && addresses.iter().all(|a| hosts.contains(&&a["host"])), "{addresses:?}");
    busy.traffic.flows(20)?;
    busy.cluster().bootstrap(EXTERNAL)
}

/// Addresses that a load balancer hands out, here the test: until they are there the cluster says what it waits for.
pub fn load_balancers_serve(bed: &Bed) -> Result<String> {
    let namespace = Namespace::create(&bed.kubernetes, "e2e-balanced")?;
    let mut manifest = cluster("balanced", 3);
    if let Some(listeners) = manifest["spec"]["kafka"]["listeners"].as_array_mut() {
        listeners.push(json!({ "name": EXTERNAL, "port": 9094, "type": "loadbalancer" }));
    }
    namespace.apply(&manifest)?;
    let balanced = Cluster { namespace: &namespace, name: "balanced" };
    let waiting = namespace.until(CLUSTER, "balanced", "waits for addresses", |cluster| {
        !is_true(cluster, "Ready")
            && condition_of(cluster, "Ready")["message"].to_string().contains("balanced-kafka-external")
    })?;
    let given = hand_out_addresses(&balanced)?;
    ensure!(given == 4, "{given} services of type LoadBalancer");
    balanced.settled()?;
    balanced.topic("balanced", 3)?;
    let bootstrap = balanced.bootstrap(EXTERNAL)?;
    ensure!(bootstrap.starts_with("10.92."), "{bootstrap}");
    namespace.client()?.exchange(&bootstrap, "balanced", &["through", "the", "balancer"])?;
    Ok(condition_of(&waiting, "Ready")["message"].to_string())
}

/// An address for every service that waits for one; kube-proxy takes traffic to it on every node.
fn hand_out_addresses(cluster: &Cluster<'_>) -> Result<usize> {
    until(PATIENCE, "services wait for addresses", || {
        let waiting: Vec<_> =
            cluster.services()?.into_iter().filter(|(_, s)| s["spec"]["type"] == "LoadBalancer").collect();
        Ok((waiting.len() == 4).then_some(()))
    })?;
    let mut given = 0;
    for (name, service) in cluster.services()? {
        if service["spec"]["type"] == "LoadBalancer" {
            given += 1;
            let status = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": format!("10.92.0.{given}") }] } } });
            let namespace = cluster.namespace;
            namespace.kubernetes().merge_status(namespace.name(), SERVICE, &name, &status)?;
        }
    }
    Ok(given)
}
