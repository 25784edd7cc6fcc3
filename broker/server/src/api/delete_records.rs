//! DeleteRecords (21): moves the log start offset of led partitions.

use std::sync::Arc;
use std::time::Duration;

use klamm_wire::Str;
use klamm_wire::messages::delete_records_request::DeleteRecordsRequest;
use klamm_wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use tokio::time::Instant;

use crate::node::Node;
use crate::partition::{Deletion, Partition, Refused};

/// What was begun on one partition.
type Begun = Result<(Arc<Partition>, Deletion), Refused>;

/// Deletes on the leader and answers when followers have deleted as much, at `TimeoutMs` at the latest.
pub async fn handle(node: Arc<Node>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let deadline = Instant::now() + timeout;
    let begun = tokio::task::spawn_blocking(move || begin_all(&node, request));
    let mut topics = Vec::new();
    for (name, begun) in begun.await.unwrap_or_default() {
        let mut partitions = Vec::with_capacity(begun.len());
        for (index, begun) in begun {
            partitions.push(result(index, finish(begun, deadline).await));
        }
        topics.push(DeleteRecordsTopicResult { name, partitions, ..DeleteRecordsTopicResult::default() });
    }
    DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() }
}

/// All are begun before the first is waited for.
fn begin_all(node: &Node, request: DeleteRecordsRequest) -> Vec<(Str, Vec<(i32, Begun)>)> {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter();
        let begun = partitions
            .map(|p| (p.partition_index, begin(node, &topic.name, p.partition_index, p.offset)))
            .collect();
        (topic.name.clone(), begun)
    });
    topics.collect()
}

fn begin(node: &Node, topic: &str, partition: i32, offset: i64) -> Begun {
    let partition = node.led_partition(topic, partition)?;
    let deletion = partition.delete_records(offset)?;
    Ok((partition, deletion))
}

async fn finish(begun: Begun, deadline: Instant) -> Result<i64, Refused> {
    let (partition, deletion) = begun?;
    partition.deleted(deletion, deadline).await
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
