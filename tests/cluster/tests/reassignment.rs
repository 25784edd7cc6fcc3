//! Partitions that move to other brokers while they are used (KIP-455).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
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

/// Rates of both sides in bytes a second, for all brokers.
fn throttle(cluster: &Cluster, leader: Option<&str>, follower: Option<&str>) -> Result<()> {
    let keys = ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];
    let rates = [(keys[0], leader), (keys[1], follower)];
    cluster.broker_ids().into_iter().try_for_each(|id| cluster.client().configure_broker(id, &rates))
}

/// A figure on every broker's `/metrics`, summed up.
fn sum_of(cluster: &Cluster, name: &str) -> Result<u64> {
    let mut sum = 0;
    for id in cluster.broker_ids() {
        let (_, text) = cluster.http(id, "/metrics")?;
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        let figure =
            line.and_then(|line| line.rsplit(' ').next()).with_context(|| format!("{name} of {id}"))?;
        sum += figure.parse::<u64>()?;
    }
    Ok(sum)
}

/// The 8 MB of the throttled topic have been counted for each of its three replicas, and the other topic's have not.
fn check_counted(cluster: &Cluster) -> Result<()> {
    for name in ["klamm_throttled_out_bytes_total", "klamm_throttled_in_bytes_total"] {
        let counted = sum_of(cluster, name)?;
        ensure!((24_000_000..40_000_000).contains(&counted), "{name} is {counted}");
    }
    Ok(())
}

/// Moves the topic, which has 8 MB, and another of 8 MB that is not throttled. Returns how long the topic took.
fn throttled_move(leader: Option<&str>, follower: Option<&str>) -> Result<Duration> {
    let cluster = three_and_three(1)?;
    let mut client = cluster.client();
    client.create_topic("free", 1, &[])?;
    for topic in [TOPIC, "free"] {
        client.reassign(topic, 0, Some(&[0, 1, 2]))?;
        client.wait_reassigned(PATIENCE)?;
        fill(&mut client, topic, 0, 800)?;
    }
    throttle(&cluster, leader, follower)?;
    let all = [("leader.replication.throttled.replicas", Some("*"))];
    client.configure_topic(TOPIC, &all)?;
    client.configure_topic(TOPIC, &[("follower.replication.throttled.replicas", Some("0:3,0:4,0:5"))])?;
    let load = Load::start(&cluster.bootstrap(), "free", 1);
    let start = Instant::now();
    ensure!(client.reassign(TOPIC, 0, Some(&[3, 4, 5]))?.is_none());
    ensure!(client.reassign("free", 0, Some(&[3, 4, 5]))?.is_none());
    until(PATIENCE, "what is not throttled has moved", || {
        let left = client.reassignments()?;
        let topics: Vec<&str> = left.iter().map(|(topic, _)| topic.as_str()).collect();
        ensure!(!topics.is_empty(), "the throttled topic was as fast as the other");
        Ok((topics == [TOPIC]).then_some(()))
    })?;
    load.wait_for_more(100)?;
    client.wait_reassigned(PATIENCE)?;
    let took = start.elapsed();
    check_counted(&cluster)?;
    load.finish()?.verify(&mut client)?;
    let read = client.read_all(TOPIC, 0)?;
    ensure!(read.len() == 800, "{} of 800 records", read.len());
    cluster.succeed();
    Ok(took)
}

/// What a second and one read may take beyond the rate is in the bounds.
#[test]
fn followers_keep_to_their_rate() -> Result<()> {
    let took = throttled_move(None, Some("1000000"))?;
    ensure!(took > Duration::from_millis(5_500), "8 MB at 1 MB/s took {took:?}");
    Ok(())
}

#[test]
fn a_leader_keeps_to_its_rate() -> Result<()> {
    let took = throttled_move(Some("3000000"), None)?;
    ensure!(took > Duration::from_millis(5_500), "three times 8 MB at 3 MB/s took {took:?}");
    Ok(())
}

#[test]
fn a_move_that_was_all_but_stopped_goes_on_when_the_throttle_is_lifted() -> Result<()> {
    let cluster = three_and_three(1)?;
    let mut client = cluster.client();
    fill(&mut client, TOPIC, 0, 800)?;
    throttle(&cluster, Some("10"), Some("10"))?;
    let keys = ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"];
    client.configure_topic(TOPIC, &keys.map(|key| (key, Some("*"))))?;
    ensure!(client.reassign(TOPIC, 0, Some(&[3, 4, 5]))?.is_none());
    let load = Load::start(&cluster.bootstrap(), TOPIC, 1);
    load.wait_for_more(300)?;
    ensure!(client.reassignments()?.len() == 1, "8 MB at 10 B/s were moved");
    throttle(&cluster, None, None)?;
    client.configure_topic(TOPIC, &keys.map(|key| (key, None)))?;
    client.wait_reassigned(Duration::from_secs(20))?;
    load.finish()?;
    ensure!(client.read_all(TOPIC, 0)?.len() > 1_100);
    cluster.succeed();
    Ok(())
}
