//! OffsetDelete: an administrator removes offsets of topics that the group does not read. Also: topics are deleted.

use std::collections::BTreeSet;

use klamm_wire::messages::offset_delete_request::OffsetDeleteRequest;
use klamm_wire::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use klamm_wire::{ErrorCode, Str};

use crate::group::{Group, GroupState, Turn};
use crate::reply::{self, GroupReply};
use crate::request::Call;
use crate::shard::{Effects, GroupShard};

impl GroupShard {
    pub(crate) fn offset_delete(
        &mut self,
        call: &Call,
        request: &OffsetDeleteRequest,
        effects: &mut Effects,
    ) {
        let mut turn = Turn { config: &self.config, now: call.now, effects };
        let response = match self.groups.get_mut(&*request.group_id) {
            _ if request.group_id.is_empty() => Err(ErrorCode::InvalidGroupId),
            None => Err(ErrorCode::GroupIdNotFound),
            // Only the subscriptions of consumers can be read, so only their groups may have members.
            Some(group) if !group.is(GroupState::Empty) && !group.is_consumer_group() => {
                Err(ErrorCode::NonEmptyGroup)
            }
            Some(group) => Ok(group.offset_delete(request, &mut turn)),
        };
        let response = response.unwrap_or_else(reply::offset_delete_error);
        turn.reply(call.token, GroupReply::OffsetDelete(response));
    }

    /// Forgets what was committed for topics that no longer exist.
    pub(crate) fn topics_deleted(&mut self, call: &Call, topics: Vec<Str>, effects: &mut Effects) {
        let mut turn = Turn { config: &self.config, now: call.now, effects };
        let topics: BTreeSet<Str> = topics.into_iter().collect();
        for group in self.groups.values_mut() {
            group.offsets.remove_where(&group.id, &mut turn, |topic, _, _| topics.contains(topic));
        }
        self.groups.retain(|_, group| !group.is_vacant());
        turn.reply(call.token, GroupReply::TopicsDeleted);
    }
}

impl Group {
    fn offset_delete(&mut self, request: &OffsetDeleteRequest, turn: &mut Turn<'_>) -> OffsetDeleteResponse {
        let mut response = OffsetDeleteResponse::default();
        for topic in &request.topics {
            let is_subscribed = self.is_subscribed_to(&topic.name);
            for partition in topic.partitions.iter().filter(|_| !is_subscribed) {
                self.offsets.remove(&self.id, &topic.name, partition.partition_index, turn);
            }
            let error = if is_subscribed { ErrorCode::GroupSubscribedToTopic } else { ErrorCode::None };
            let partitions = topic.partitions.iter().map(|partition| OffsetDeleteResponsePartition {
                partition_index: partition.partition_index,
                error_code: error.code(),
            });
            response.topics.push(OffsetDeleteResponseTopic {
                name: topic.name.clone(),
                partitions: partitions.collect(),
            });
        }
        response
    }
}
