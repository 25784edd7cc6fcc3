//! Consumers that read from the replica in their rack (KIP-392).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use klamm_harness::{Client, Cluster, ClusterSpec, until};
use klamm_records::batches;
use klamm_wire::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use klamm_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use klamm_wire::messages::fetch_response::PartitionData;
use klamm_wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use klamm_wire::{ErrorCode, Records, Str};

const TOPIC: &str = "near";
const RACKS: [&str; 3] = ["a", "b", "c"];
const SELECTOR: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster over three racks, its leader, and a follower.
fn cluster(selector: &str) -> Result<(Cluster, i32, i32)> {
    let spec = ClusterSpec::new(3).property("replica.selector.class", selector);
    let spec = (0..).zip(RACKS).fold(spec, |spec, (id, rack)| spec.property_of(id, "broker.rack", rack));
    let mut cluster = spec.start()?;
    cluster.client().create_topic(TOPIC, 1, &[])?;
    let leader = cluster.leader_of(TOPIC, 0)?;
    Ok((cluster, leader, (leader + 1) % 3))
}

fn rack(id: i32) -> Result<&'static str> {
    Ok(RACKS[usize::try_from(id)?])
}

/// What a broker answers a consumer in a rack.
struct Fetch<'a> {
    at: i32,
    rack: &'a str,
    offset: i64,
    epoch: i32,
    wait: Duration,
}

impl Fetch<'_> {
    fn of(at: i32, rack: &str, offset: i64) -> Fetch<'_> {
        Fetch { at, rack, offset, epoch: -1, wait: Duration::from_millis(500) }
    }

    fn answer(&self, cluster: &Cluster, client: &mut Client) -> Result<PartitionData> {
        let partition = FetchPartition {
            partition: 0,
            current_leader_epoch: self.epoch,
            fetch_offset: self.offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let topic = FetchTopic { topic: Str::from(TOPIC), partitions: vec![partition], ..Default::default() };
        let request = FetchRequest {
            max_wait_ms: i32::try_from(self.wait.as_millis())?,
            min_bytes: 1,
            max_bytes: 1 << 20,
            topics: vec![topic],
            rack_id: Str::copy_from(self.rack),
            ..Default::default()
        };
        let answer = client.call_at(&cluster.address(self.at)?, 12, &request)?;
        ensure!(answer.error_code == 0, "{answer:?}");
        answer.responses.into_iter().next().and_then(|mut t| t.partitions.pop()).context("a partition")
    }

    fn error(&self, cluster: &Cluster, client: &mut Client) -> Result<ErrorCode> {
        Ok(ErrorCode::from_code(self.answer(cluster, client)?.error_code))
    }
}

fn values(data: &PartitionData) -> Result<Vec<String>> {
    let Records::Bytes(bytes) = &data.records else { return Ok(Vec::new()) };
    let mut values = Vec::new();
    for batch in batches(bytes.clone()) {
        for record in batch?.records(1 << 20)? {
            values.push(String::from_utf8_lossy(&record?.value.unwrap_or_default()).into_owned());
        }
    }
    Ok(values)
}

/// Record bytes that a broker has sent to consumers.
fn consumed(cluster: &Cluster, id: i32) -> Result<u64> {
    let (status, text) = cluster.http(id, "/metrics")?;
    ensure!(status == 200, "/metrics says {status}");
    let line = text.lines().find(|line| line.starts_with("klamm_consumed_bytes_total "));
    let value = line.and_then(|line| line.split_whitespace().nth(1)).context("klamm_consumed_bytes_total")?;
    Ok(value.parse()?)
}

/// Waits until a follower serves up to an offset: it learns of the high watermark after the leader has moved it.
fn wait_served(cluster: &Cluster, client: &mut Client, follower: i32, offset: i64) -> Result<()> {
    until(PATIENCE, "the follower knows what is committed", || {
        let data = Fetch::of(follower, "", offset).answer(cluster, client)?;
        ensure!(data.error_code == 0 && data.high_watermark >= offset, "{data:?}");
        Ok(Some(()))
    })
}

#[test]
fn the_leader_names_the_replica_in_the_consumers_rack_and_it_serves() -> Result<()> {
    let (cluster, leader, follower) = cluster(SELECTOR)?;
    let mut client = cluster.client();
    client.produce(TOPIC, 0, &["one", "two"])?;
    wait_served(&cluster, &mut client, follower, 2)?;
    let before = [consumed(&cluster, leader)?, consumed(&cluster, follower)?];
    let sent_away = Fetch::of(leader, rack(follower)?, 0).answer(&cluster, &mut client)?;
    ensure!((sent_away.error_code, sent_away.preferred_read_replica) == (0, follower), "{sent_away:?}");
    ensure!(values(&sent_away)?.is_empty() && sent_away.high_watermark == 2, "{sent_away:?}");
    let near = Fetch::of(follower, rack(follower)?, 0).answer(&cluster, &mut client)?;
    ensure!(values(&near)? == ["one", "two"] && near.preferred_read_replica == -1, "{near:?}");
    let after = [consumed(&cluster, leader)?, consumed(&cluster, follower)?];
    ensure!(after[0] == before[0] && after[1] > before[1], "bytes sent to consumers: {before:?}, {after:?}");
    for (rack, why) in [(rack(leader)?, "its own rack"), ("z", "a rack without brokers"), ("", "no rack")] {
        let data = Fetch::of(leader, rack, 0).answer(&cluster, &mut client)?;
        ensure!(values(&data)? == ["one", "two"] && data.preferred_read_replica == -1, "{why}: {data:?}");
    }
    cluster.succeed();
    Ok(())
}

#[test]
fn without_a_selector_nobody_is_sent_away_but_followers_serve() -> Result<()> {
    let (cluster, leader, follower) = cluster("org.apache.kafka.common.replica.LeaderSelector")?;
    let mut client = cluster.client();
    client.produce(TOPIC, 0, &["one"])?;
    let data = Fetch::of(leader, rack(follower)?, 0).answer(&cluster, &mut client)?;
    ensure!(values(&data)? == ["one"] && data.preferred_read_replica == -1, "{data:?}");
    wait_served(&cluster, &mut client, follower, 1)?;
    let data = Fetch::of(follower, "", 0).answer(&cluster, &mut client)?;
    ensure!(values(&data)? == ["one"], "{data:?}");
    cluster.succeed();
    Ok(())
}

#[test]
fn a_consumer_that_waits_at_a_follower_gets_records_as_they_are_committed() -> Result<()> {
    let (cluster, _, follower) = cluster(SELECTOR)?;
    let mut client = cluster.client();
    let rounds = 20;
    let start = Instant::now();
    for round in 0..rounds {
        let producer = std::thread::spawn({
            let mut client = cluster.client();
            move || client.produce(TOPIC, 0, &["news"])
        });
        let mut fetch = Fetch::of(follower, rack(follower)?, round);
        fetch.wait = Duration::from_secs(20);
        // The record before may have come with one that this follower only holds yet.
        let data = until(PATIENCE, "the record is here", || {
            let data = fetch.answer(&cluster, &mut client)?;
            Ok((!values(&data)?.is_empty()).then_some(data))
        })?;
        ensure!(values(&data)? == ["news"], "{data:?}");
        producer.join().map_err(|_| anyhow::anyhow!("the producer panicked"))??;
    }
    // A follower's own fetch may wait for half a second at the leader, and a consumer for 20: neither was waited for.
    let took = start.elapsed() / u32::try_from(rounds)?;
    ensure!(took < Duration::from_millis(250), "a record took {took:?} on average");
    cluster.succeed();
    Ok(())
}

#[test]
fn a_dead_follower_is_not_named_any_more() -> Result<()> {
    let (mut cluster, leader, follower) = cluster(SELECTOR)?;
    let mut client = cluster.client();
    client.produce(TOPIC, 0, &["one"])?;
    wait_served(&cluster, &mut client, follower, 1)?;
    let data = Fetch::of(leader, rack(follower)?, 0).answer(&cluster, &mut client)?;
    ensure!(data.preferred_read_replica == follower, "{data:?}");
    cluster.kill(follower)?;
    let mut fallen_back = || {
        let data = Fetch::of(leader, rack(follower)?, 0).answer(&cluster, &mut client)?;
        ensure!(data.preferred_read_replica == -1 && values(&data)? == ["one"], "{data:?}");
        Ok(Some(()))
    };
    until(PATIENCE, "the leader serves by itself", &mut fallen_back)?;
    cluster.restart(follower)?;
    cluster.wait_ready()?;
    cluster.wait_isr(TOPIC, 0, &[0, 1, 2])?;
    until(PATIENCE, "the follower is named again", || {
        let data = Fetch::of(leader, rack(follower)?, 0).answer(&cluster, &mut client)?;
        Ok((data.preferred_read_replica == follower).then_some(()))
    })?;
    cluster.succeed();
    Ok(())
}

#[test]
fn a_follower_says_what_it_does_not_have() -> Result<()> {
    let (cluster, leader, follower) = cluster(SELECTOR)?;
    let mut client = cluster.client();
    client.produce(TOPIC, 0, &["one", "two", "three"])?;
    wait_served(&cluster, &mut client, follower, 3)?;
    let epoch = client.topology()?.leader_epoch(TOPIC, 0)?;
    let mut error = |fetch: Fetch<'_>| fetch.error(&cluster, &mut client);
    let near = |offset| Fetch::of(follower, "", offset);
    ensure!(error(near(9))? == ErrorCode::OffsetNotAvailable);
    ensure!(error(Fetch::of(leader, "", 9))? == ErrorCode::OffsetOutOfRange);
    ensure!(error(Fetch { epoch: epoch + 1, ..near(0) })? == ErrorCode::UnknownLeaderEpoch);
    ensure!(error(Fetch { epoch, ..near(0) })?.is_none());
    let partition = DeleteRecordsPartition { partition_index: 0, offset: 2, ..Default::default() };
    let topic =
        DeleteRecordsTopic { name: Str::from(TOPIC), partitions: vec![partition], ..Default::default() };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 5_000, ..Default::default() };
    let deleted = client.call_at(&cluster.address(leader)?, 2, &request)?;
    let result = &deleted.topics[0].partitions[0];
    ensure!((result.error_code, result.low_watermark) == (0, 2), "{deleted:?}");
    let code = near(1).error(&cluster, &mut client)?;
    ensure!(code == ErrorCode::OffsetOutOfRange, "acknowledged when the follower has deleted them, too");
    // Questions about offsets, and records, are the leader's.
    let wanted = ListOffsetsPartition { timestamp: -1, ..Default::default() };
    let topic = ListOffsetsTopic { name: Str::from(TOPIC), partitions: vec![wanted], ..Default::default() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    let listed = client.call_at(&cluster.address(follower)?, 7, &request)?;
    let code = listed.topics[0].partitions[0].error_code;
    ensure!(code == ErrorCode::NotLeaderOrFollower.code(), "{listed:?}");
    cluster.succeed();
    Ok(())
}
