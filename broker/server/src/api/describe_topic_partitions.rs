//! DescribeTopicPartitions (75): topics page by page, with ELR (KIP-966).

use klamm_metadata::controller::validate_topic_name;
use klamm_metadata::{Image, Partition, Topic};
use klamm_wire::messages::describe_topic_partitions_request::DescribeTopicPartitionsRequest;
use klamm_wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use klamm_wire::{ErrorCode, Str};

use super::metadata::{is_internal, offline};
use crate::node::Node;

/// `max.request.partition.size.limit`.
const MAX_PARTITIONS: usize = 2_000;

/// Topics in name order from the cursor on; at most the asked number of partitions, then a cursor to go on from.
pub fn handle(node: &Node, request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let image = node.image();
    let mut left = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, MAX_PARTITIONS);
    let (from_topic, from_partition) = match request.cursor {
        Some(c) => (Some(c.topic_name), c.partition_index),
        None => (None, 0),
    };
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names(&image, request.topics.into_iter().map(|t| t.name).collect()) {
        if from_topic.as_ref().is_some_and(|from| name < *from) {
            continue;
        }
        let first = if from_topic.as_ref() == Some(&name) { from_partition } else { 0 };
        let Some(topic) = image.topic(&name) else {
            response.topics.push(unknown(name));
            continue;
        };
        if left == 0 {
            response.next_cursor = Some(cursor(name, first));
            break;
        }
        let (described, next) = describe(&image, topic, first, &mut left);
        response.topics.push(described);
        if let Some(next) = next {
            response.next_cursor = Some(cursor(name, next));
            break;
        }
    }
    response
}

fn names(image: &Image, asked: Vec<Str>) -> Vec<Str> {
    let mut names =
        if asked.is_empty() { image.topics().map(|t| Str::copy_from(&t.name)).collect() } else { asked };
    names.sort();
    names.dedup();
    names
}

fn describe(
    image: &Image,
    topic: &Topic,
    first: i32,
    left: &mut usize,
) -> (DescribeTopicPartitionsResponseTopic, Option<i32>) {
    let mut partitions = Vec::new();
    let mut next = None;
    for (index, partition) in topic.partitions.range(first..) {
        if *left == 0 {
            next = Some(*index);
            break;
        }
        *left -= 1;
        partitions.push(describe_partition(image, *index, partition));
    }
    let described = DescribeTopicPartitionsResponseTopic {
        name: Some(Str::copy_from(&topic.name)),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions,
        ..DescribeTopicPartitionsResponseTopic::default()
    };
    (described, next)
}

fn describe_partition(image: &Image, index: i32, p: &Partition) -> DescribeTopicPartitionsResponsePartition {
    let led = p.leader >= 0;
    DescribeTopicPartitionsResponsePartition {
        error_code: if led { ErrorCode::None } else { ErrorCode::LeaderNotAvailable }.code(),
        partition_index: index,
        leader_id: p.leader,
        leader_epoch: p.leader_epoch,
        replica_nodes: p.replicas.clone(),
        isr_nodes: p.isr.clone(),
        eligible_leader_replicas: Some(p.elr.clone()),
        last_known_elr: Some(p.last_known_elr.clone()),
        offline_replicas: offline(image, &p.replicas),
        ..DescribeTopicPartitionsResponsePartition::default()
    }
}

fn unknown(name: Str) -> DescribeTopicPartitionsResponseTopic {
    let invalid = validate_topic_name(&name).is_err();
    let error = if invalid { ErrorCode::InvalidTopicException } else { ErrorCode::UnknownTopicOrPartition };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(name),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn cursor(topic_name: Str, partition_index: i32) -> Cursor {
    Cursor { topic_name, partition_index, ..Cursor::default() }
}
