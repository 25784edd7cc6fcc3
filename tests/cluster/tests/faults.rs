//! Brokers and controllers that die, stop and stall under load: what was acknowledged stays.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use klamm_harness::{Cluster, ClusterSpec, Load, ProduceError, Roles, until};
use klamm_wire::ErrorCode;

const TOPIC: &str = "payments";
const PARTITIONS: i32 = 3;

fn under_load(cluster: &Cluster) -> Result<Load> {
    cluster.client().create_topic(TOPIC, PARTITIONS, &[])?;
    let load = Load::start(&cluster.bootstrap(), TOPIC, PARTITIONS);
    load.wait_for_more(300)?;
    Ok(load)
}

fn wait_isrs(cluster: &mut Cluster, isr: &[i32]) -> Result<()> {
    (0..PARTITIONS).try_for_each(|partition| cluster.wait_isr(TOPIC, partition, isr))
}

#[test]
fn killed_leader_under_load_loses_nothing_and_rejoins_the_isr() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    let load = under_load(&cluster)?;
    for partition in 0..PARTITIONS {
        let leader = cluster.leader_of(TOPIC, partition)?;
        cluster.kill(leader)?;
        load.wait_for_more(300)?;
        ensure!(cluster.leader_of(TOPIC, partition)? != leader, "a dead broker leads");
        cluster.restart(leader)?;
        cluster.wait_ready()?;
        wait_isrs(&mut cluster, &[0, 1, 2])?;
    }
    load.wait_for_more(300)?;
    load.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}

#[test]
fn rejoined_replicas_hold_what_was_written_without_them() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    cluster.client().create_topic(TOPIC, PARTITIONS, &[])?;
    cluster.kill(0)?;
    let load = Load::start(&cluster.bootstrap(), TOPIC, PARTITIONS);
    load.wait_for_more(500)?;
    let ledger = load.finish()?;
    cluster.restart(0)?;
    cluster.wait_ready()?;
    wait_isrs(&mut cluster, &[0, 1, 2])?;
    // Now the others leave, one after another: at last the returned replica has led or confirmed every record.
    cluster.terminate(1)?;
    ledger.verify(&mut cluster.client())?;
    cluster.restart(1)?;
    cluster.wait_ready()?;
    wait_isrs(&mut cluster, &[0, 1, 2])?;
    cluster.terminate(2)?;
    ledger.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}

#[test]
fn sigterm_hands_leadership_over_before_the_process_ends() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    let load = under_load(&cluster)?;
    for leaving in cluster.ids() {
        cluster.terminate(leaving)?;
        // No waiting here: when the process is gone, somebody else leads already.
        let topology = cluster.client().topology()?;
        for partition in 0..PARTITIONS {
            let leader = topology.leader(TOPIC, partition)?;
            ensure!(leader != leaving, "{TOPIC}-{partition} is still led by {leaving}");
        }
        load.wait_for_more(100)?;
        cluster.restart(leaving)?;
        cluster.wait_ready()?;
        wait_isrs(&mut cluster, &[0, 1, 2])?;
    }
    load.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}

#[test]
fn killed_controller_is_replaced() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    let load = under_load(&cluster)?;
    let first = cluster.controller()?;
    cluster.kill(first)?;
    let second = cluster.controller()?;
    ensure!(second != first, "a dead controller leads");
    cluster.client().create_topic("after", 2, &[])?;
    load.wait_for_more(300)?;
    cluster.restart(first)?;
    cluster.wait_ready()?;
    cluster.wait_isr("after", 0, &[0, 1, 2])?;
    load.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}

#[test]
fn all_brokers_killed_at_once_keep_everything_acknowledged() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    let load = under_load(&cluster)?;
    for _ in 0..2 {
        cluster.kill_all()?;
        for id in cluster.ids() {
            cluster.restart(id)?;
        }
        cluster.wait_ready()?;
        load.wait_for_more(300)?;
    }
    wait_isrs(&mut cluster, &[0, 1, 2])?;
    load.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}

#[test]
fn stalled_leader_is_replaced_and_returns_as_a_follower() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    let load = under_load(&cluster)?;
    let stalled = cluster.leader_of(TOPIC, 0)?;
    cluster.pause(stalled)?;
    let others: Vec<i32> = cluster.ids().into_iter().filter(|id| *id != stalled).collect();
    let mut client = klamm_harness::Client::new(&cluster.address(others[0])?);
    until(Duration::from_secs(40), "another broker leads", || {
        Ok((client.topology()?.leader(TOPIC, 0)? != stalled).then_some(()))
    })?;
    cluster.resume(stalled)?;
    wait_isrs(&mut cluster, &[0, 1, 2])?;
    load.wait_for_more(100)?;
    load.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}

#[test]
fn too_few_replicas_refuse_acks_all_and_recover() -> Result<()> {
    let mut cluster = ClusterSpec::new(3).roles(Roles::Separate { controllers: 1 }).start()?;
    let mut client = cluster.client();
    client.create_topic(TOPIC, 1, &[])?;
    let leader = cluster.leader_of(TOPIC, 0)?;
    for id in cluster.broker_ids().into_iter().filter(|id| *id != leader) {
        cluster.kill(id)?;
    }
    let batch = batch("refused")?;
    let started = Instant::now();
    until(Duration::from_secs(40), "acks=all is refused", || {
        match client.produce_batch(TOPIC, 0, -1, batch.clone()) {
            Err(ProduceError::Refused(ErrorCode::NotEnoughReplicas)) => Ok(Some(())),
            other => anyhow::bail!("after {:?}: {other:?}", started.elapsed()),
        }
    })?;
    for id in cluster.broker_ids().into_iter().filter(|id| *id != leader) {
        cluster.restart(id)?;
    }
    cluster.wait_ready()?;
    cluster.wait_isr(TOPIC, 0, &[0, 1, 2])?;
    client.produce(TOPIC, 0, &["accepted"])?;
    cluster.succeed();
    Ok(())
}

fn batch(value: &str) -> Result<bytes::Bytes> {
    let mut builder = klamm_records::BatchBuilder::new(0);
    builder.push(0, None, Some(value.as_bytes()), &[])?;
    Ok(builder.finish()?.freeze())
}

#[test]
fn separate_controllers_lose_their_leader_and_brokers_go_on() -> Result<()> {
    let mut cluster = ClusterSpec::new(3).roles(Roles::Separate { controllers: 3 }).start()?;
    let load = under_load(&cluster)?;
    let first = cluster.controller()?;
    ensure!(first >= 100, "controllers have ids from 100, {first} leads");
    cluster.kill(first)?;
    cluster.client().create_topic("after", 2, &[])?;
    load.wait_for_more(200)?;
    cluster.restart(first)?;
    cluster.wait_ready()?;
    load.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}

#[test]
fn brokers_serve_while_no_controller_runs() -> Result<()> {
    let mut cluster = ClusterSpec::new(3).roles(Roles::Separate { controllers: 1 }).start()?;
    let load = under_load(&cluster)?;
    cluster.kill(100)?;
    load.wait_for_more(500)?;
    cluster.restart(100)?;
    cluster.wait_ready()?;
    load.wait_for_more(200)?;
    load.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}

#[test]
fn one_broker_alone_keeps_its_data_over_kill_and_stop() -> Result<()> {
    let mut cluster = Cluster::start(1)?;
    let load = under_load(&cluster)?;
    cluster.kill(0)?;
    cluster.restart(0)?;
    cluster.wait_ready()?;
    load.wait_for_more(100)?;
    cluster.terminate(0)?;
    cluster.restart(0)?;
    cluster.wait_ready()?;
    load.wait_for_more(100)?;
    load.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}

#[test]
fn node_without_a_quorum_stops_when_told() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    (0..3).try_for_each(|id| cluster.kill(id))?;
    cluster.restart(2)?;
    until(Duration::from_secs(20), "node 2 looks for a controller", || {
        let log = std::fs::read_to_string(cluster.log(2)?)?;
        Ok(log.contains("waiting for a controller to register with").then_some(()))
    })?;
    let start = Instant::now();
    cluster.terminate(2)?;
    // Longer than the wait for open connections, much shorter than the longest controlled shutdown.
    ensure!(start.elapsed() < Duration::from_secs(8), "it took {:?}", start.elapsed());
    cluster.succeed();
    Ok(())
}
