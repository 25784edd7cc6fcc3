//! KIP-951: a broker that does not lead a partition says who does, and where, so that clients need no round of Metadata.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use klamm_harness::{Client, ClusterSpec};
use klamm_records::BatchBuilder;
use klamm_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use klamm_wire::messages::metadata_request::MetadataRequest;
use klamm_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use klamm_wire::{ErrorCode, Str};

const TOPIC: &str = "hinted";

fn produce() -> Result<ProduceRequest> {
    let mut builder = BatchBuilder::new(0);
    builder.push(0, None, Some(b"value"), &[])?;
    let records: Option<Bytes> = Some(builder.finish()?.freeze());
    let partition = PartitionProduceData { index: 0, records, ..Default::default() };
    let topic =
        TopicProduceData { name: Str::from(TOPIC), partition_data: vec![partition], ..Default::default() };
    Ok(ProduceRequest { acks: 1, timeout_ms: 5_000, topic_data: vec![topic], ..Default::default() })
}

/// A fetch at a version that names topics by id.
fn fetch(client: &mut Client) -> Result<FetchRequest> {
    let answer = client.call(12, &MetadataRequest { topics: None, ..Default::default() })?;
    let known =
        answer.topics.iter().find(|t| t.name.as_deref() == Some(TOPIC)).context("the topic is known")?;
    let partition = FetchPartition { partition: 0, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic_id: known.topic_id, partitions: vec![partition], ..Default::default() };
    Ok(FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..Default::default() })
}

#[test]
fn who_does_not_lead_names_the_leader_and_its_address() -> Result<()> {
    let mut cluster = ClusterSpec::new(3).property("default.replication.factor", "2").start()?;
    let mut client = cluster.client();
    client.create_topic(TOPIC, 1, &[])?;
    let leader = cluster.leader_of(TOPIC, 0)?;
    let topology = client.topology()?;
    let replicas = topology.replicas(TOPIC, 0)?;
    let follower = replicas.iter().copied().find(|id| *id != leader).context("a follower")?;
    let stranger = (0..3).find(|id| !replicas.contains(id)).context("a broker without a replica")?;
    let (follower, leader_address) = (cluster.address(follower)?, cluster.address(leader)?);
    // A follower may serve consumers.
    let stranger = cluster.address(stranger)?;

    let answer = client.call_at(&follower, 12, &produce()?)?;
    let partition =
        answer.responses.first().and_then(|t| t.partition_responses.first()).context("a partition")?;
    ensure!(partition.error_code == ErrorCode::NotLeaderOrFollower.code(), "{partition:?}");
    ensure!(partition.current_leader.leader_id == leader, "{partition:?}");
    let hints: Vec<_> =
        answer.node_endpoints.iter().map(|n| (n.node_id, format!("{}:{}", n.host, n.port))).collect();
    ensure!(hints == [(leader, leader_address.clone())], "produce: {hints:?}");

    let request = fetch(&mut client)?;
    let answer = client.call_at(&stranger, 16, &request)?;
    let partition = answer.responses.first().and_then(|t| t.partitions.first()).context("a partition")?;
    ensure!(partition.error_code == ErrorCode::NotLeaderOrFollower.code(), "{partition:?}");
    ensure!(partition.current_leader.leader_id == leader, "{partition:?}");
    let hints: Vec<_> =
        answer.node_endpoints.iter().map(|n| (n.node_id, format!("{}:{}", n.host, n.port))).collect();
    ensure!(hints == [(leader, leader_address)], "fetch: {hints:?}");
    cluster.succeed();
    Ok(())
}
