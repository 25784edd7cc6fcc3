//! DescribeLogDirs (35): sizes of the replicas on this broker.

use std::collections::BTreeMap;
use std::sync::Arc;

use klamm_wire::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use klamm_wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use klamm_wire::{ErrorCode, Str};

use crate::node::Node;
use crate::partition::Partition;

/// Answers for the one log directory of this broker.
pub fn handle(node: &Node, request: &DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let is_wanted = |p: &Partition| match &request.topics {
        None => true,
        Some(topics) => topics.iter().any(|t| t.topic == p.topic && t.partitions.contains(&p.index)),
    };
    let mut topics: BTreeMap<Str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for partition in node.registry.all().into_iter().filter(|p| is_wanted(p)) {
        topics.entry(partition.topic.clone()).or_default().push(describe(&partition));
    }
    let topics = topics.into_iter().map(|(name, partitions)| DescribeLogDirsTopic {
        name,
        partitions,
        ..DescribeLogDirsTopic::default()
    });
    let space = node.registry.disk_space();
    let bytes = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let error = if node.registry.is_offline() { ErrorCode::KafkaStorageError } else { ErrorCode::None };
    let result = DescribeLogDirsResult {
        error_code: error.code(),
        log_dir: Str::from(node.config.log_dir.to_string_lossy().into_owned()),
        topics: topics.collect(),
        total_bytes: space.as_ref().map_or(-1, |s| bytes(s.total)),
        usable_bytes: space.as_ref().map_or(-1, |s| bytes(s.usable)),
        ..DescribeLogDirsResult::default()
    };
    DescribeLogDirsResponse { results: vec![result], ..DescribeLogDirsResponse::default() }
}

fn describe(partition: &Arc<Partition>) -> DescribeLogDirsPartition {
    DescribeLogDirsPartition {
        partition_index: partition.index,
        partition_size: i64::try_from(partition.size_bytes()).unwrap_or(i64::MAX),
        offset_lag: partition.offset_lag(),
        ..DescribeLogDirsPartition::default()
    }
}
