//! What Kubernetes has no words for: processes that die and machines that vanish.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::api::{CLUSTER, NODE, is_true, until};
use crate::bed::Bed;
use crate::kafka::{Cluster, uid};
use crate::operator;
use crate::roll_watch::RollWatch;

const PATIENCE: Duration = Duration::from_secs(90);

fn machine(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

/// A broker whose machine the operator does not run on.
fn broker_apart_from_operator(bed: &Bed, cluster: Cluster<'_>) -> Result<(i32, Value)> {
    let operator = operator::pod(&bed.kubernetes)?;
    let mut pods = cluster.pods()?.into_iter();
    pods.find(|(_, pod)| machine(pod) != machine(&operator)).context("the operator is beside every broker")
}

/// SIGKILL for the process; the pod stays.
pub fn killed_process(bed: &Bed) -> Result<String> {
    let (busy, started) = (bed.busy()?, Instant::now());
    for (id, before) in busy.cluster().pods()? {
        bed.faults()?.kill(&before)?;
        let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64();
        until(PATIENCE, "the container was started again", || {
            let pod = busy.cluster().pod(id)?;
            Ok((restarts(&pod) > restarts(&before) && uid(&pod) == uid(&before)).then_some(()))
        })?;
        busy.healed()?;
    }
    Ok(busy.report(started))
}

/// A machine without a network, and the same machine back.
pub fn vanished_node(bed: &Bed) -> Result<String> {
    let busy = bed.busy()?;
    let (id, pod) = broker_apart_from_operator(bed, busy.cluster())?;
    let started = Instant::now();
    let cut = bed.faults()?.cut(machine(&pod))?;
    bed.kubernetes.until(PATIENCE, ("", NODE, machine(&pod)), "is lost", |node| !is_true(node, "Ready"))?;
    busy.traffic.flows(50)?;
    let gaps = busy.report(started);
    busy.cluster().namespace.until(CLUSTER, busy.cluster().name, "says so", |cluster| {
        !is_true(cluster, "Ready") && cluster["status"].to_string().contains(&format!("\"id\":{id}"))
    })?;
    drop(cut);
    busy.healed()?;
    ensure!(uid(&busy.cluster().pod(id)?) == uid(&pod), "the pod was replaced although its node came back");
    Ok(gaps)
}

/// A roll that is due while a broker is away: nothing is restarted, and the status says why.
pub fn roll_waits_and_names_blockers(bed: &Bed) -> Result<String> {
    let busy = bed.busy()?;
    let cluster = busy.cluster();
    let (away, pod) = broker_apart_from_operator(bed, cluster)?;
    let before: Vec<_> = cluster.pods()?.values().map(uid).collect();
    let cut = bed.faults()?.cut(machine(&pod))?;
    cluster.namespace.until(CLUSTER, cluster.name, "misses a broker", |c| !is_true(c, "Ready"))?;
    let watch = RollWatch::start(cluster);
    cluster.change(&json!({ "config": { "num.partitions": 5 } }))?;
    let blocked = cluster.namespace.until(CLUSTER, cluster.name, "names blockers", |c| {
        let brokers = c["status"]["operations"]["roll"]["brokers"].as_array();
        brokers
            .into_iter()
            .flatten()
            .any(|b| b["id"] != away && b["blockers"].as_array().is_some_and(|b| !b.is_empty()))
    })?;
    busy.traffic.flows(50)?;
    let now: Vec<_> = cluster.pods()?.values().map(uid).collect();
    ensure!(now == before, "a broker was restarted while another one was away");
    drop(cut);
    busy.healed()?;
    let seen = watch.finish()?;
    ensure!(seen.away_at_once <= 1, "{} brokers were away at once: {:?}", seen.away_at_once, seen.roll);
    let brokers = blocked["status"]["operations"]["roll"]["brokers"].as_array().into_iter().flatten();
    let named: Vec<String> =
        brokers.map(|broker| format!("{}: {}", broker["id"], broker["blockers"])).collect();
    Ok(named.join(", "))
}
