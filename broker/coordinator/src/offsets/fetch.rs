//! OffsetFetch, one group: the committed offsets of the partitions asked for, or of all.
//!
//! Nothing is ever unstable here: only transactions leave offsets pending, and replies are released in order after the
//! records before them are committed.

use klamm_wire::Str;
use klamm_wire::messages::offset_fetch_request::OffsetFetchRequestTopics;
use klamm_wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};

use crate::group::Group;
use crate::offsets::CommittedOffset;
use crate::request::OffsetFetchGroup;
use crate::shard::GroupShard;

/// What stands for "no committed offset".
const INVALID_OFFSET: i64 = -1;

impl GroupShard {
    pub(crate) fn offset_fetch(&self, request: OffsetFetchGroup) -> OffsetFetchResponseGroup {
        let group = self.groups.get(&*request.group.group_id);
        let topics = match request.group.topics {
            Some(topics) => topics.into_iter().map(|topic| fetch_topic(group, topic)).collect(),
            None => group.map(fetch_all).unwrap_or_default(),
        };
        OffsetFetchResponseGroup {
            group_id: request.group.group_id,
            topics,
            ..OffsetFetchResponseGroup::default()
        }
    }
}

fn fetch_topic(group: Option<&Group>, topic: OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let fetch_partition = |partition: &i32| {
        let committed = group.and_then(|group| group.offsets.get(&topic.name, *partition));
        response_partition(*partition, committed)
    };
    OffsetFetchResponseTopics {
        partitions: topic.partition_indexes.iter().map(fetch_partition).collect(),
        name: topic.name,
        topic_id: topic.topic_id,
        ..OffsetFetchResponseTopics::default()
    }
}

fn fetch_all(group: &Group) -> Vec<OffsetFetchResponseTopics> {
    let topics = group.offsets.topics().map(|(name, partitions)| OffsetFetchResponseTopics {
        name: name.clone(),
        partitions: partitions.iter().map(|(partition, c)| response_partition(*partition, Some(c))).collect(),
        ..OffsetFetchResponseTopics::default()
    });
    topics.collect()
}

fn response_partition(partition: i32, committed: Option<&CommittedOffset>) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index: partition,
        committed_offset: committed.map_or(INVALID_OFFSET, |committed| committed.offset),
        committed_leader_epoch: committed.map_or(-1, |committed| committed.leader_epoch),
        metadata: Some(committed.map_or_else(Str::default, |committed| committed.metadata.clone())),
        ..OffsetFetchResponsePartitions::default()
    }
}
