//! Partitions that move to other brokers while they are used (KIP-455).

use std::time::Duration;

use anyhow::{Result, ensure};
use klamm_harness::{Client, Cluster, Load, until};
use klamm_wire::ErrorCode;

const TOPIC: &str = "ledger";
/// How long a move of a few megabytes may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three combined nodes that hold the topic, and three brokers that do not.
fn three_and_three(partitions: i32) -> Result<Cluster> {
    let mut cluster = Cluster::start(3)?;
    cluster.client().create_topic(TOPIC, partitions, &[])?;
    for id in 3..6 {
        cluster.add_broker(id)?;
    }
    cluster.wait_ready()?;
    let mut client = cluster.client();
    until(PATIENCE, "all brokers are known", || Ok((client.topology()?.brokers().len() == 6).then_some(())))?;
    Ok(cluster)
}

/// Writes this many values of 10 kB to a partition, each another.
fn fill(client: &mut Client, topic: &str, partition: i32, count: usize) -> Result<()> {
    let values: Vec<String> = (0..count).map(|n| format!("filled-{n}-{}", "x".repeat(10_000))).collect();
    for values in values.chunks(50) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        client.produce(topic, partition, &values)?;
    }
    Ok(())
}

fn wait_no_directory(cluster: &Cluster, id: i32, partition: i32) -> Result<()> {
    let data = cluster.data_dir(id)?;
    let prefix = format!("{TOPIC}-{partition}");
    until(PATIENCE, &format!("broker {id} has removed {prefix}"), || {
        for entry in std::fs::read_dir(&data)? {
            let name = entry?.file_name();
            ensure!(!name.to_string_lossy().starts_with(&prefix), "there is {name:?}");
        }
        Ok(Some(()))
    })
}

#[test]
fn all_replicas_move_to_other_brokers_under_load() -> Result<()> {
    let mut cluster = three_and_three(2)?;
    let mut client = cluster.client();
    let filled = 2_000;
    fill(&mut client, TOPIC, 0, filled)?;
    let load = Load::start(&cluster.bootstrap(), TOPIC, 2);
    load.wait_for_more(200)?;
    ensure!(client.reassign(TOPIC, 0, Some(&[3, 4, 5]))?.is_none());
    ensure!(client.reassign(TOPIC, 1, Some(&[5, 2, 3]))?.is_none());
    client.wait_reassigned(PATIENCE)?;
    for (partition, replicas) in [(0, [3, 4, 5]), (1, [5, 2, 3])] {
        until(PATIENCE, "every broker is told of the new replicas", || {
            let topology = client.topology()?;
            let now = topology.replicas(TOPIC, partition)?;
            ensure!(now == replicas, "{now:?}");
            ensure!(replicas.contains(&topology.leader(TOPIC, partition)?));
            Ok(Some(()))
        })?;
        let mut isr = replicas;
        isr.sort_unstable();
        cluster.wait_isr(TOPIC, partition, &isr)?;
    }
    load.wait_for_more(200)?;
    for (id, partition) in [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)] {
        wait_no_directory(&cluster, id, partition)?;
    }
    let ledger = load.finish()?;
    // Nobody else has a copy any more.
    let read = client.read_all(TOPIC, 0)?;
    ensure!(read.len() > filled, "{} records of more than {filled}", read.len());
    let begins = |n: usize, with: &str| {
        read.get(n).and_then(|record| record.value.as_ref()).is_some_and(|v| v.starts_with(with.as_bytes()))
    };
    ensure!((0..filled).all(|n| begins(n, &format!("filled-{n}-"))), "what was written first is not first");
    ensure!((filled..read.len()).all(|n| begins(n, "0-")), "something else is between what was written last");
    ledger.verify(&mut client)?;
    cluster.succeed();
    Ok(())
}

#[test]
fn a_move_goes_on_after_its_target_the_leader_and_the_controller_die() -> Result<()> {
    let mut cluster = three_and_three(1)?;
    let mut client = cluster.client();
    let load = Load::start(&cluster.bootstrap(), TOPIC, 1);
    load.wait_for_more(200)?;
    cluster.kill(4)?;
    ensure!(client.reassign(TOPIC, 0, Some(&[3, 4, 5]))?.is_none());
    load.wait_for_more(100)?;
    let leader = cluster.leader_of(TOPIC, 0)?;
    cluster.kill(leader)?;
    load.wait_for_more(100)?;
    ensure!(client.reassignments()?.len() == 1, "4 is not there");
    cluster.restart(leader)?;
    cluster.wait_ready_of(leader)?;
    let controller = cluster.controller()?;
    cluster.kill(controller)?;
    cluster.restart(4)?;
    load.wait_for_more(100)?;
    client.wait_reassigned(PATIENCE)?;
    // The first controller learns of the end only now; what it holds of the partition was removed while it was away.
    cluster.restart(controller)?;
    cluster.wait_ready()?;
    cluster.wait_isr(TOPIC, 0, &[3, 4, 5])?;
    for id in 0..3 {
        wait_no_directory(&cluster, id, 0)?;
    }
    load.wait_for_more(100)?;
    load.finish()?.verify(&mut client)?;
    cluster.succeed();
    Ok(())
}

#[test]
fn a_cancelled_move_leaves_everything_as_it_was() -> Result<()> {
    let mut cluster = three_and_three(1)?;
    let mut client = cluster.client();
    let load = Load::start(&cluster.bootstrap(), TOPIC, 1);
    load.wait_for_more(100)?;
    let before = client.topology()?.replicas(TOPIC, 0)?;
    ensure!(client.reassign(TOPIC, 0, None)? == ErrorCode::NoReassignmentInProgress);
    cluster.kill(5)?;
    ensure!(client.reassign(TOPIC, 0, Some(&[3, 4, 5]))?.is_none());
    cluster.wait_isr(TOPIC, 0, &[0, 1, 2, 3, 4])?;
    let listed = client.reassignments()?;
    ensure!(listed.len() == 1 && listed[0].0 == TOPIC, "{listed:?}");
    let listed = &listed[0].1;
    ensure!((&listed.adding_replicas, &listed.removing_replicas) == (&vec![3, 4, 5], &before), "{listed:?}");
    load.wait_for_more(100)?;
    ensure!(client.reassign(TOPIC, 0, None)?.is_none());
    ensure!(client.reassignments()?.is_empty());
    cluster.wait_isr(TOPIC, 0, &[0, 1, 2])?;
    until(PATIENCE, "the old replicas are told", || {
        let now = client.topology()?.replicas(TOPIC, 0)?;
        ensure!(now == before, "{now:?}");
        Ok(Some(()))
    })?;
    cluster.restart(5)?;
    cluster.wait_ready()?;
    for id in 3..6 {
        wait_no_directory(&cluster, id, 0)?;
    }
    load.wait_for_more(100)?;
    load.finish()?.verify(&mut client)?;
    cluster.succeed();
    Ok(())
}

#[test]
fn a_topic_is_deleted_in_the_middle_of_its_move() -> Result<()> {
    let mut cluster = three_and_three(1)?;
    let mut client = cluster.client();
    fill(&mut client, TOPIC, 0, 100)?;
    cluster.kill(5)?;
    ensure!(client.reassign(TOPIC, 0, Some(&[3, 4, 5]))?.is_none());
    cluster.wait_isr(TOPIC, 0, &[0, 1, 2, 3, 4])?;
    client.delete_topic(TOPIC)?;
    ensure!(client.reassignments()?.is_empty());
    for id in 0..5 {
        wait_no_directory(&cluster, id, 0)?;
    }
    cluster.succeed();
    Ok(())
}
