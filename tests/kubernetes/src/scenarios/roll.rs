//! Changes that restart every broker, one at a time, without a failed send.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::api::until;
use crate::bed::{Bed, Busy};
use crate::command::kubectl;
use crate::kafka::uid;
use crate::operator;
use crate::roll_watch::{RollWatch, Seen};

const PATIENCE: Duration = Duration::from_secs(120);

/// A change rolls all three brokers: every pod is another one, at most one was away at a time, nothing was refused.
fn rolls(busy: &Busy, change: &Value, meanwhile: impl FnOnce() -> Result<()>) -> Result<(Seen, Instant)> {
    let cluster = busy.cluster();
    let before: BTreeSet<String> = cluster.pods()?.values().map(uid).collect();
    let (watch, started) = (RollWatch::start(cluster), Instant::now());
    cluster.change(change)?;
    meanwhile()?;
    until(PATIENCE, "every broker was restarted", || {
        busy.traffic.unharmed()?;
        let now: BTreeSet<String> = cluster.pods()?.values().map(uid).collect();
        ensure!(now.is_disjoint(&before), "{} of 3 are the old ones", now.intersection(&before).count());
        Ok(Some(()))
    })?;
    busy.healed()?;
    let seen = watch.finish()?;
    ensure!(seen.away_at_once <= 1, "{} brokers were away at once: {:?}", seen.away_at_once, seen.roll);
    ensure!(seen.pods.len() == 6, "{} pods were seen, not 3 before and 3 after", seen.pods.len());
    Ok((seen, started))
}

fn reported(busy: &Busy, seen: &Seen, started: Instant, reason: &str) -> Result<String> {
    ensure!(
        seen.roll.iter().any(|r| r.contains(reason)),
        "the status never spoke of {reason}: {:?}",
        seen.roll
    );
    Ok(format!("{:.1} s; {}", started.elapsed().as_secs_f64(), busy.report(started)))
}

/// A property.
pub fn changed_config(bed: &Bed) -> Result<String> {
    let busy = bed.busy()?;
    let (seen, started) = rolls(&busy, &json!({ "config": { "num.partitions": 2 } }), || Ok(()))?;
    grants_are_events(&busy)?;
    reported(&busy, &seen, started, "num.partitions")
}

/// Each restart was asked for, and is told by its name.
fn grants_are_events(busy: &Busy) -> Result<()> {
    let form = "jsonpath={range .items[*]}{.reason} {end}";
    let reasons = kubectl(&["get", "events", "-n", busy.cluster().namespace.name(), "-o", form])?;
    for action in ["RequestDisruption", "RestartNode"] {
        ensure!(reasons.split_whitespace().any(|r| r == action), "no event {action}: {reasons}");
    }
    Ok(())
}

/// An image, here the same one under its long name: no other is needed to see that brokers are restarted.
pub fn changed_image(bed: &Bed) -> Result<String> {
    let busy = bed.busy()?;
    let pod = busy.cluster().pod(0)?;
    let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
    let long = format!("docker.io/{}", image.trim_start_matches("docker.io/"));
    ensure!(long != image, "{image} is a long name already");
    let (seen, started) = rolls(&busy, &json!({ "image": long }), || Ok(()))?;
    let running = busy.cluster().pods()?;
    ensure!(running.values().all(|p| p["spec"]["containers"][0]["image"] == *long), "another image");
    reported(&busy, &seen, started, "image")
}

/// Requests of memory.
pub fn changed_resources(bed: &Bed) -> Result<String> {
    let busy = bed.busy()?;
    let resources = json!({ "requests": { "memory": "96Mi", "cpu": "50m" } });
    let (seen, started) = rolls(&busy, &json!({ "resources": resources }), || Ok(()))?;
    let running = busy.cluster().pods()?;
    let requests = |p: &Value| p["spec"]["containers"][0]["resources"]["requests"].clone();
    ensure!(running.values().all(|p| requests(p) == resources["requests"]), "other requests");
    reported(&busy, &seen, started, "resources")
}

/// The operator dies again and again while it rolls the cluster, at moments that move through its work.
pub fn operator_killed_at_any_moment(bed: &Bed) -> Result<String> {
    let busy = bed.busy()?;
    let mut killed = 0;
    let kills = || {
        for delay in [150, 900, 2100, 3700] {
            std::thread::sleep(Duration::from_millis(delay));
            operator::kill(&bed.kubernetes)?;
            operator::ready(&bed.kubernetes)?;
            killed += 1;
        }
        Ok(())
    };
    let (_, started) = rolls(&busy, &json!({ "config": { "num.partitions": 3 } }), kills)?;
    Ok(format!("{killed} times; {:.1} s; {}", started.elapsed().as_secs_f64(), busy.report(started)))
}
