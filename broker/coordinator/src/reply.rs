//! What a shard answers, in wire types, and how the answers about single groups merge into one response.

use klamm_wire::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};
use klamm_wire::messages::describe_groups_response::{DescribeGroupsResponse, DescribedGroup};
use klamm_wire::messages::heartbeat_response::HeartbeatResponse;
use klamm_wire::messages::join_group_response::JoinGroupResponse;
use klamm_wire::messages::leave_group_response::LeaveGroupResponse;
use klamm_wire::messages::list_groups_response::{ListGroupsResponse, ListedGroup};
use klamm_wire::messages::offset_commit_request::OffsetCommitRequest;
use klamm_wire::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use klamm_wire::messages::offset_delete_response::OffsetDeleteResponse;
use klamm_wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use klamm_wire::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use klamm_wire::messages::sync_group_response::SyncGroupResponse;
use klamm_wire::{ErrorCode, Str};

use crate::group::{Group, GroupState};

/// From this version on OffsetFetch asks about several groups (KIP-709).
pub(crate) const GROUPED_OFFSET_FETCH_SINCE: i16 = 8;
/// From this version on OffsetFetch has an error for the group as a whole.
const OFFSET_FETCH_ERROR_SINCE: i16 = 2;
/// From this version on the protocol name of JoinGroup may be null.
const NULLABLE_PROTOCOL_SINCE: i16 = 7;

/// The reply to a [`crate::GroupRequest`].
#[derive(Clone, Debug, PartialEq)]
pub enum GroupReply {
    /// To JoinGroup.
    Join(JoinGroupResponse),
    /// To SyncGroup.
    Sync(SyncGroupResponse),
    /// To Heartbeat.
    Heartbeat(HeartbeatResponse),
    /// To LeaveGroup.
    Leave(LeaveGroupResponse),
    /// To OffsetCommit.
    OffsetCommit(OffsetCommitResponse),
    /// To OffsetFetch, one group; [`offset_fetch_response`] merges them.
    OffsetFetch(OffsetFetchResponseGroup),
    /// To DescribeGroups, one group; [`describe_groups_response`] merges them.
    Describe(DescribedGroup),
    /// To ListGroups, one shard; [`list_groups_response`] merges them.
    List(Result<Vec<ListedGroup>, ErrorCode>),
    /// To DeleteGroups, one group; [`delete_groups_response`] merges them.
    DeleteGroup(DeletableGroupResult),
    /// To OffsetDelete.
    OffsetDelete(OffsetDeleteResponse),
    /// The offsets of deleted topics are gone.
    TopicsDeleted,
}

/// Merges the groups of OffsetFetch. Before version 8 there is exactly one.
pub fn offset_fetch_response(version: i16, mut groups: Vec<OffsetFetchResponseGroup>) -> OffsetFetchResponse {
    if version >= GROUPED_OFFSET_FETCH_SINCE {
        return OffsetFetchResponse { groups, ..OffsetFetchResponse::default() };
    }
    let group = groups.pop().unwrap_or_default();
    OffsetFetchResponse {
        topics: group.topics.into_iter().map(ungrouped_topic).collect(),
        error_code: group.error_code,
        ..OffsetFetchResponse::default()
    }
}

fn ungrouped_topic(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
        ..OffsetFetchResponsePartition::default()
    });
    OffsetFetchResponseTopic {
        name: topic.name,
        partitions: partitions.collect(),
        ..OffsetFetchResponseTopic::default()
    }
}

/// Merges the groups of DescribeGroups.
pub fn describe_groups_response(groups: Vec<DescribedGroup>) -> DescribeGroupsResponse {
    DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() }
}

/// Merges the shards of ListGroups. One that could not answer, for example because it is loading, makes the whole
/// response an error, as the client would take the groups missing from it for gone. One that moved while it was asked is
/// listed by the broker that it moved to.
pub fn list_groups_response(shards: Vec<Result<Vec<ListedGroup>, ErrorCode>>) -> ListGroupsResponse {
    let here = shards.into_iter().filter(|shard| *shard != Err(ErrorCode::NotCoordinator));
    match here.collect::<Result<Vec<_>, _>>() {
        Ok(shards) => ListGroupsResponse {
            groups: shards.into_iter().flatten().collect(),
            ..ListGroupsResponse::default()
        },
        Err(error) => ListGroupsResponse { error_code: error.code(), ..ListGroupsResponse::default() },
    }
}

/// Merges the groups of DeleteGroups.
pub fn delete_groups_response(results: Vec<DeletableGroupResult>) -> DeleteGroupsResponse {
    DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() }
}

pub(crate) fn join_error(member_id: &str, error: ErrorCode, version: i16) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: error.code(),
        member_id: Str::copy_from(member_id),
        protocol_name: (version < NULLABLE_PROTOCOL_SINCE).then(Str::default),
        ..JoinGroupResponse::default()
    }
}

pub(crate) fn sync_error(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code: error.code(), ..SyncGroupResponse::default() }
}

pub(crate) fn sync_response(group: &Group, member_id: &str) -> SyncGroupResponse {
    SyncGroupResponse {
        protocol_type: group.protocol_type.clone(),
        protocol_name: group.protocol.clone(),
        assignment: group.members.get(member_id).map(|member| member.assignment.clone()).unwrap_or_default(),
        ..SyncGroupResponse::default()
    }
}

pub(crate) fn heartbeat(error: ErrorCode) -> HeartbeatResponse {
    HeartbeatResponse { error_code: error.code(), ..HeartbeatResponse::default() }
}

pub(crate) fn leave_error(error: ErrorCode) -> LeaveGroupResponse {
    LeaveGroupResponse { error_code: error.code(), ..LeaveGroupResponse::default() }
}

pub(crate) fn describe_error(group_id: Str, error: ErrorCode) -> DescribedGroup {
    DescribedGroup {
        error_code: error.code(),
        group_id,
        group_state: GroupState::Dead.name().into(),
        ..DescribedGroup::default()
    }
}

pub(crate) fn delete_group(group_id: Str, error: ErrorCode) -> DeletableGroupResult {
    DeletableGroupResult { group_id, error_code: error.code(), ..DeletableGroupResult::default() }
}

pub(crate) fn offset_delete_error(error: ErrorCode) -> OffsetDeleteResponse {
    OffsetDeleteResponse { error_code: error.code(), ..OffsetDeleteResponse::default() }
}

/// OffsetCommit has no error for the whole: every partition says it.
pub(crate) fn offset_commit_error(request: &OffsetCommitRequest, error: ErrorCode) -> OffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| OffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code: error.code(),
            ..OffsetCommitResponsePartition::default()
        });
        OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
            ..OffsetCommitResponseTopic::default()
        }
    });
    OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() }
}

/// Before version 2 OffsetFetch has no error for the whole either.
pub(crate) fn offset_fetch_error(
    group: &OffsetFetchRequestGroup,
    error: ErrorCode,
    version: i16,
) -> OffsetFetchResponseGroup {
    let mut response =
        OffsetFetchResponseGroup { group_id: group.group_id.clone(), ..OffsetFetchResponseGroup::default() };
    if version >= OFFSET_FETCH_ERROR_SINCE {
        response.error_code = error.code();
        return response;
    }
    for topic in group.topics.iter().flatten() {
        let partitions = topic.partition_indexes.iter().map(|partition| OffsetFetchResponsePartitions {
            partition_index: *partition,
            committed_offset: -1,
            metadata: Some(Str::default()),
            error_code: error.code(),
            ..OffsetFetchResponsePartitions::default()
        });
        response.topics.push(OffsetFetchResponseTopics {
            name: topic.name.clone(),
            partitions: partitions.collect(),
            ..OffsetFetchResponseTopics::default()
        });
    }
    response
}
