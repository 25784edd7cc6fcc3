//! Three brokers become four, and never three again by mistake.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::api::CLUSTER;
use crate::bed::Bed;
use crate::kafka::uid;

/// A fourth broker takes part in topics made after it came; fewer are refused with the reason.
pub fn fourth_broker_takes_part_and_stays(bed: &Bed) -> Result<String> {
    let busy = bed.busy()?;
    let cluster = busy.cluster();
    let before: Vec<_> = cluster.pods()?.values().map(uid).collect();
    let started = Instant::now();
    cluster.change(&json!({ "replicas": 4 }))?;
    busy.healed()?;
    let took = started.elapsed();
    let after: Vec<_> = cluster.pods()?.values().take(3).map(uid).collect();
    ensure!(after == before, "growing restarted the others");
    cluster.topic("after-growth", 8)?;
    let topology = cluster.client()?.topology()?;
    let with_fourth =
        (0..8).filter(|p| topology.replicas("after-growth", *p).is_ok_and(|r| r.contains(&3))).count();
    ensure!(with_fourth > 0, "the fourth broker holds no replica of a new topic");
    let fewer = json!({ "spec": { "kafka": { "replicas": 3 } } });
    let refusal = cluster.namespace.merge(CLUSTER, cluster.name, &fewer).err().map(|e| format!("{e:#}"));
    ensure!(refusal.as_ref().is_some_and(|r| r.contains("drained")), "fewer nodes: {refusal:?}");
    ensure!(cluster.pods()?.len() == 4, "the fourth broker is gone");
    Ok(format!("{:.1} s; {with_fourth} of 8 partitions; {}", took.as_secs_f64(), busy.report(started)))
}
