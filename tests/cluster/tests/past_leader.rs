//! A broker that hears of no controller any more may have been replaced wherever it leads. It must not tell a consumer that
//! has read from its successor that the log was truncated: the consumer would give up or begin elsewhere.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use klamm_harness::{Client, ClusterSpec, until};
use klamm_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use klamm_wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use klamm_wire::{ErrorCode, Str};

const TOPIC: &str = "payments";
const SESSION_MS: &str = "10000";
/// Less than that session: a new controller fences the broker of the one before it after half of one.
const PATIENCE: Duration = Duration::from_secs(9);

/// What a consumer hears that asks for `offset` after records of `last_fetched_epoch`.
fn fetch(client: &mut Client, at: &str, offset: i64, last_fetched_epoch: i32) -> Result<ErrorCode> {
    let partition = FetchPartition {
        fetch_offset: offset,
        last_fetched_epoch,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic =
        FetchTopic { topic: Str::copy_from(TOPIC), partitions: vec![partition], ..Default::default() };
    let request = FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..Default::default() };
    let answer = client.call_at(at, 12, &request)?;
    let one = answer.responses.first().and_then(|topic| topic.partitions.first());
    let one = one.context("an answer for the partition")?;
    ensure!(one.diverging_epoch.end_offset < 0, "no log parts from that of a leader here");
    Ok(ErrorCode::from_code(one.error_code))
}

/// The answer to a consumer that asks where an epoch ends: the error and the end.
fn epoch_end(client: &mut Client, at: &str, leader_epoch: i32) -> Result<(ErrorCode, i64)> {
    let asked = OffsetForLeaderPartition { leader_epoch, current_leader_epoch: -1, ..Default::default() };
    let topic =
        OffsetForLeaderTopic { topic: Str::copy_from(TOPIC), partitions: vec![asked], ..Default::default() };
    let request = OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    let answer = client.call_at(at, 4, &request)?;
    let one = answer.topics.first().and_then(|topic| topic.partitions.first());
    let one = one.context("an answer for the partition")?;
    Ok((ErrorCode::from_code(one.error_code), one.end_offset))
}

#[test]
fn a_leader_that_may_have_been_replaced_calls_no_log_truncated() -> Result<()> {
    let mut cluster = ClusterSpec::new(3).property("broker.session.timeout.ms", SESSION_MS).start()?;
    let mut client = cluster.client();
    client.create_topic(TOPIC, 1, &[])?;
    client.produce(TOPIC, 0, &["a", "b"])?;
    let leader = cluster.leader_of(TOPIC, 0)?;
    let epoch = client.topology()?.leader_epoch(TOPIC, 0)?;
    let at = cluster.address(leader)?;

    // Who leads for certain says what its log has and what not.
    ensure!(fetch(&mut client, &at, 9, -1)? == ErrorCode::OffsetOutOfRange);
    ensure!(fetch(&mut client, &at, 2, epoch + 1)? == ErrorCode::OffsetOutOfRange);
    ensure!(epoch_end(&mut client, &at, epoch + 1)? == (ErrorCode::None, -1));

    let others: Vec<i32> = cluster.broker_ids().into_iter().filter(|id| *id != leader).collect();
    others.iter().try_for_each(|id| cluster.pause(*id))?;
    until(PATIENCE, "the leader is not sure of itself any more", || {
        Ok((fetch(&mut client, &at, 9, -1)? == ErrorCode::NotLeaderOrFollower).then_some(()))
    })?;
    ensure!(fetch(&mut client, &at, 2, epoch + 1)? == ErrorCode::NotLeaderOrFollower);
    ensure!(epoch_end(&mut client, &at, epoch + 1)?.0 == ErrorCode::NotLeaderOrFollower);
    // What it has it serves on.
    ensure!(fetch(&mut client, &at, 0, -1)? == ErrorCode::None);
    ensure!(fetch(&mut client, &at, 2, epoch)? == ErrorCode::None);
    ensure!(epoch_end(&mut client, &at, epoch)? == (ErrorCode::None, 2));

    others.iter().try_for_each(|id| cluster.resume(*id))?;
    cluster.wait_isr(TOPIC, 0, &[0, 1, 2])?;
    cluster.succeed();
    Ok(())
}
