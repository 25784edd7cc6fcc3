//! What the operator costs while nothing happens.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::figures::Row;
use crate::api::{CLUSTER, condition_of, name_of, until};
use crate::audit::Audit;
use crate::bed::{Bed, Busy};
use crate::command::{apply, kubectl};
use crate::manifest::cluster;
use crate::namespace::Namespace;
use crate::operator;

const PATIENCE: Duration = Duration::from_secs(180);
const MEBIBYTE: u64 = 1 << 20;

/// Requests to the API server, and memory, with one cluster that serves traffic and changes nothing.
pub(super) fn at_rest(bed: &Bed, busy: &Busy, rest: u64) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    // Whatever the last fault set off comes to an end first.
    std::thread::sleep(Duration::from_secs(15));
    if let Some(audit) = Audit::find() {
        let before = audit.length()?;
        std::thread::sleep(Duration::from_secs(rest));
        let requests = audit.requests(before)?;
        let others: u64 = requests.values().sum();
        let figure = if others == 0 { "0".to_owned() } else { format!("{others} in {rest} s: {requests:?}") };
        rows.push(Row::new("API requests at rest, lease and watches apart", figure, "0", others == 0));
    }
    busy.traffic.unharmed()?;
    let memory = resident(bed)?;
    let figure = format!("{:.1} MiB", memory as f64 / MEBIBYTE as f64);
    rows.push(Row::new("operator's memory with 1 KafkaCluster", figure, "24 MiB", memory <= 24 * MEBIBYTE));
    Ok(rows)
}

/// The operator's memory with many clusters whose pods no node can take: watched, planned and reported like any other,
/// and no broker answers.
pub(super) fn memory_with_many(bed: &Bed, count: u32) -> Result<Row> {
    let namespace = Namespace::create(&bed.kubernetes, "e2e-many")?;
    let items: Vec<Value> = (0..count)
        .map(|n| {
            let mut manifest = cluster(&format!("many-{n}"), 1);
            manifest["spec"]["kafka"]["template"] =
                json!({ "pod": { "nodeSelector": { "klamm.dev/no-such-node": "true" } } });
            manifest
        })
        .collect();
    apply(namespace.name(), &json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string())?;
    until(PATIENCE, "every cluster has a status", || {
        let clusters = namespace.list(CLUSTER, "")?;
        let silent = clusters.iter().filter(|c| condition_of(c, "Ready").is_null()).map(name_of).count();
        ensure!(silent == 0 && clusters.len() >= count as usize, "{silent} of {} have none", clusters.len());
        Ok(Some(()))
    })?;
    std::thread::sleep(Duration::from_secs(15));
    let memory = resident(bed)?;
    let figure =
        format!("{:.1} MiB ({count} whose pods cannot be scheduled)", memory as f64 / MEBIBYTE as f64);
    Ok(Row::new("operator's memory with 100 KafkaClusters", figure, "128 MiB", memory <= 128 * MEBIBYTE))
}

/// Resident memory of the operator's container, as its kubelet counts it.
fn resident(bed: &Bed) -> Result<u64> {
    let pod = operator::pod(&bed.kubernetes)?;
    let node = pod["spec"]["nodeName"].as_str().context("the operator is on no node")?;
    let path = format!("/api/v1/nodes/{node}/proxy/stats/summary");
    until(Duration::from_secs(60), "the kubelet has counted", || {
        let summary: Value = serde_json::from_str(&kubectl(&["get", "--raw", &path])?)?;
        let pods = summary["pods"].as_array().context("pods")?;
        let found = pods.iter().find(|p| p["podRef"]["uid"] == pod["metadata"]["uid"]).context("the pod")?;
        Ok(found["containers"][0]["memory"]["rssBytes"].as_u64())
    })
}
