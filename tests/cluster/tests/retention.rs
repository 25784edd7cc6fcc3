//! Old records go by age, by size, by key and on request, and a crash right afterwards changes no offset.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use klamm_harness::{Client, Cluster, ClusterSpec, until};
use klamm_records::BatchBuilder;
use klamm_wire::Str;
use klamm_wire::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};

const PATIENCE: Duration = Duration::from_secs(20);
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

fn one_broker() -> Result<Cluster> {
    let spec = ClusterSpec::new(1)
        .property("log.initial.task.delay.ms", "100")
        .property("log.retention.check.interval.ms", "200")
        .property("log.cleaner.backoff.ms", "100")
        // A crash finds checkpoints that know nothing of all this.
        .property("replica.high.watermark.checkpoint.interval.ms", "600000");
    spec.start()
}

#[test]
fn expired_records_go_and_their_offsets_are_never_given_again() -> Result<()> {
    let mut cluster = one_broker()?;
    let mut client = cluster.client();
    client.create_topic("aged", 1, &[("retention.ms", "1"), ("segment.bytes", "1000")])?;
    for _ in 0..10 {
        client.produce("aged", 0, &["x".repeat(300).as_str()])?;
    }
    until(PATIENCE, "every record expires", || {
        Ok((client.offset_at("aged", 0, EARLIEST)? == 10).then_some(()))
    })?;
    cluster.kill(0)?;
    cluster.restart(0)?;
    cluster.wait_ready()?;
    ensure!(cluster.client().produce("aged", 0, &["next"])? == 10, "the next offset");
    cluster.succeed();
    Ok(())
}

#[test]
fn a_topic_over_its_size_loses_its_oldest_segments() -> Result<()> {
    let cluster = one_broker()?;
    let mut client = cluster.client();
    client.create_topic("sized", 1, &[("retention.bytes", "2000"), ("segment.bytes", "1000")])?;
    for _ in 0..20 {
        client.produce("sized", 0, &["x".repeat(300).as_str()])?;
    }
    // 2,000 bytes are five records and more; a segment holds two.
    let start = until(PATIENCE, "the oldest records go", || {
        Ok(Some(client.offset_at("sized", 0, EARLIEST)?).filter(|start| *start > 10))
    })?;
    ensure!(start <= 15, "no more than allowed: the log starts at {start}");
    let left = i64::try_from(client.read_all("sized", 0)?.len())?;
    ensure!((client.offset_at("sized", 0, LATEST)?, left) == (20, 20 - start), "{left} records are left");
    cluster.succeed();
    Ok(())
}

fn delete(client: &mut Client, leader: &str, offset: i64) -> Result<()> {
    let partition = DeleteRecordsPartition { partition_index: 0, offset, ..Default::default() };
    let topic =
        DeleteRecordsTopic { name: Str::from("deleted"), partitions: vec![partition], ..Default::default() };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 20_000, ..Default::default() };
    let answer = client.call_at(leader, 2, &request)?;
    let result = &answer.topics[0].partitions[0];
    ensure!((result.error_code, result.low_watermark) == (0, offset), "{answer:?}");
    Ok(())
}

#[test]
fn deleted_records_stay_deleted_when_the_leader_dies_at_once() -> Result<()> {
    let mut cluster = Cluster::start(3)?;
    let mut client = cluster.client();
    client.create_topic("deleted", 1, &[])?;
    let rounds = 12;
    for _ in 0..rounds {
        client.produce("deleted", 0, &["one"])?;
    }
    let leader = cluster.leader_of("deleted", 0)?;
    let address = cluster.address(leader)?;
    let begun = Instant::now();
    (1..=rounds).try_for_each(|offset| delete(&mut client, &address, offset))?;
    // A follower's fetch waits for half a second at the leader of an idle partition: that was not waited for.
    let took = begun.elapsed() / u32::try_from(rounds)?;
    ensure!(took < Duration::from_millis(250), "a deletion took {took:?} on average");
    cluster.kill(leader)?;
    let start = until(PATIENCE, "another broker leads", || {
        let is_replaced = cluster.leader_of("deleted", 0)? != leader;
        let asked = is_replaced.then(|| cluster.client().offset_at("deleted", 0, EARLIEST).ok());
        Ok(asked.flatten())
    })?;
    ensure!(start == rounds, "the log starts at {start} again");
    cluster.succeed();
    Ok(())
}

fn put(client: &mut Client, key: u8, value: &str) -> Result<()> {
    let mut builder = BatchBuilder::new(0);
    builder.push(0, Some(&[key]), Some(value.as_bytes()), &[])?;
    client.produce_batch("table", 0, -1, builder.finish()?.freeze())?;
    Ok(())
}

/// How many records there are, and the last value of each key.
type Table = (usize, BTreeMap<Vec<u8>, Vec<u8>>);

fn table(client: &mut Client) -> Result<Table> {
    let records = client.read_from("table", 0, 0)?;
    let pairs = records.iter().map(|record| {
        let key = record.key.as_ref().context("every record has a key")?;
        Ok((key.to_vec(), record.value.as_ref().context("no value was deleted")?.to_vec()))
    });
    Ok((records.len(), pairs.collect::<Result<_>>()?))
}

#[test]
fn a_compacted_topic_keeps_the_last_value_of_each_key() -> Result<()> {
    let mut cluster = one_broker()?;
    let mut client = cluster.client();
    let policy =
        [("cleanup.policy", "compact"), ("segment.bytes", "1000"), ("min.cleanable.dirty.ratio", "0.1")];
    client.create_topic("table", 1, &policy)?;
    for round in 0..100 {
        for key in 0..3 {
            put(&mut client, key, &format!("{round}"))?;
        }
    }
    until(PATIENCE, "old values go", || Ok((table(&mut client)?.0 < 60).then_some(())))?;
    let expected: BTreeMap<_, _> = (0..3).map(|key| (vec![key], b"99".to_vec())).collect();
    ensure!(table(&mut client)?.1 == expected, "a last value went");
    cluster.kill(0)?;
    cluster.restart(0)?;
    cluster.wait_ready()?;
    let mut client = cluster.client();
    ensure!(table(&mut client)?.1 == expected, "a last value went with the crash");
    put(&mut client, 0, "after")?;
    ensure!(client.offset_at("table", 0, LATEST)? == 301, "offsets go on");
    cluster.succeed();
    Ok(())
}
