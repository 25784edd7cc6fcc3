//! Claims outlive clusters, unless that was not wanted, and grow in place.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::api::{CLAIM, CLUSTER, TOPIC, name_of, until};
use crate::bed::Bed;
use crate::kafka::{Cluster, uid};
use crate::manifest::{EXTERNAL, cluster, reachable_cluster};
use crate::namespace::Namespace;
use crate::traffic::Traffic;

const PATIENCE: Duration = Duration::from_secs(90);
const SELECTOR: &str = "klamm.dev/cluster=again";

/// Deletes the resource and waits until no pod is left.
fn delete(cluster: Cluster<'_>) -> Result<()> {
    cluster.namespace.delete(CLUSTER, cluster.name)?;
    until(PATIENCE, "the pods are gone", || Ok(cluster.pods()?.is_empty().then_some(())))
}

/// Deleted and made again, twice: the same cluster id, the same records.
pub fn finds_its_data(bed: &Bed) -> Result<String> {
    let namespace = Namespace::create(&bed.kubernetes, "e2e-again")?;
    let manifest = reachable_cluster("again", 3);
    let first = Cluster::apply(&namespace, "again", &manifest)?;
    first.topic("kept", 3)?;
    let traffic = Traffic::start(&first.bootstrap(EXTERNAL)?, "kept", 3)?;
    traffic.flows(50)?;
    let before = first.get()?;
    let records = traffic.verify()?;
    let claims: Vec<_> = namespace.list(CLAIM, SELECTOR)?.iter().map(uid).collect();
    delete(first)?;
    let second = Cluster::apply(&namespace, "again", &manifest)?;
    let after = second.get()?;
    ensure!(uid(&before) != uid(&after), "the resource was not made again");
    ensure!(before["status"]["clusterId"] == after["status"]["clusterId"], "another cluster id");
    ensure!(claims == namespace.list(CLAIM, SELECTOR)?.iter().map(uid).collect::<Vec<_>>(), "other claims");
    namespace.until_ready(TOPIC, "kept")?;
    let mut client = second.client()?;
    let mut read = 0;
    for partition in 0..3 {
        read += client.read_all("kept", partition)?.len() as u64;
    }
    ensure!(read >= records, "{records} records were acknowledged, {read} are there");
    client.produce("kept", 0, &["and it goes on"])?;
    Ok(format!("{read} records"))
}

/// `deleteClaim: true`.
pub fn claims_go_where_asked(bed: &Bed) -> Result<String> {
    let namespace = Namespace::create(&bed.kubernetes, "e2e-gone")?;
    let mut manifest = cluster("again", 1);
    manifest["spec"]["kafka"]["storage"]["deleteClaim"] = json!(true);
    let made = Cluster::apply(&namespace, "again", &manifest)?;
    ensure!(namespace.list(CLAIM, SELECTOR)?.len() == 1, "one claim");
    delete(made)?;
    until(PATIENCE, "the claim is gone", || {
        let left: Vec<_> = namespace.list(CLAIM, SELECTOR)?.iter().map(name_of).collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(Some(()))
    })?;
    Ok(String::new())
}

/// A larger size reaches the claims; no pod is restarted for it.
pub fn volumes_grow_in_place(bed: &Bed) -> Result<String> {
    let small = bed.small()?;
    let pod = uid(&small.cluster().pod(0)?);
    small.cluster().change(&json!({ "storage": { "size": "2Gi" } }))?;
    until(PATIENCE, "the claim has grown", || {
        let claims = small.namespace.list(CLAIM, "klamm.dev/cluster=shared")?;
        let sizes: Vec<&Value> = claims.iter().map(|c| &c["status"]["capacity"]["storage"]).collect();
        ensure!(!sizes.is_empty() && sizes.iter().all(|s| **s == "2Gi"), "{sizes:?}");
        Ok(Some(()))
    })?;
    small.cluster().settled()?;
    ensure!(uid(&small.cluster().pod(0)?) == pod, "the pod was restarted");
    Ok(String::new())
}
