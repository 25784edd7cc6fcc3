//! DescribeQuorum (55): the metadata quorum as `kafka-metadata-quorum` shows it.

use klamm_quorum::{QuorumStatus, ReplicaProgress};
use klamm_wire::messages::describe_quorum_request::DescribeQuorumRequest;
use klamm_wire::messages::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};
use klamm_wire::{ErrorCode, Str};

/// Brokers that are no controllers, and how far each has applied the metadata by its last heartbeat.
pub type Followers = Vec<(i32, uuid::Uuid, i64, std::time::Instant)>;

/// Kafka's name of the metadata log.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// Answers from the active controller's view of its followers.
pub fn describe(
    status: &QuorumStatus,
    followers: &Followers,
    request: &DescribeQuorumRequest,
    now_ms: i64,
) -> DescribeQuorumResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            if *topic.topic_name == *METADATA_TOPIC && p.partition_index == 0 {
                metadata_partition(status, followers, now_ms)
            } else {
                unknown(p.partition_index)
            }
        });
        TopicData {
            topic_name: topic.topic_name.clone(),
            partitions: partitions.collect(),
            ..TopicData::default()
        }
    });
    DescribeQuorumResponse {
        topics: topics.collect(),
        nodes: status.voters.iter().chain(&status.observers).map(node).collect(),
        ..DescribeQuorumResponse::default()
    }
}

fn metadata_partition(status: &QuorumStatus, followers: &Followers, now_ms: i64) -> PartitionData {
    PartitionData {
        leader_id: status.leader.unwrap_or(-1),
        leader_epoch: status.epoch,
        high_watermark: status.log.committed,
        current_voters: status.voters.iter().map(|voter| replica(status, voter, now_ms)).collect(),
        observers: status
            .observers
            .iter()
            .map(|observer| replica(status, observer, now_ms))
            .chain(followers.iter().map(|follower| broker(follower, now_ms)))
            .collect(),
        ..PartitionData::default()
    }
}

fn broker(
    (id, directory_id, log_end_offset, heard): &(i32, uuid::Uuid, i64, std::time::Instant),
    now_ms: i64,
) -> ReplicaState {
    let heard = now_ms - i64::try_from(heard.elapsed().as_millis()).unwrap_or(0);
    ReplicaState {
        replica_id: *id,
        replica_directory_id: *directory_id,
        log_end_offset: *log_end_offset,
        last_fetch_timestamp: heard,
        last_caught_up_timestamp: heard,
        ..ReplicaState::default()
    }
}

/// The leader is always in touch with itself.
fn replica(status: &QuorumStatus, progress: &ReplicaProgress, now_ms: i64) -> ReplicaState {
    let since = |at: std::time::Instant| now_ms - i64::try_from(at.elapsed().as_millis()).unwrap_or(0);
    let contact = match progress.last_contact {
        Some(at) => since(at),
        None if status.leader == Some(progress.id) => now_ms,
        None => -1,
    };
    ReplicaState {
        replica_id: progress.id,
        replica_directory_id: progress.directory_id,
        log_end_offset: progress.log_end,
        last_fetch_timestamp: contact,
        last_caught_up_timestamp: contact,
        ..ReplicaState::default()
    }
}

fn unknown(partition_index: i32) -> PartitionData {
    PartitionData {
        partition_index,
        error_code: ErrorCode::UnknownTopicOrPartition.code(),
        leader_id: -1,
        ..PartitionData::default()
    }
}

fn node(voter: &ReplicaProgress) -> Node {
    let listener = Listener {
        name: Str::from("CONTROLLER"),
        host: Str::copy_from(&voter.address.host),
        port: voter.address.port,
        ..Listener::default()
    };
    Node { node_id: voter.id, listeners: vec![listener], ..Node::default() }
}
