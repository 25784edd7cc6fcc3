//! DescribeQuorum (55): the metadata quorum as `kafka-metadata-quorum` shows it.

use klamm_quorum::{QuorumStatus, ReplicaProgress};
use klamm_wire::messages::describe_quorum_request::DescribeQuorumRequest;
use klamm_wire::messages::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};
use klamm_wire::{ErrorCode, Str};

/// Kafka's name of the metadata log.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// Answers from the active controller's view of its followers.
pub fn describe(status: &QuorumStatus, request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            if *topic.topic_name == *METADATA_TOPIC && p.partition_index == 0 {
                metadata_partition(status)
            } else {
                unknown(p.partition_index)
            }
        });
        TopicData { topic_name: topic.topic_name.clone(), partitions: partitions.collect(), ..TopicData::default() }
    });
    DescribeQuorumResponse { topics: topics.collect(), nodes: nodes(status), ..DescribeQuorumResponse::default() }
}

fn metadata_partition(status: &QuorumStatus) -> PartitionData {
    PartitionData {
        leader_id: status.leader.unwrap_or(-1),
        leader_epoch: status.epoch,
        high_watermark: status.high_watermark,
        current_voters: status.voters.iter().map(replica).collect(),
        ..PartitionData::default()
    }
}

fn replica(progress: &ReplicaProgress) -> ReplicaState {
    ReplicaState {
        replica_id: progress.id,
        replica_directory_id: progress.directory_id,
        log_end_offset: progress.log_end,
        last_fetch_timestamp: progress.last_ack_ms,
        last_caught_up_timestamp: progress.last_caught_up_ms,
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

fn nodes(status: &QuorumStatus) -> Vec<Node> {
    let node = |p: &ReplicaProgress| Node {
        node_id: p.id,
        listeners: vec![Listener {
            name: Str::from("CONTROLLER"),
            host: Str::copy_from(&p.host),
            port: p.port,
            ..Listener::default()
        }],
        ..Node::default()
    };
    status.voters.iter().map(node).collect()
}
