//! The few administrative requests that a bench needs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use klamm_wire::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use klamm_wire::messages::delete_topics_request::DeleteTopicsRequest;
use klamm_wire::messages::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use klamm_wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use klamm_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use klamm_wire::messages::metadata_response::MetadataResponse;
use klamm_wire::{ErrorCode, Str};

use crate::connection::Connection;

/// Version of Metadata: the first with flexible fields, known to everyone.
pub const METADATA: i16 = 9;

/// Version of ListOffsets: one offset for each timestamp.
const LIST_OFFSETS: i16 = 5;
/// The timestamp that asks for the end of the log.
const LATEST: i64 = -1;

/// A topic's settings.
pub struct Topic<'a> {
    /// Name.
    pub name: &'a str,
    /// Partitions.
    pub partitions: i32,
    /// Replication factor.
    pub replicas: i16,
    /// Topic configs.
    pub configs: &'a [(&'a str, &'a str)],
}

/// Metadata of `topic`, or of the cluster when it is empty, from the first of the `bootstrap` brokers that answers.
pub fn metadata(bootstrap: &str, topic: &str) -> Result<MetadataResponse> {
    let name = MetadataRequestTopic { name: Some(Str::copy_from(topic)), ..MetadataRequestTopic::default() };
    let topics = if topic.is_empty() { Vec::new() } else { vec![name] };
    let request = MetadataRequest {
        topics: Some(topics),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    let mut last = None;
    for address in bootstrap.split(',') {
        match open(address, Duration::from_secs(2)).and_then(|mut c| c.call(METADATA, &request)) {
            Ok(found) => return Ok(found),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("no bootstrap broker")?)
}

fn open(address: &str, timeout: Duration) -> Result<Connection> {
    let connection = Connection::open(address)?;
    connection.set_timeout(timeout)?;
    Ok(connection)
}

fn open_first(bootstrap: &str, timeout: Duration) -> Result<Connection> {
    open(bootstrap.split(',').next().unwrap_or(bootstrap), timeout)
}

/// Creates a topic, unless it exists.
pub fn create_topic(bootstrap: &str, topic: &Topic<'_>) -> Result<()> {
    let configs = topic.configs.iter().map(|(name, value)| CreatableTopicConfig {
        name: Str::copy_from(name),
        value: Some(Str::copy_from(value)),
        ..CreatableTopicConfig::default()
    });
    let creatable = CreatableTopic {
        name: Str::copy_from(topic.name),
        num_partitions: topic.partitions,
        replication_factor: topic.replicas,
        configs: configs.collect(),
        ..CreatableTopic::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![creatable], timeout_ms: 5_000, ..CreateTopicsRequest::default() };
    for result in open_first(bootstrap, Duration::from_secs(10))?.call(5, &request)?.topics {
        let error = ErrorCode::from_code(result.error_code);
        if error != ErrorCode::None && error != ErrorCode::TopicAlreadyExists {
            bail!("creating {}: {error}: {:?}", topic.name, result.error_message);
        }
    }
    Ok(())
}

/// Creates a topic and waits until each partition has a whole ISR and a leader that knows it leads.
pub fn create_ready_topic(bootstrap: &str, topic: &Topic<'_>) -> Result<()> {
    create_topic(bootstrap, topic)?;
    let partitions = usize::try_from(topic.partitions)?;
    let replicas = usize::try_from(topic.replicas)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        let ready = metadata(bootstrap, topic.name)?.topics.into_iter().any(|t| {
            t.partitions.len() == partitions
                && t.partitions.iter().all(|p| p.leader_id >= 0 && p.isr_nodes.len() >= replicas)
        });
        // What is ready may be the topic of that name that has just been deleted: then nobody leads a moment later.
        if ready && every_leader_serves(bootstrap, topic.name).unwrap_or(false) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("topic {} has no whole ISR after 30 s", topic.name)
}

/// Whether every leader answers for its partitions: metadata may name it before it has taken over.
fn every_leader_serves(bootstrap: &str, topic: &str) -> Result<bool> {
    for (address, partitions) in leaders(bootstrap, topic)? {
        let partitions = partitions.into_iter().map(|partition_index| ListOffsetsPartition {
            partition_index,
            timestamp: LATEST,
            ..ListOffsetsPartition::default()
        });
        let name = Str::copy_from(topic);
        let topics = vec![ListOffsetsTopic { name, partitions: partitions.collect(), ..Default::default() }];
        let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
        let answer = open(&address, Duration::from_secs(10))?.call(LIST_OFFSETS, &request)?;
        if answer.topics.iter().flat_map(|t| &t.partitions).any(|p| p.error_code != 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Deletes a topic, so that the next cell finds room on the disk.
pub fn delete_topic(bootstrap: &str, topic: &str) -> Result<()> {
    let request = DeleteTopicsRequest {
        topic_names: vec![Str::copy_from(topic)],
        timeout_ms: 5_000,
        ..DeleteTopicsRequest::default()
    };
    for result in open_first(bootstrap, Duration::from_secs(10))?.call(5, &request)?.responses {
        if result.error_code != 0 {
            bail!("deleting {topic}: {}", ErrorCode::from_code(result.error_code));
        }
    }
    Ok(())
}

/// Node id of the active controller (DescribeQuorum).
pub fn active_controller(bootstrap: &str) -> Result<i32> {
    let partitions = vec![PartitionData { partition_index: 0, ..PartitionData::default() }];
    let topic = TopicData { topic_name: Str::from("__cluster_metadata"), partitions, ..TopicData::default() };
    let request = DescribeQuorumRequest { topics: vec![topic], ..DescribeQuorumRequest::default() };
    let found = open_first(bootstrap, Duration::from_secs(10))?.call(0, &request)?;
    let partition = found.topics.first().and_then(|t| t.partitions.first());
    partition.map(|p| p.leader_id).filter(|id| *id >= 0).context("no active controller")
}

/// Address of each broker by node id.
pub fn addresses(metadata: &MetadataResponse) -> Vec<(i32, String)> {
    metadata.brokers.iter().map(|b| (b.node_id, format!("{}:{}", b.host, b.port))).collect()
}

/// The partitions of `topic` by the broker that leads them: address and partition indexes.
pub fn leaders(bootstrap: &str, topic: &str) -> Result<Vec<(String, Vec<i32>)>> {
    let found = metadata(bootstrap, topic)?;
    let partitions = &found.topics.first().context("no such topic")?.partitions;
    let mut out = Vec::new();
    for (id, address) in addresses(&found) {
        let mut led: Vec<i32> =
            partitions.iter().filter(|p| p.leader_id == id).map(|p| p.partition_index).collect();
        led.sort_unstable();
        if !led.is_empty() {
            out.push((address, led));
        }
    }
    if out.is_empty() {
        bail!("no partition of {topic} has a leader");
    }
    Ok(out)
}
