//! The answer to a fetch: what was read, as shared bytes and file ranges, and who leads what is not led here.

use std::collections::HashMap;
use std::sync::Weak;

use klamm_log::Chunk;
use klamm_wire::messages::fetch_response::{
    EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use klamm_wire::{ErrorCode, Part, Records};

use super::super::sessions::{Plan, TopicKey, Wanted};
use super::super::{Context, encode_with_files, leader_hint};
use super::{Limits, Pass};
use crate::net::{FileRange, Response};
use crate::node::Node;
use crate::partition::{Fetched, Partition, file_range};

pub(super) fn respond(
    node: &Node,
    context: &Context,
    plan: &Plan,
    limits: &Limits,
    pass: Pass,
) -> Result<Response, String> {
    let image = node.image();
    count(node, limits, &pass);
    let mut files = Vec::new();
    let mut topics = Topics::default();
    let mut leaders = Vec::new();
    let mut told = Vec::with_capacity(pass.found.len());
    for found in pass.found {
        let Some(wanted) = plan.wanted.get(found.at) else { continue };
        let mut data = match found.outcome {
            Ok(fetched) => PartitionData {
                preferred_read_replica: found.preferred.unwrap_or(-1),
                ..partition_data(wanted.partition, fetched, limits, &mut files)
            },
            Err(refused) => failed(wanted.partition, refused.code),
        };
        let error = ErrorCode::from_code(data.error_code);
        let hint = found.topic.and_then(|t| leader_hint::leader(&image, &t.name, wanted.partition, error));
        if let Some(leader) = hint {
            data.current_leader = LeaderIdAndEpoch {
                leader_id: leader.id,
                leader_epoch: leader.epoch,
                ..LeaderIdAndEpoch::default()
            };
            leaders.push(leader);
        }
        let is_behind = limits.reader.is_follower() && is_start_behind(wanted, &data);
        if plan.incremental && !is_behind && !has_news(wanted, &data) {
            continue;
        }
        told.push((&wanted.topic, wanted.partition, data.high_watermark, data.log_start_offset));
        topics.add(&wanted.topic, data);
    }
    plan.told(told.into_iter());
    let endpoints = leader_hint::addresses(&image, &context.peer.listener, leaders.into_iter());
    let response = FetchResponse {
        session_id: plan.session_id(),
        responses: topics.list,
        node_endpoints: endpoints.into_iter().map(endpoint).collect(),
        ..FetchResponse::default()
    };
    encode_with_files(context, &response, files)
}

/// Counts what is about to be sent.
fn count(node: &Node, limits: &Limits, pass: &Pass) {
    let counter = match limits.reader.is_follower() {
        true => &node.metrics.replication_bytes_out,
        false => &node.metrics.bytes_out,
    };
    counter.inc_by(pass.bytes as u64);
    node.registry.sent_throttled(pass.throttled_bytes());
}

fn endpoint(address: leader_hint::Address) -> NodeEndpoint {
    let leader_hint::Address { id: node_id, host, port, rack } = address;
    NodeEndpoint { node_id, host, port, rack, ..NodeEndpoint::default() }
}

/// Within a session only partitions with something new are answered.
fn has_news(wanted: &Wanted, data: &PartitionData) -> bool {
    !data.records.is_empty()
        || data.error_code != ErrorCode::None.code()
        || data.diverging_epoch.epoch >= 0
        || data.preferred_read_replica >= 0
        || data.producers.is_some()
        || data.high_watermark != wanted.told_high_watermark
        || data.log_start_offset != wanted.told_log_start
}

/// A follower that was told where the log begins, and still begins before, took the answer for an old one.
fn is_start_behind(wanted: &Wanted, data: &PartitionData) -> bool {
    (0..data.log_start_offset).contains(&wanted.log_start)
}

fn partition_data(
    index: i32,
    fetched: Fetched,
    limits: &Limits,
    files: &mut Vec<FileRange>,
) -> PartitionData {
    let diverging_epoch = fetched.diverging.map_or_else(EpochEndOffset::default, |end| EpochEndOffset {
        epoch: end.epoch,
        end_offset: end.end_offset,
        ..EpochEndOffset::default()
    });
    PartitionData {
        partition_index: index,
        high_watermark: fetched.high_watermark,
        last_stable_offset: fetched.high_watermark,
        log_start_offset: fetched.log_start_offset,
        diverging_epoch,
        producers: fetched.producers,
        aborted_transactions: limits.read_committed.then(Vec::new),
        records: records(fetched.chunks, &fetched.partition, files),
        ..PartitionData::default()
    }
}

fn records(chunks: Vec<Chunk>, partition: &Weak<Partition>, files: &mut Vec<FileRange>) -> Records {
    let parts = chunks.into_iter().map(|chunk| match chunk {
        Chunk::Bytes(bytes) => Part::Bytes(bytes),
        Chunk::File(chunk) => {
            let index = u32::try_from(files.len()).unwrap_or(u32::MAX);
            let length = u32::try_from(chunk.length).unwrap_or(u32::MAX);
            files.push(file_range(Weak::clone(partition), chunk));
            Part::External { index, length }
        }
    });
    let parts: Vec<Part> = parts.collect();
    if parts.is_empty() { Records::EMPTY } else { Records::Parts(parts) }
}

fn failed(index: i32, error: ErrorCode) -> PartitionData {
    PartitionData {
        partition_index: index,
        error_code: error.code(),
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        records: Records::EMPTY,
        ..PartitionData::default()
    }
}

/// Groups partitions by topic, in the order in which topics first appear.
#[derive(Default)]
struct Topics {
    list: Vec<FetchableTopicResponse>,
    positions: HashMap<TopicKey, usize>,
}

impl Topics {
    fn add(&mut self, key: &TopicKey, data: PartitionData) {
        let at = *self.positions.entry(key.clone()).or_insert_with(|| {
            self.list.push(match key {
                TopicKey::Name(name) => {
                    FetchableTopicResponse { topic: name.clone(), ..FetchableTopicResponse::default() }
                }
                TopicKey::Id(id) => {
                    FetchableTopicResponse { topic_id: *id, ..FetchableTopicResponse::default() }
                }
            });
            self.list.len() - 1
        });
        if let Some(topic) = self.list.get_mut(at) {
            topic.partitions.push(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use klamm_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};

    use super::super::super::sessions::Sessions;
    use super::*;

    #[test]
    fn a_follower_that_begins_too_early_is_told_until_it_does_not() {
        let partitions = vec![FetchPartition { log_start_offset: 3, ..FetchPartition::default() }];
        let topics = vec![FetchTopic { partitions, ..FetchTopic::default() }];
        let request = FetchRequest { topics, ..FetchRequest::default() };
        let plan = Sessions::new(1).plan(request, 17, true, 0).unwrap();
        let begins = |log_start_offset| PartitionData { log_start_offset, ..PartitionData::default() };
        assert!(is_start_behind(&plan.wanted[0], &begins(4)));
        assert!(!is_start_behind(&plan.wanted[0], &begins(3)));
        let unsaid = Wanted { log_start: -1, ..plan.wanted[0].clone() };
        assert!(!is_start_behind(&unsaid, &begins(4)));
    }
}
