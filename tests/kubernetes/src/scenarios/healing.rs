//! Objects of a cluster under load are deleted, and come back.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::api::{POD, SERVICE, STATEFUL_SET, name_of, until};
use crate::bed::Bed;
use crate::command::kubectl;
use crate::kafka::uid;
use crate::roll_watch::RollWatch;

const PATIENCE: Duration = Duration::from_secs(90);

/// One pod.
pub fn deleted_pod(bed: &Bed) -> Result<String> {
    let busy = bed.busy()?;
    let cluster = busy.cluster();
    let started = Instant::now();
    let before = cluster.pod(1)?;
    cluster.namespace.kubernetes().delete(cluster.namespace.name(), POD, &name_of(&before))?;
    until(PATIENCE, "another pod", || Ok((uid(&cluster.pod(1)?) != uid(&before)).then_some(())))?;
    busy.healed()?;
    Ok(format!("{:.1} s; {}", started.elapsed().as_secs_f64(), busy.report(started)))
}

/// Every service of the cluster, those with ports of nodes among them: the ports stay.
pub fn deleted_services(bed: &Bed) -> Result<String> {
    let busy = bed.busy()?;
    let cluster = busy.cluster();
    let (started, before) = (Instant::now(), cluster.services()?);
    let pods: Vec<_> = cluster.pods()?.values().map(uid).collect();
    for name in before.keys() {
        cluster.namespace.kubernetes().delete(cluster.namespace.name(), SERVICE, name)?;
    }
    until(PATIENCE, "every service is back", || {
        let now = cluster.services()?;
        for (name, service) in &before {
            let again = now.get(name).with_context(|| format!("{name} is missing"))?;
            ensure!(uid(again) != uid(service), "{name} is not deleted yet");
            let port = |s: &serde_json::Value| s["spec"]["ports"][0]["nodePort"].clone();
            ensure!(port(again) == port(service), "{name} has another port");
        }
        Ok(Some(()))
    })?;
    busy.healed()?;
    ensure!(cluster.pods()?.values().map(uid).collect::<Vec<_>>() == pods, "pods were restarted");
    Ok(busy.report(started))
}

/// The stateful set, first without its pods, then with all of them at once.
pub fn deleted_stateful_set(bed: &Bed) -> Result<String> {
    let busy = bed.busy()?;
    let cluster = busy.cluster();
    let started = Instant::now();
    let pods: Vec<_> = cluster.pods()?.values().map(uid).collect();
    let (namespace, name) = (cluster.namespace.name(), cluster.workload());
    for cascade in ["orphan", "background"] {
        let before = cluster.stateful_set()?;
        kubectl(&[
            "delete",
            "statefulset",
            &name,
            "-n",
            namespace,
            &format!("--cascade={cascade}"),
            "--wait=false",
        ])?;
        cluster.namespace.until(STATEFUL_SET, &name, "is back", |set| uid(set) != uid(&before))?;
        busy.healed()?;
        let kept = cluster.pods()?.values().map(uid).collect::<Vec<_>>() == pods;
        ensure!(kept == (cascade == "orphan"), "--cascade={cascade}: pods were kept: {kept}");
    }
    Ok(busy.report(started))
}

/// How long a cluster at rest is watched.
const AT_REST: Duration = Duration::from_secs(2);

/// The end of the shared cluster's life: all that was ever acknowledged is read again.
pub fn nothing_acknowledged_was_lost(bed: &Bed) -> Result<String> {
    let busy = bed.busy()?;
    busy.healed()?;
    let watch = RollWatch::start(busy.cluster());
    std::thread::sleep(AT_REST);
    let age = busy.age();
    ensure!(watch.finish()?.roll.is_empty(), "a cluster at rest rolls");
    drop(busy);
    let records = bed.verify_traffic()?.context("no traffic ran")?;
    Ok(format!("{records} records in {} s", age.as_secs()))
}
