//! Brokers that are no controllers and start again: what they kept of the metadata, and what they do with it while no
//! controller answers.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use klamm_harness::{Client, Cluster, ClusterSpec, Load, ProduceError, Roles, until};
use klamm_records::BatchBuilder;
use klamm_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use klamm_wire::{ErrorCode, Records, Str};

const TOPIC: &str = "payments";
const PARTITIONS: i32 = 3;
const PATIENCE: Duration = Duration::from_secs(40);
const CONTROLLERS: [i32; 3] = [100, 101, 102];

fn spec(controllers: i32) -> ClusterSpec {
    ClusterSpec::new(3)
        .roles(Roles::Separate { controllers })
        .property("replica.high.watermark.checkpoint.interval.ms", "100")
}

/// A figure on a node's `/metrics`.
fn metric(cluster: &Cluster, id: i32, name: &str) -> Result<i64> {
    let (status, text) = cluster.http(id, "/metrics")?;
    ensure!(status == 200, "/metrics says {status}");
    let line =
        text.lines().find(|line| line.split(' ').next() == Some(name)).with_context(|| name.to_owned())?;
    Ok(line.rsplit(' ').next().context("a figure")?.parse()?)
}

/// Waits until a broker has on disk what it knows.
fn wait_kept(cluster: &Cluster, id: i32) -> Result<i64> {
    until(PATIENCE, &format!("{id} has kept its metadata"), || {
        let kept = metric(cluster, id, "klamm_metadata_kept_offset")?;
        let known = metric(cluster, id, "klamm_metadata_offset")?;
        ensure!(kept == known && kept >= 0, "it keeps {kept} of {known}");
        Ok(Some(kept))
    })
}

/// Waits until a broker has pulled exactly the entries behind the offset `from`, and no whole image.
fn wait_pulled_behind(cluster: &Cluster, id: i32, from: i64) -> Result<i64> {
    until(PATIENCE, &format!("{id} has pulled what follows {from}"), || {
        let pulled = metric(cluster, id, "klamm_metadata_pulled_entries")?;
        let known = metric(cluster, id, "klamm_metadata_offset")?;
        ensure!(pulled > 0 && pulled == known - from, "it has pulled {pulled} and is at {known}");
        ensure!(metric(cluster, id, "klamm_metadata_pulled_snapshots")? == 0, "it has pulled an image");
        Ok(Some(pulled))
    })
}

fn file(cluster: &Cluster, id: i32) -> Result<PathBuf> {
    Ok(cluster.data_dir(id)?.join("klamm-metadata.image"))
}

fn has_logged(cluster: &Cluster, id: i32, what: &str) -> Result<bool> {
    Ok(fs::read_to_string(cluster.log(id)?)?.contains(what))
}

/// A client that asks one broker alone.
fn client_of(cluster: &Cluster, id: i32) -> Result<Client> {
    Ok(Client::new(&cluster.address(id)?))
}

/// The high watermark of a partition that a broker has stored.
fn stored_high_watermark(cluster: &Cluster, id: i32, partition: i32) -> Result<i64> {
    let text = fs::read_to_string(cluster.data_dir(id)?.join("replication-offset-checkpoint"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{TOPIC} {partition} ")));
    Ok(line.context("the partition")?.parse()?)
}

/// What a broker, leader or not, gives a consumer from the beginning of a partition (KIP-392).
fn fetch(cluster: &Cluster, id: i32, partition: i32) -> Result<Bytes> {
    let wanted = FetchPartition { partition, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: Str::from(TOPIC), partitions: vec![wanted], ..Default::default() };
    let request = FetchRequest {
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![topic],
        ..Default::default()
    };
    let answer = client_of(cluster, id)?.call_at(&cluster.address(id)?, 12, &request)?;
    let one = answer.responses.first().and_then(|topic| topic.partitions.first()).context("a partition")?;
    let code = ErrorCode::from_code(one.error_code);
    ensure!(code.is_none(), "{id} answers {}", code.name());
    match &one.records {
        Records::Bytes(bytes) => Ok(bytes.clone()),
        other => bail!("records of a fetch are {other:?}"),
    }
}

/// A broker that no controller answers: it knows the cluster, serves what it followed, leads nothing, and is not ready.
fn check_alone(cluster: &Cluster, alone: i32, led: i32, followed: (i32, i32)) -> Result<()> {
    let mut client = client_of(cluster, alone)?;
    until(PATIENCE, "the broker knows its topics", || {
        let topology = client.topology()?;
        (0..PARTITIONS).try_for_each(|partition| topology.replicas(TOPIC, partition).map(drop))?;
        Ok(Some(()))
    })?;
    let (status, why) = cluster.http(alone, "/readyz")?;
    ensure!(status != 200, "a broker without a controller is ready: {why}");
    let (partition, leader) = followed;
    let near = fetch(cluster, alone, partition)?;
    let there = fetch(cluster, leader, partition)?;
    ensure!(!near.is_empty() && there.starts_with(&near), "what it serves is not what the leader has");
    let mut batch = BatchBuilder::new(0);
    batch.push(0, None, Some(b"nobody leads"), &[])?;
    let refused = client.produce_batch(TOPIC, led, 1, batch.finish()?.freeze());
    let is_refused = matches!(refused, Err(ProduceError::Refused(ErrorCode::NotLeaderOrFollower)));
    ensure!(is_refused, "it leads in the epoch of the process before: {refused:?}");
    let refused = client.try_create_topic("impossible", 1, &[]);
    ensure!(!refused.is_ok_and(ErrorCode::is_none), "a topic was created without controllers");
    Ok(())
}

fn restart_without_controllers(stop: fn(&mut Cluster, i32) -> Result<()>) -> Result<()> {
    let mut cluster = spec(3).start()?;
    cluster.client().create_topic(TOPIC, PARTITIONS, &[])?;
    let load = Load::start(&cluster.bootstrap(), TOPIC, PARTITIONS);
    load.wait_for_more(300)?;
    let alone = cluster.leader_of(TOPIC, 0)?;
    let mut leaders =
        (1..PARTITIONS).map(|p| Ok((p, cluster.leader_of(TOPIC, p)?))).collect::<Result<Vec<_>>>()?;
    leaders.retain(|(_, leader)| *leader != alone);
    let followed = leaders.first().copied().context("another broker leads")?;
    wait_kept(&cluster, alone)?;
    CONTROLLERS.iter().try_for_each(|id| cluster.kill(*id))?;
    load.wait_for_more(300)?;
    until(PATIENCE, "the broker has stored a high watermark", || {
        Ok((stored_high_watermark(&cluster, alone, followed.0)? > 0).then_some(()))
    })?;
    stop(&mut cluster, alone)?;
    cluster.restart(alone)?;
    check_alone(&cluster, alone, 0, followed)?;
    let kept = metric(&cluster, alone, "klamm_metadata_kept_offset")?;
    ensure!(kept > 0 && metric(&cluster, alone, "klamm_metadata_pulled_entries")? == 0, "it kept {kept}");
    CONTROLLERS.iter().try_for_each(|id| cluster.restart(*id))?;
    cluster.wait_ready()?;
    load.wait_for_more(300)?;
    (0..PARTITIONS).try_for_each(|partition| cluster.wait_isr(TOPIC, partition, &[0, 1, 2]))?;
    let pulled = wait_pulled_behind(&cluster, alone, kept)?;
    println!("went on from offset {kept} with {pulled} entries");
    load.finish()?.verify(&mut cluster.client())?;
    cluster.succeed();
    Ok(())
}

#[test]
fn a_broker_killed_and_started_without_controllers_knows_the_cluster_and_leads_nothing() -> Result<()> {
    restart_without_controllers(Cluster::kill)
}

#[test]
fn a_broker_stopped_and_started_without_controllers_knows_the_cluster_and_leads_nothing() -> Result<()> {
    restart_without_controllers(Cluster::terminate)
}

#[test]
fn a_restart_pulls_only_what_followed_and_a_damaged_image_is_pulled_anew() -> Result<()> {
    let mut cluster = spec(1).start()?;
    cluster.client().create_topic(TOPIC, PARTITIONS, &[])?;
    cluster.client().produce(TOPIC, 0, &["one"])?;
    // The image goes far beyond what one restart adds.
    (0..10).try_for_each(|n| cluster.client().create_topic(&format!("before-{n}"), 1, &[]))?;
    cluster.terminate(0)?;
    let image = fs::read(file(&cluster, 0)?)?;
    cluster.client().create_topic("meanwhile", 1, &[])?;
    cluster.restart(0)?;
    cluster.wait_ready_of(0)?;
    let log = fs::read_to_string(cluster.log(0)?)?;
    let line = log.lines().find(|l| l.contains("going on from the metadata image")).context("went on")?;
    let from = line.split(['=', ' ', ',', ':']).skip_while(|word| !word.contains("offset")).nth(1);
    let from: i64 = from.context("an offset")?.parse().with_context(|| line.to_owned())?;
    ensure!(wait_pulled_behind(&cluster, 0, from)? < from, "more than what followed");
    ensure!(client_of(&cluster, 0)?.topology()?.topics().iter().any(|topic| topic == "meanwhile"));
    cluster.wait_isr(TOPIC, 0, &[0, 1, 2])?;
    cluster.terminate(0)?;
    let mut damaged = image;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 4;
    fs::write(file(&cluster, 0)?, damaged)?;
    cluster.restart(0)?;
    cluster.wait_ready_of(0)?;
    ensure!(has_logged(&cluster, 0, "the metadata image on disk is not used")?, "a damaged image was used");
    wait_pulled_behind(&cluster, 0, -1)?;
    wait_kept(&cluster, 0)?;
    cluster.wait_isr(TOPIC, 0, &[0, 1, 2])?;
    cluster.succeed();
    Ok(())
}

#[test]
fn an_image_of_a_quorum_that_began_anew_is_given_up_and_no_log_is_removed() -> Result<()> {
    let mut cluster = spec(1).start()?;
    cluster.client().create_topic(TOPIC, PARTITIONS, &[])?;
    cluster.client().produce(TOPIC, 0, &["one"])?;
    // The image is further than the new log will be for a while.
    (0..10).try_for_each(|n| cluster.client().create_topic(&format!("more-{n}"), 1, &[]))?;
    wait_kept(&cluster, 0)?;
    cluster.kill(100)?;
    cluster.wipe(100)?;
    cluster.kill(0)?;
    cluster.restart(0)?;
    cluster.restart(100)?;
    let ended = cluster.wait_ended(0)?;
    ensure!(!ended.success(), "it ended with {ended}");
    ensure!(has_logged(&cluster, 0, "the metadata here is not that of this quorum")?, "it does not say why");
    ensure!(!file(&cluster, 0)?.exists(), "the image is still there");
    ensure!(cluster.data_dir(0)?.join(format!("{TOPIC}-0")).exists(), "a log is gone");
    cluster.restart(0)?;
    cluster.wait_ready_of(0)?;
    ensure!(client_of(&cluster, 0)?.topology()?.topics().is_empty(), "topics of the lost quorum are there");
    cluster.succeed();
    Ok(())
}

/// The directories of [`TOPIC`] on a broker that hold records.
fn directories_with_records(cluster: &Cluster, id: i32) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(cluster.data_dir(id)?)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let segment = entry.path().join("00000000000000000000.log");
        if name.starts_with(&format!("{TOPIC}-")) && fs::metadata(segment).is_ok_and(|file| file.len() > 0) {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// Gives every controller and the `others` new disks, and has them found a quorum whose log gets longer than `offset`.
fn found_anew(cluster: &mut Cluster, others: &[i32], offset: i64) -> Result<()> {
    for id in [100].iter().chain(others) {
        cluster.kill(*id)?;
        cluster.wipe(*id)?;
    }
    for id in [100].iter().chain(others) {
        cluster.restart(*id)?;
    }
    others.iter().try_for_each(|id| cluster.wait_ready_of(*id))?;
    for n in 0.. {
        if metric(cluster, others[0], "klamm_metadata_offset")? > offset + 5 {
            return Ok(());
        }
        cluster.client().create_topic(&format!("new-{n}"), 1, &[])?;
    }
    Ok(())
}

#[test]
fn an_image_of_a_lost_quorum_is_given_up_though_the_new_log_is_longer_in_the_same_epoch() -> Result<()> {
    let mut cluster = spec(1).property("default.replication.factor", "2").start()?;
    cluster.client().create_topic(TOPIC, PARTITIONS, &[])?;
    (0..PARTITIONS)
        .try_for_each(|partition| cluster.client().produce(TOPIC, partition, &["one"]).map(drop))?;
    let kept = wait_kept(&cluster, 0)?;
    cluster.kill(0)?;
    let lost = directories_with_records(&cluster, 0)?;
    ensure!(!lost.is_empty(), "broker 0 has no records");
    found_anew(&mut cluster, &[1, 2], kept)?;
    cluster.restart(0)?;
    let ended = cluster.wait_ended(0)?;
    ensure!(!ended.success(), "it ended with {ended}");
    ensure!(has_logged(&cluster, 0, "the quorum was founded anew")?, "it does not say why");
    ensure!(!file(&cluster, 0)?.exists(), "the image is still there");
    ensure!(directories_with_records(&cluster, 0)? == lost, "logs are gone or renamed already");
    cluster.restart(0)?;
    cluster.wait_ready_of(0)?;
    let topics = client_of(&cluster, 0)?.topology()?.topics();
    ensure!(topics.iter().all(|topic| topic.starts_with("new-")), "topics of the lost quorum: {topics:?}");
    let aside = until(PATIENCE, "the lost topic's logs are set aside", || {
        let names = directories_with_records(&cluster, 0)?;
        Ok(names.iter().all(|name| name.ends_with("-stray")).then_some(names))
    })?;
    ensure!(aside.len() == lost.len(), "of {lost:?} only {aside:?} are left");
    cluster.succeed();
    Ok(())
}

#[test]
fn a_combined_node_keeps_one_copy_and_knows_the_cluster_without_a_majority() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    cluster.client().create_topic(TOPIC, PARTITIONS, &[])?;
    cluster.kill_all()?;
    cluster.restart(0)?;
    let mut client = client_of(&cluster, 0)?;
    until(PATIENCE, "the node knows its topics", || {
        Ok(client.topology()?.topics().iter().any(|topic| topic == TOPIC).then_some(()))
    })?;
    ensure!(!file(&cluster, 0)?.exists(), "a controller keeps its metadata twice");
    cluster.succeed();
    Ok(())
}
