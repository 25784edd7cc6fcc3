//! ListOffsets (2): offsets by timestamp, and the special ones.

use std::sync::Arc;

use klamm_wire::ErrorCode;
use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use klamm_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};

use crate::node::Node;
use crate::partition::{ListedOffset, Refused};

/// Answers from the led partitions; lookups by time read indexes, on a thread that may wait.
pub async fn handle(node: Arc<Node>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let looked_up = tokio::task::spawn_blocking(move || look_up(&node, request));
    looked_up.await.unwrap_or_default()
}

fn look_up(node: &Node, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let is_replica = request.replica_id >= 0;
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|asked| answer(asked, find(node, &topic.name, asked, is_replica)))
            .collect();
        ListOffsetsTopicResponse { name: topic.name, partitions, ..ListOffsetsTopicResponse::default() }
    });
    ListOffsetsResponse { topics: topics.collect(), ..ListOffsetsResponse::default() }
}

fn find(
    node: &Node,
    topic: &str,
    asked: &ListOffsetsPartition,
    is_replica: bool,
) -> Result<ListedOffset, Refused> {
    let partition = node.led_partition(topic, asked.partition_index)?;
    partition.list_offset(asked.timestamp, asked.current_leader_epoch, is_replica)
}

fn answer(
    asked: &ListOffsetsPartition,
    found: Result<ListedOffset, Refused>,
) -> ListOffsetsPartitionResponse {
    let partition_index = asked.partition_index;
    match found {
        Ok(found) => ListOffsetsPartitionResponse {
            partition_index,
            error_code: ErrorCode::None.code(),
            timestamp: found.timestamp,
            offset: found.offset,
            leader_epoch: found.leader_epoch,
            ..ListOffsetsPartitionResponse::default()
        },
        Err(refused) => ListOffsetsPartitionResponse {
            partition_index,
            error_code: refused.code.code(),
            ..ListOffsetsPartitionResponse::default()
        },
    }
}
