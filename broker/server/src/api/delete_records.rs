//! DeleteRecords (21): moves the log start offset of led partitions.

use std::sync::Arc;

use klamm_wire::messages::delete_records_request::DeleteRecordsRequest;
use klamm_wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use crate::node::Node;
use crate::partition::Refused;

/// Deletes on the leader; followers learn the new start with their next fetch.
pub async fn handle(node: Arc<Node>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let deleted = tokio::task::spawn_blocking(move || delete_all(&node, request));
    deleted.await.unwrap_or_default()
}

fn delete_all(node: &Node, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|p| result(p.partition_index, delete(node, &topic.name, p.partition_index, p.offset)));
        DeleteRecordsTopicResult {
            partitions: partitions.collect(),
            name: topic.name.clone(),
            ..DeleteRecordsTopicResult::default()
        }
    });
    DeleteRecordsResponse { topics: topics.collect(), ..DeleteRecordsResponse::default() }
}

fn delete(node: &Node, topic: &str, partition: i32, offset: i64) -> Result<i64, Refused> {
    node.led_partition(topic, partition)?.delete_records(offset)
}

fn result(partition_index: i32, deleted: Result<i64, Refused>) -> DeleteRecordsPartitionResult {
    let (low_watermark, error_code) = match deleted {
        Ok(low_watermark) => (low_watermark, 0),
        Err(refused) => (-1, refused.code.code()),
    };
    DeleteRecordsPartitionResult {
        partition_index,
        low_watermark,
        error_code,
        ..DeleteRecordsPartitionResult::default()
    }
}
