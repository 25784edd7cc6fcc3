//! The group APIs (8, 9, 11-16, 42, 47): each is asked of the shard that coordinates the group.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use klamm_coordinator::{
    GroupReply, GroupRequest, RequestContext, delete_groups_response, describe_groups_response,
    list_groups_response, offset_fetch_response, split_offset_fetch,
};
use klamm_metadata::Image;
use klamm_wire::messages::delete_groups_request::DeleteGroupsRequest;
use klamm_wire::messages::describe_groups_request::DescribeGroupsRequest;
use klamm_wire::messages::heartbeat_request::HeartbeatRequest;
use klamm_wire::messages::join_group_request::JoinGroupRequest;
use klamm_wire::messages::leave_group_request::LeaveGroupRequest;
use klamm_wire::messages::list_groups_request::ListGroupsRequest;
use klamm_wire::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestTopic};
use klamm_wire::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use klamm_wire::messages::offset_delete_request::{OffsetDeleteRequest, OffsetDeleteRequestTopic};
use klamm_wire::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use klamm_wire::messages::offset_fetch_request::OffsetFetchRequest;
use klamm_wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use klamm_wire::messages::sync_group_request::SyncGroupRequest;
use klamm_wire::{ErrorCode, Message, Str};
use uuid::Uuid;

use super::{Context, later};
use crate::net::connection::Handled;
use crate::node::Node;

/// Asks about one group and unwraps the reply of the same kind; a shard answers in kind by construction.
macro_rules! single {
    ($node:expr, $context:expr, $body:expr, $request:ident, $kind:ident) => {{
        let node = Arc::clone($node);
        later($context, $body, move |context, request: $request| async move {
            match ask(&node, &context, GroupRequest::$kind(request)).await {
                GroupReply::$kind(response) => response,
                _ => Default::default(),
            }
        })
    }};
}

/// Handles every API of groups; the catalogue lets no other key through to here.
pub fn dispatch(node: &Arc<Node>, context: Context, body: Bytes) -> Handled {
    let shared = Arc::clone(node);
    match context.header.api_key {
        JoinGroupRequest::API_KEY => single!(node, context, body, JoinGroupRequest, Join),
        SyncGroupRequest::API_KEY => single!(node, context, body, SyncGroupRequest, Sync),
        HeartbeatRequest::API_KEY => single!(node, context, body, HeartbeatRequest, Heartbeat),
        LeaveGroupRequest::API_KEY => single!(node, context, body, LeaveGroupRequest, Leave),
        OffsetCommitRequest::API_KEY => {
            later(context, body, move |context, request| commit(shared, context, request))
        }
        OffsetFetchRequest::API_KEY => {
            later(context, body, move |context, request: OffsetFetchRequest| async move {
                let version = context.version();
                let groups = split_offset_fetch(version, request);
                let answers = groups.into_iter().map(|group| fetch_group(&shared, &context, group));
                offset_fetch_response(version, join_all(answers).await)
            })
        }
        DescribeGroupsRequest::API_KEY => {
            later(context, body, move |context, request: DescribeGroupsRequest| async move {
                let answers = request
                    .groups
                    .into_iter()
                    .map(|group| ask(&shared, &context, GroupRequest::Describe(group)));
                let described = join_all(answers).await.into_iter().filter_map(|reply| match reply {
                    GroupReply::Describe(group) => Some(group),
                    _ => None,
                });
                describe_groups_response(described.collect())
            })
        }
        DeleteGroupsRequest::API_KEY => {
            later(context, body, move |context, request: DeleteGroupsRequest| async move {
                let names = request.groups_names.into_iter();
                let answers = names.map(|group| ask(&shared, &context, GroupRequest::DeleteGroup(group)));
                let deleted = join_all(answers).await.into_iter().filter_map(|reply| match reply {
                    GroupReply::DeleteGroup(result) => Some(result),
                    _ => None,
                });
                delete_groups_response(deleted.collect())
            })
        }
        ListGroupsRequest::API_KEY => {
            later(context, body, move |context, request: ListGroupsRequest| async move {
                let (connection, asked) = (context.peer.connection, asker(&context));
                let answers = shared.groups.led().into_iter().map(|partition| {
                    shared.groups.ask_shard(
                        partition,
                        connection,
                        asked.clone(),
                        GroupRequest::List(request.clone()),
                    )
                });
                let listed = join_all(answers).await.into_iter().filter_map(|reply| match reply {
                    GroupReply::List(groups) => Some(groups),
                    _ => None,
                });
                list_groups_response(listed.collect())
            })
        }
        OffsetDeleteRequest::API_KEY => {
            later(context, body, move |context, request| delete_offsets(shared, context, request))
        }
        key => Handled::Close(format!("api key {key} has no handler")),
    }
}

async fn ask(node: &Node, context: &Context, request: GroupRequest) -> GroupReply {
    node.groups.ask(context.peer.connection, asker(context), request).await
}

fn asker(context: &Context) -> RequestContext {
    RequestContext {
        client_id: context.client_id(),
        client_host: Str::from(format!("/{}", context.peer.address.ip())),
        version: context.version(),
        member_id_seed: Uuid::new_v4(),
    }
}

/// OffsetCommit: topics that do not exist are refused here, the rest goes to the shard (ids become names, version 10).
async fn commit(node: Arc<Node>, context: Context, mut request: OffsetCommitRequest) -> OffsetCommitResponse {
    let image = node.image();
    let by_id = context.version() >= 10;
    let mut refused = Vec::new();
    let topics = std::mem::take(&mut request.topics);
    request.topics =
        topics.into_iter().filter_map(|topic| check_commit(&image, topic, by_id, &mut refused)).collect();
    if request.topics.is_empty() && !refused.is_empty() {
        return OffsetCommitResponse { topics: refused, ..OffsetCommitResponse::default() };
    }
    match ask(&node, &context, GroupRequest::OffsetCommit(request)).await {
        GroupReply::OffsetCommit(mut response) => {
            response.topics.extend(refused);
            response
        }
        _ => OffsetCommitResponse::default(),
    }
}

fn check_commit(
    image: &Image,
    mut topic: OffsetCommitRequestTopic,
    by_id: bool,
    refused: &mut Vec<OffsetCommitResponseTopic>,
) -> Option<OffsetCommitRequestTopic> {
    let known = if by_id { image.topic_by_id(topic.topic_id) } else { image.topic(&topic.name) };
    let error = if by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
    let (kept, missing): (Vec<_>, Vec<_>) = std::mem::take(&mut topic.partitions)
        .into_iter()
        .partition(|p| known.is_some_and(|t| t.partitions.contains_key(&p.partition_index)));
    if !missing.is_empty() {
        let error = if known.is_some() { ErrorCode::UnknownTopicOrPartition } else { error };
        let partitions = missing.iter().map(|p| OffsetCommitResponsePartition {
            partition_index: p.partition_index,
            error_code: error.code(),
            ..OffsetCommitResponsePartition::default()
        });
        refused.push(OffsetCommitResponseTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
            ..OffsetCommitResponseTopic::default()
        });
    }
    if let Some(known) = known.filter(|_| by_id) {
        topic.name = Str::copy_from(&known.name);
    }
    topic.partitions = kept;
    (!topic.partitions.is_empty()).then_some(topic)
}

/// OffsetFetch of one group; ids become names and back (version 10).
async fn fetch_group(
    node: &Node,
    context: &Context,
    mut group: klamm_coordinator::OffsetFetchGroup,
) -> OffsetFetchResponseGroup {
    let image = node.image();
    let mut unknown = Vec::new();
    if context.version() >= 10
        && let Some(topics) = group.group.topics.as_mut()
    {
        topics.retain_mut(|topic| match image.topic_by_id(topic.topic_id) {
            Some(known) => {
                topic.name = Str::copy_from(&known.name);
                true
            }
            None => {
                unknown.push(unknown_topic(topic.topic_id, &topic.partition_indexes));
                false
            }
        });
    }
    match ask(node, context, GroupRequest::OffsetFetch(group)).await {
        GroupReply::OffsetFetch(mut response) => {
            for topic in &mut response.topics {
                if let Some(known) = image.topic(&topic.name) {
                    topic.topic_id = known.id;
                }
            }
            response.topics.extend(unknown);
            response
        }
        _ => OffsetFetchResponseGroup::default(),
    }
}

fn unknown_topic(topic_id: Uuid, partitions: &[i32]) -> OffsetFetchResponseTopics {
    let partitions = partitions.iter().map(|index| OffsetFetchResponsePartitions {
        partition_index: *index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        error_code: ErrorCode::UnknownTopicId.code(),
        ..OffsetFetchResponsePartitions::default()
    });
    OffsetFetchResponseTopics {
        topic_id,
        partitions: partitions.collect(),
        ..OffsetFetchResponseTopics::default()
    }
}

/// OffsetDelete: topics that do not exist are refused here.
async fn delete_offsets(
    node: Arc<Node>,
    context: Context,
    mut request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let image = node.image();
    let (known, unknown): (Vec<_>, Vec<_>) =
        std::mem::take(&mut request.topics).into_iter().partition(|t| image.topic(&t.name).is_some());
    request.topics = known;
    match ask(&node, &context, GroupRequest::OffsetDelete(request)).await {
        GroupReply::OffsetDelete(mut response) => {
            if response.error_code == ErrorCode::None.code() {
                response.topics.extend(unknown.iter().map(unknown_deletion));
            }
            response
        }
        _ => OffsetDeleteResponse::default(),
    }
}

fn unknown_deletion(topic: &OffsetDeleteRequestTopic) -> OffsetDeleteResponseTopic {
    let partitions = topic.partitions.iter().map(|p| OffsetDeleteResponsePartition {
        partition_index: p.partition_index,
        error_code: ErrorCode::UnknownTopicOrPartition.code(),
    });
    OffsetDeleteResponseTopic { name: topic.name.clone(), partitions: partitions.collect() }
}
