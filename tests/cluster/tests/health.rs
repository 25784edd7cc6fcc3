//! `/healthz`, `/readyz` and `/metrics`: what a supervisor and Prometheus are told.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use klamm_harness::{Cluster, ClusterSpec, until};

const PATIENCE: Duration = Duration::from_secs(20);

/// The value of a metric without labels, or with exactly these.
fn metric(cluster: &Cluster, node: i32, name: &str) -> Result<f64> {
    let (status, text) = cluster.http(node, "/metrics")?;
    ensure!(status == 200, "/metrics says {status}");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("{name} is not among\n{text}"))?.trim().parse()?)
}

#[test]
fn ready_node_says_so_and_exports_its_figures() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let mut client = cluster.client();
    client.create_topic("counted", 3, &[])?;
    client.produce("counted", 0, &["value"])?;
    for page in ["/startupz", "/livez", "/healthz", "/readyz"] {
        let (status, text) = cluster.http(0, page)?;
        ensure!(status == 200, "{page} says {status} {text}");
    }
    ensure!(cluster.http(0, "/nothing")?.0 == 404, "a page that there is not");
    let (_, text) = cluster.http(0, "/metrics")?;
    ensure!(text.contains("# TYPE klamm_requests counter"), "types are exported: {text}");
    ensure!(text.trim_end().ends_with("# EOF"), "the exposition ends as OpenMetrics does: {text}");
    ensure!(metric(&cluster, 0, "klamm_leader_partitions")? == 3.0);
    ensure!(metric(&cluster, 0, "klamm_active_controller")? == 1.0);
    ensure!(metric(&cluster, 0, "klamm_broker_fenced")? == 0.0);
    ensure!(metric(&cluster, 0, "klamm_produced_bytes_total")? > 60.0, "a batch was produced");
    ensure!(metric(&cluster, 0, "klamm_requests_total{api=\"Produce\"}")? == 1.0);
    ensure!(metric(&cluster, 0, "klamm_metadata_offset")? > 0.0);
    cluster.succeed();
    Ok(())
}

#[test]
fn node_without_a_quorum_is_healthy_but_not_ready() -> Result<()> {
    let mut cluster = ClusterSpec::new(3).prepare()?;
    cluster.restart(0)?;
    until(PATIENCE, "the node alone has started", || {
        Ok((cluster.http(0, "/startupz")?.0 == 200).then_some(()))
    })?;
    ensure!(cluster.http(0, "/livez")?.0 == 200, "peers are nothing that a restart could help");
    let (status, reason) = cluster.http(0, "/readyz")?;
    ensure!(status == 503 && !reason.trim().is_empty(), "{status} {reason}");
    cluster.restart(1)?;
    cluster.restart(2)?;
    cluster.wait_ready()?;
    cluster.succeed();
    Ok(())
}

#[test]
fn node_stays_live_and_ready_while_its_peers_are_gone() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    cluster.kill(1)?;
    cluster.kill(2)?;
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        for page in ["/livez", "/readyz"] {
            let (status, reason) = cluster.http(0, page)?;
            ensure!(status == 200, "{page} says {status} {reason}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    cluster.succeed();
    Ok(())
}

#[test]
fn stop_without_a_controller_is_bounded() -> Result<()> {
    let mut cluster = ClusterSpec::new(2).property("min.insync.replicas", "1").start()?;
    // The quorum of two is lost, so that the stop takes as long as it may without a controller's leave.
    cluster.kill(1)?;
    let begin = std::time::Instant::now();
    cluster.terminate(0)?;
    ensure!(begin.elapsed() < Duration::from_secs(15), "stopping took {:?}", begin.elapsed());
    cluster.succeed();
    Ok(())
}

#[test]
fn dead_replica_shows_in_the_figures_of_leaders() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    cluster.client().create_topic("watched", 3, &[])?;
    let alive = [0, 1];
    let total = |cluster: &Cluster, name: &str| -> Result<f64> {
        alive.iter().map(|id| metric(cluster, *id, name)).sum()
    };
    until(PATIENCE, "all replicas are in sync", || {
        Ok((total(&cluster, "klamm_under_replicated_partitions")? == 0.0).then_some(()))
    })?;
    cluster.kill(2)?;
    until(PATIENCE, "every partition is led and lacks a replica", || {
        let led = total(&cluster, "klamm_leader_partitions")?;
        Ok((led == 3.0 && total(&cluster, "klamm_under_replicated_partitions")? == 3.0).then_some(()))
    })?;
    ensure!(total(&cluster, "klamm_under_min_isr_partitions")? == 0.0, "two of three are enough");
    ensure!(total(&cluster, "klamm_active_controller")? == 1.0, "one controller is active");
    cluster.restart(2)?;
    cluster.wait_ready()?;
    until(PATIENCE, "all replicas are in sync again", || {
        Ok((total(&cluster, "klamm_under_replicated_partitions")? == 0.0).then_some(()))
    })?;
    cluster.succeed();
    Ok(())
}
