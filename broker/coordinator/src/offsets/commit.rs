//! OffsetCommit: members, and clients without a group, store how far they have read.

use bytes::BytesMut;
use klamm_wire::ErrorCode;
use klamm_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use klamm_wire::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use crate::config::GroupConfig;
use crate::group::{Group, GroupState, Turn};
use crate::offsets::CommittedOffset;
use crate::records::{self, MAX_STRING};
use crate::reply::{GroupReply, offset_commit_error};
use crate::request::Call;
use crate::shard::{Effects, GroupShard};

/// From this version on an unknown group is named as such (KIP-848).
const GROUP_ID_NOT_FOUND_SINCE: i16 = 9;
/// The longest topic name that Kafka allows.
const MAX_TOPIC_NAME: usize = 249;

impl GroupShard {
    pub(crate) fn offset_commit(
        &mut self,
        call: &Call,
        request: &OffsetCommitRequest,
        effects: &mut Effects,
    ) {
        let is_simple = request.generation_id_or_member_epoch < 0;
        if is_simple && request.group_id.len() <= MAX_STRING && !self.groups.contains_key(&*request.group_id)
        {
            self.group_or_new(&request.group_id);
        }
        let mut turn = Turn { config: &self.config, now: call.now, effects };
        let response = match self.groups.get_mut(&*request.group_id) {
            Some(group) => group.offset_commit(request, &mut turn),
            None if is_simple => Err(ErrorCode::InvalidGroupId),
            None if call.context.version >= GROUP_ID_NOT_FOUND_SINCE => Err(ErrorCode::GroupIdNotFound),
            None => Err(ErrorCode::IllegalGeneration),
        };
        let response = response.unwrap_or_else(|error| offset_commit_error(request, error));
        turn.reply(call.token, GroupReply::OffsetCommit(response));
    }
}

impl Group {
    fn offset_commit(
        &mut self,
        request: &OffsetCommitRequest,
        turn: &mut Turn<'_>,
    ) -> Result<OffsetCommitResponse, ErrorCode> {
        self.validate_commit(request)?;
        if matches!(self.state, GroupState::Stable | GroupState::PreparingRebalance) {
            // A commit is a sign of life.
            self.restart_session(&request.member_id, turn);
        }
        let expire_timestamp = (request.retention_time_ms != -1)
            .then(|| turn.now.wall_ms.saturating_add(request.retention_time_ms).max(0));
        let mut buffer = BytesMut::with_capacity(records_size(request));
        turn.effects.records.reserve(request.topics.iter().map(|topic| topic.partitions.len()).sum());
        let topics = request.topics.iter().map(|topic| OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: self.commit_topic(topic, expire_timestamp, &mut buffer, turn),
            ..OffsetCommitResponseTopic::default()
        });
        Ok(OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() })
    }

    /// Without a generation anybody may commit while the group has no members; otherwise only members may.
    fn validate_commit(&self, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
        let generation = request.generation_id_or_member_epoch;
        if generation < 0 && self.is(GroupState::Empty) {
            return Ok(());
        }
        let names_member = !request.member_id.is_empty() || request.group_instance_id.is_some();
        if generation >= 0 || names_member {
            self.validate_member(&request.member_id, request.group_instance_id.as_ref())?;
            if generation != self.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else {
            return Err(ErrorCode::UnknownMemberId);
        }
        match self.state {
            GroupState::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    fn commit_topic(
        &mut self,
        topic: &OffsetCommitRequestTopic,
        expire_timestamp: Option<i64>,
        buffer: &mut BytesMut,
        turn: &mut Turn<'_>,
    ) -> Vec<OffsetCommitResponsePartition> {
        let mut results = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let error = check_partition(&topic.name, partition, turn.config).err();
            if error.is_none() {
                let committed = CommittedOffset {
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.committed_metadata.clone().unwrap_or_default(),
                    commit_timestamp: turn.now.wall_ms,
                    expire_timestamp,
                };
                let record =
                    records::offset(buffer, &self.id, &topic.name, partition.partition_index, &committed);
                turn.effects.records.push(record);
                self.offsets.apply(&topic.name, partition.partition_index, Some(committed));
            }
            results.push(OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error.unwrap_or(ErrorCode::None).code(),
                ..OffsetCommitResponsePartition::default()
            });
        }
        results
    }
}

fn check_partition(
    topic: &str,
    partition: &OffsetCommitRequestPartition,
    config: &GroupConfig,
) -> Result<(), ErrorCode> {
    if topic.is_empty() || topic.len() > MAX_TOPIC_NAME {
        return Err(ErrorCode::InvalidTopicException);
    }
    let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
    // A string has no more UTF-16 units than bytes, so short ones need not be counted.
    let is_short = metadata.len() <= config.offset_metadata_max_bytes;
    if metadata.len() <= MAX_STRING && (is_short || utf16_units(metadata) <= config.offset_metadata_max_bytes)
    {
        Ok(())
    } else {
        Err(ErrorCode::OffsetMetadataTooLarge)
    }
}

fn utf16_units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Bytes that the records of a request take, so that they share one allocation.
fn records_size(request: &OffsetCommitRequest) -> usize {
    let partitions = request.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p)));
    partitions
        .map(|(topic, partition)| {
            let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
            records::offset_size(&request.group_id, &topic.name, metadata)
        })
        .sum()
}
