//! OffsetForLeaderEpoch (23): where a leader epoch ends, for consumers that check for truncation (KIP-320).

use klamm_replica::EpochEnd;
use klamm_wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition,
};
use klamm_wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

use crate::node::Node;
use crate::partition::Refused;

/// Answers from the led partitions.
pub fn handle(node: &Node, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions =
            topic.partitions.iter().map(|asked| answer(asked, find(node, &topic.topic, asked))).collect();
        OffsetForLeaderTopicResult { topic: topic.topic, partitions, ..OffsetForLeaderTopicResult::default() }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..OffsetForLeaderEpochResponse::default() }
}

fn find(node: &Node, topic: &str, asked: &OffsetForLeaderPartition) -> Result<EpochEnd, Refused> {
    let partition = node.led_partition(topic, asked.partition)?;
    partition.epoch_end(asked.leader_epoch, asked.current_leader_epoch, || node.is_sure_to_lead())
}

fn answer(asked: &OffsetForLeaderPartition, found: Result<EpochEnd, Refused>) -> EpochEndOffset {
    let partition = asked.partition;
    match found {
        Ok(end) => EpochEndOffset {
            partition,
            leader_epoch: end.epoch,
            end_offset: end.end_offset,
            ..EpochEndOffset::default()
        },
        Err(refused) => {
            EpochEndOffset { partition, error_code: refused.code.code(), ..EpochEndOffset::default() }
        }
    }
}
