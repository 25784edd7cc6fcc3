//! The README's first minute.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::api::{
    CLAIM, CLUSTER, CONFIG_MAP, DISRUPTION_BUDGET, NETWORK_POLICY, NODE, POD, SERVICE_ACCOUNT, STATEFUL_SET,
    TOPIC, name_of, until,
};
use crate::bed::Bed;
use crate::command::kubectl;
use crate::kafka::Cluster;
use crate::namespace::Namespace;

/// The very file that `up` takes.
const EXAMPLE: &str = "examples/quickstart.yaml";
const MINUTE: Duration = Duration::from_secs(60);

/// The commands of the README, a message from a pod, and what a user then looks at.
pub fn becomes_ready_and_serves_a_pod(bed: &Bed) -> Result<String> {
    let namespace = Namespace::create(&bed.kubernetes, "e2e-quickstart")?;
    let name = namespace.name();
    let started = Instant::now();
    kubectl(&["apply", "-n", name, "-f", EXAMPLE])?;
    let wait = ["wait", "-n", name, "--timeout=90s", "--for=condition=Ready"];
    kubectl(&[&wait[..], &["kafkacluster/quickstart"]].concat())?;
    let ready = started.elapsed();
    kubectl(&[&wait[..], &["kafkatopic/orders", "kafkatopic/payment.success"]].concat())?;
    let cluster = Cluster { namespace: &namespace, name: "quickstart" };
    objects_are_as_promised(&cluster)?;
    columns_say_what_matters(name)?;
    let bootstrap = cluster.bootstrap("plaintext")?;
    namespace.client()?.exchange(&bootstrap, "orders", &["first", "second", "third"])?;
    events_name_actions(&cluster)?;
    deletion_leaves_claims(&cluster)?;
    Ok(format!("ready {:.1} s after apply", ready.as_secs_f64()))
}

fn objects_are_as_promised(cluster: &Cluster<'_>) -> Result<()> {
    let set = cluster.stateful_set()?;
    let spec = &set["spec"];
    ensure!(
        spec["updateStrategy"]["type"] == "OnDelete" && spec["podManagementPolicy"] == "Parallel",
        "{spec}"
    );
    ensure!(
        spec["persistentVolumeClaimRetentionPolicy"]
            == json!({ "whenDeleted": "Retain", "whenScaled": "Retain" }),
        "{spec}"
    );
    let services = cluster.services()?;
    let headless = services.get("quickstart-kafka-brokers").map(|s| s["spec"].clone()).unwrap_or_default();
    ensure!(headless["clusterIP"] == "None" && headless["publishNotReadyAddresses"] == true, "{headless}");
    ensure!(services.contains_key("quickstart-kafka-bootstrap"), "{:?}", services.keys());
    for kind in [SERVICE_ACCOUNT, DISRUPTION_BUDGET, NETWORK_POLICY] {
        cluster.namespace.get(kind, "quickstart-kafka")?;
    }
    let configs = cluster.namespace.list(CONFIG_MAP, "klamm.dev/cluster=quickstart")?;
    ensure!(configs.len() == 1 && configs.iter().all(|c| c["immutable"] == true), "{configs:?}");
    let owned = |object: &Value| object["metadata"]["ownerReferences"][0]["kind"] == "KafkaCluster";
    ensure!(owned(&set) && configs.iter().all(owned) && services.values().all(owned), "not all is owned");
    racks_are_zones(cluster)
}

/// Brokers on nodes of different zones have different racks.
fn racks_are_zones(cluster: &Cluster<'_>) -> Result<()> {
    let zone = |object: &Value| object["metadata"]["labels"]["topology.kubernetes.io/zone"].clone();
    for node in cluster.get()?["status"]["nodes"].as_array().into_iter().flatten() {
        let pod = cluster.pod(i32::try_from(node["id"].as_i64().unwrap_or(-1))?)?;
        let machine = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        let wanted = zone(&cluster.namespace.kubernetes().get("", NODE, machine)?);
        ensure!(node["rack"] == wanted, "{node} runs on {machine} in zone {wanted}");
    }
    Ok(())
}

fn columns_say_what_matters(namespace: &str) -> Result<()> {
    let clusters = kubectl(&["get", "kcluster", "-n", namespace])?;
    ensure!(clusters.contains("READY") && clusters.contains("True"), "{clusters}");
    let topics = kubectl(&["get", "ktopic", "-n", namespace])?;
    ensure!(topics.contains("PARTITIONS") && topics.matches("True").count() == 2, "{topics}");
    Ok(())
}

/// Events carry the names of actions.
fn events_name_actions(cluster: &Cluster<'_>) -> Result<()> {
    let named = ["get", "events", "-n", cluster.namespace.name(), "-o"];
    let form = "jsonpath={range .items[?(@.involvedObject.kind=='KafkaCluster')]}{.reason} {end}";
    let reasons = kubectl(&[&named[..], &[form]].concat())?;
    ensure!(reasons.split_whitespace().any(|r| r == "CreateNode"), "events of the cluster: {reasons:?}");
    Ok(())
}

fn deletion_leaves_claims(cluster: &Cluster<'_>) -> Result<()> {
    let namespace = cluster.namespace;
    kubectl(&["delete", "-n", namespace.name(), "-f", EXAMPLE, "--timeout=60s"])?;
    until(MINUTE, "nothing is left of the cluster but claims", || {
        let mut left = Vec::new();
        for kind in [
            POD,
            STATEFUL_SET,
            CONFIG_MAP,
            SERVICE_ACCOUNT,
            DISRUPTION_BUDGET,
            NETWORK_POLICY,
            CLUSTER,
            TOPIC,
        ] {
            let selector = if kind == CLUSTER || kind == TOPIC { "" } else { "klamm.dev/cluster=quickstart" };
            left.extend(namespace.list(kind, selector)?.iter().map(name_of));
        }
        left.extend(cluster.services()?.into_keys());
        ensure!(left.is_empty(), "{left:?}");
        Ok(Some(()))
    })?;
    let claims = namespace.list(CLAIM, "klamm.dev/cluster=quickstart")?.len();
    ensure!(claims == 3, "{claims} claims are left");
    Ok(())
}
