//! What a shard is asked: one request about one group, even where the API asks about many.

use klamm_wire::messages::heartbeat_request::HeartbeatRequest;
use klamm_wire::messages::join_group_request::JoinGroupRequest;
use klamm_wire::messages::leave_group_request::LeaveGroupRequest;
use klamm_wire::messages::list_groups_request::ListGroupsRequest;
use klamm_wire::messages::offset_commit_request::OffsetCommitRequest;
use klamm_wire::messages::offset_delete_request::OffsetDeleteRequest;
use klamm_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use klamm_wire::messages::sync_group_request::SyncGroupRequest;
use klamm_wire::{ErrorCode, Str};

use crate::reply::{self, GroupReply};

/// Who asks, and in which version of the API.
#[derive(Clone, Debug, Default)]
pub struct RequestContext {
    /// The client id of the request header, empty if it has none.
    pub client_id: Str,
    /// The client's address as Kafka shows it, for example `/127.0.0.1`.
    pub client_host: Str,
    /// The version of the API.
    pub version: i16,
    /// A random id, used if the request makes a new member.
    pub member_id_seed: uuid::Uuid,
}

/// The time of a call, by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never jumps, of this process alone: what sessions, rebalances and deadlines are measured by.
    pub steady_ms: i64,
    /// Milliseconds since the Unix epoch: what is stored with offsets and groups, and compared with what was stored.
    pub wall_ms: i64,
}

/// A request on its way through the shard.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) token: u64,
    pub(crate) context: RequestContext,
    pub(crate) now: Now,
}

/// OffsetFetch for one group.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchGroup {
    /// The group in the shape of version 8 and later; no topics means all. The caller has resolved topic ids to names
    /// (version 10); the reply carries both.
    pub group: OffsetFetchRequestGroup,
    /// Whether offsets of unfinished transactions must not be answered (KIP-447).
    pub require_stable: bool,
}

/// A request to a shard.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupRequest {
    /// JoinGroup. May be answered later.
    Join(JoinGroupRequest),
    /// SyncGroup. May be answered later.
    Sync(SyncGroupRequest),
    /// Heartbeat.
    Heartbeat(HeartbeatRequest),
    /// LeaveGroup.
    Leave(LeaveGroupRequest),
    /// OffsetCommit. The caller has refused topics that do not exist and resolved topic ids to names (version 10).
    OffsetCommit(OffsetCommitRequest),
    /// OffsetFetch, one group of it.
    OffsetFetch(OffsetFetchGroup),
    /// DescribeGroups, one group id of it.
    Describe(Str),
    /// ListGroups, to be asked of every shard.
    List(ListGroupsRequest),
    /// DeleteGroups, one group id of it.
    DeleteGroup(Str),
    /// OffsetDelete. The caller has refused topics that do not exist.
    OffsetDelete(OffsetDeleteRequest),
    /// These topics exist no longer, to be told to every shard.
    TopicsDeleted(Vec<Str>),
}

impl GroupRequest {
    /// The group that the request is about, which decides its shard; `None` for those that concern every shard.
    pub fn group_id(&self) -> Option<&Str> {
        match self {
            Self::Join(request) => Some(&request.group_id),
            Self::Sync(request) => Some(&request.group_id),
            Self::Heartbeat(request) => Some(&request.group_id),
            Self::Leave(request) => Some(&request.group_id),
            Self::OffsetCommit(request) => Some(&request.group_id),
            Self::OffsetFetch(request) => Some(&request.group.group_id),
            Self::Describe(group_id) | Self::DeleteGroup(group_id) => Some(group_id),
            Self::OffsetDelete(request) => Some(&request.group_id),
            Self::List(_) | Self::TopicsDeleted(_) => None,
        }
    }

    /// The reply that says `error` and nothing else, for a request that reaches no shard (NOT_COORDINATOR,
    /// COORDINATOR_LOAD_IN_PROGRESS, GROUP_AUTHORIZATION_FAILED).
    pub fn error_reply(&self, version: i16, error: ErrorCode) -> GroupReply {
        match self {
            Self::Join(request) => GroupReply::Join(reply::join_error(&request.member_id, error, version)),
            Self::Sync(_) => GroupReply::Sync(reply::sync_error(error)),
            Self::Heartbeat(_) => GroupReply::Heartbeat(reply::heartbeat(error)),
            Self::Leave(_) => GroupReply::Leave(reply::leave_error(error)),
            Self::OffsetCommit(request) => {
                GroupReply::OffsetCommit(reply::offset_commit_error(request, error))
            }
            Self::OffsetFetch(request) => {
                GroupReply::OffsetFetch(reply::offset_fetch_error(&request.group, error, version))
            }
            Self::Describe(group_id) => GroupReply::Describe(reply::describe_error(group_id.clone(), error)),
            Self::List(_) => GroupReply::List(Err(error)),
            Self::DeleteGroup(group_id) => {
                GroupReply::DeleteGroup(reply::delete_group(group_id.clone(), error))
            }
            Self::OffsetDelete(_) => GroupReply::OffsetDelete(reply::offset_delete_error(error)),
            Self::TopicsDeleted(_) => GroupReply::TopicsDeleted,
        }
    }
}

/// Splits OffsetFetch by group. Before version 8 there is exactly one.
pub fn split_offset_fetch(version: i16, request: OffsetFetchRequest) -> Vec<OffsetFetchGroup> {
    let require_stable = request.require_stable;
    let groups = if version >= reply::GROUPED_OFFSET_FETCH_SINCE {
        request.groups
    } else {
        let topics = request.topics.map(|topics| {
            let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
                name: topic.name,
                partition_indexes: topic.partition_indexes,
                ..OffsetFetchRequestTopics::default()
            });
            topics.collect()
        });
        vec![OffsetFetchRequestGroup {
            group_id: request.group_id,
            topics,
            ..OffsetFetchRequestGroup::default()
        }]
    };
    groups.into_iter().map(|group| OffsetFetchGroup { group, require_stable }).collect()
}
