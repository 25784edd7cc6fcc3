//! The figures of `cargo xtask bench kubernetes`.

mod figures;
mod rest;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::api::{POD, name_of, until};
use crate::bed::{Bed, Busy, PARTITIONS, TOPIC};
use crate::kafka::{Cluster, uid};
use crate::manifest::cluster;
use crate::namespace::Namespace;
use crate::operator;
use figures::{Row, millis, print, quantile, seconds};

const PATIENCE: Duration = Duration::from_secs(120);

/// What to measure.
#[derive(clap::Args)]
pub struct Args {
    /// How often everything that is not at rest is repeated
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How long a cluster at rest is watched, in seconds
    #[arg(long, default_value_t = 60)]
    rest: u64,
    /// How many clusters the operator holds at once in the end
    #[arg(long, default_value_t = 100)]
    clusters: u32,
}

/// Measures and prints a table.
///
/// # Errors
/// Something does not work at all.
pub fn run(args: &Args) -> Result<()> {
    let bed = Bed::find()?;
    operator::install(&bed.kubernetes, &[])?;
    let mut rows = vec![apply_to_ready(&bed, args.rounds)?];
    let busy = Busy::start(&bed.kubernetes)?;
    rows.push(pod_deleted_to_caught_up(&busy, args.rounds)?);
    rows.push(roll(&busy, args.rounds)?);
    if bed.has_faults() {
        rows.push(pod_kill(&bed, &busy, args.rounds)?);
        rows.push(node_loss(&bed, &busy, args.rounds)?);
    }
    busy.healed()?;
    rows.extend(rest::at_rest(&bed, &busy, args.rest)?);
    let records = busy.finish()?;
    rows.push(rest::memory_with_many(&bed, args.clusters)?);
    print(&rows);
    println!(
        "{records} records were acknowledged while all this happened; none was lost, doubled or refused."
    );
    Ok(())
}

/// Three brokers, images present; the last look that finds it not ready is at most 100 ms before.
fn apply_to_ready(bed: &Bed, rounds: u32) -> Result<Row> {
    let mut times = Vec::new();
    for round in 0..rounds {
        let namespace = Namespace::create(&bed.kubernetes, &format!("e2e-start-{round}"))?;
        let started = Instant::now();
        Cluster::apply(&namespace, "start", &cluster("start", 3))?;
        times.push(started.elapsed());
    }
    Ok(Row::new(
        "apply to Ready, 3 brokers",
        seconds(&times),
        "10 s",
        times.iter().max() <= Some(&Duration::from_secs(10)),
    ))
}

fn pod_deleted_to_caught_up(busy: &Busy, rounds: u32) -> Result<Row> {
    let mut times = Vec::new();
    for round in 0..rounds {
        let (cluster, id) = (busy.cluster(), i32::try_from(round % 3)?);
        let (before, started) = (cluster.pod(id)?, Instant::now());
        cluster.namespace.kubernetes().delete(cluster.namespace.name(), POD, &name_of(&before))?;
        until(PATIENCE, "another pod", || Ok((uid(&cluster.pod(id)?) != uid(&before)).then_some(())))?;
        cluster.settled()?;
        cluster.in_sync(TOPIC, PARTITIONS)?;
        times.push(started.elapsed());
    }
    Ok(Row::new("pod deleted to Ready and caught up", seconds(&times), "", true))
}

/// The longest pause of each partition in each roll.
fn roll(busy: &Busy, rounds: u32) -> Result<Row> {
    let mut gaps = Vec::new();
    for round in 0..rounds {
        let started = Instant::now();
        let before: Vec<_> = busy.cluster().pods()?.values().map(uid).collect();
        busy.cluster().change(&json!({ "config": { "num.partitions": 10 + round } }))?;
        until(PATIENCE, "every broker was restarted", || {
            let pods = busy.cluster().pods()?;
            let old = pods.values().filter(|pod| before.contains(&uid(pod))).count();
            ensure!(old == 0, "{old} are the old ones");
            Ok(Some(()))
        })?;
        busy.healed()?;
        gaps.extend(busy.traffic.longest_gaps_since(started));
    }
    let p99 = quantile(&mut gaps, 99);
    Ok(Row::new(
        "longest pause of sends in a roll, p99",
        millis(&gaps, p99),
        "250 ms",
        p99 <= Duration::from_millis(250),
    ))
}

fn pod_kill(bed: &Bed, busy: &Busy, rounds: u32) -> Result<Row> {
    let mut gaps = Vec::new();
    for round in 0..rounds {
        let id = i32::try_from(round % 3)?;
        let (started, pod) = (Instant::now(), busy.cluster().pod(id)?);
        bed.faults()?.kill(&pod)?;
        busy.cluster().namespace.until(POD, &name_of(&pod), "was started again", |now| {
            now["status"]["containerStatuses"][0]["restartCount"]
                != pod["status"]["containerStatuses"][0]["restartCount"]
        })?;
        busy.healed()?;
        gaps.extend(busy.traffic.longest_gaps_since(started));
    }
    let worst = quantile(&mut gaps, 100);
    Ok(Row::new(
        "longest pause of sends in a pod kill",
        millis(&gaps, worst),
        "1000 ms",
        worst <= Duration::from_secs(1),
    ))
}

/// The machine stays away until traffic has gone on, then comes back.
fn node_loss(bed: &Bed, busy: &Busy, rounds: u32) -> Result<Row> {
    let mut gaps = Vec::new();
    for round in 0..rounds {
        let pod = busy.cluster().pod(i32::try_from(round % 3)?)?;
        let machine = pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
        let started = Instant::now();
        let cut = bed.faults()?.cut(&machine)?;
        busy.traffic.flows(100)?;
        gaps.extend(busy.traffic.longest_gaps_since(started));
        drop(cut);
        busy.healed()?;
    }
    let worst = quantile(&mut gaps, 100);
    Ok(Row::new(
        "longest pause of sends in a node loss",
        millis(&gaps, worst),
        "2000 ms",
        worst <= Duration::from_secs(2),
    ))
}
