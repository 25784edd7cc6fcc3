//! The consumer's dealings with its group's coordinator: commits, and what was committed.

use klamm_coordinator::{GroupReply, GroupRequest, OffsetFetchGroup};
use klamm_wire::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use klamm_wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use klamm_wire::{ErrorCode, Str};

use super::Consumer;
use crate::history::ClientEvent;
use crate::message::{Key, Message};
use crate::outbox::Outbox;
use crate::party::Party;
use crate::queue::{MS, Micros};
use crate::topology::DATA;

/// How long an answer may take.
const PATIENCE: Micros = 1_200 * MS;

enum Asked {
    Commit { partition: Key, offset: i64 },
    Fetch,
}

/// The request under way.
pub(super) struct Committing {
    asked: Option<(u64, Micros, Asked)>,
    /// The last offset that was acknowledged as committed, by partition.
    committed: Vec<i64>,
}

impl Committing {
    pub(super) fn new(partitions: usize) -> Self {
        Self { asked: None, committed: vec![-1; partitions] }
    }
}

impl Consumer {
    fn group(&self) -> Str {
        Str::copy_from(&format!("group-{}", self.client))
    }

    pub(super) fn commit_or_restart(&mut self, out: &mut Outbox) {
        if let Some((_, at, _)) = &self.committing.asked {
            if out.now - at > PATIENCE {
                self.committing.asked = None;
                self.routing.mark_stale();
            }
            return;
        }
        let partitions = self.committing.committed.len();
        let Some((node, _)) = self.routing.leader(partitions) else { return };
        let partition = out.random.index(partitions);
        let offset = self.position(partition);
        let (request, asked) = match out.random.below(1_000) {
            0..150 if offset > self.committing.committed[partition] => {
                (self.commit(partition, offset), Asked::Commit { partition, offset })
            }
            150..165 => (self.fetch(), Asked::Fetch),
            _ => return,
        };
        let id = out.id();
        self.committing.asked = Some((id, out.now, asked));
        out.send(self.party(), Party::Node(node), Message::Group { id, request: Box::new(request) });
    }

    fn commit(&self, partition: Key, offset: i64) -> GroupRequest {
        let partition = OffsetCommitRequestPartition {
            partition_index: partition as i32,
            committed_offset: offset,
            committed_metadata: Some(Str::default()),
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: Str::copy_from(DATA),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        };
        GroupRequest::OffsetCommit(OffsetCommitRequest {
            group_id: self.group(),
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        })
    }

    fn fetch(&self) -> GroupRequest {
        let group = OffsetFetchRequestGroup {
            group_id: self.group(),
            topics: None,
            ..OffsetFetchRequestGroup::default()
        };
        GroupRequest::OffsetFetch(OffsetFetchGroup { group, require_stable: true })
    }

    pub(super) fn group_answered(
        &mut self,
        id: u64,
        outcome: Result<Box<GroupReply>, ErrorCode>,
        out: &mut Outbox,
    ) {
        if self.committing.asked.as_ref().is_none_or(|(asked, ..)| *asked != id) {
            return;
        }
        let Some((_, _, asked)) = self.committing.asked.take() else { return };
        match (outcome.map(|reply| *reply), asked) {
            (Ok(GroupReply::OffsetCommit(reply)), Asked::Commit { partition, offset }) => {
                let code = reply.topics.iter().flat_map(|topic| &topic.partitions).next();
                if code.is_some_and(|partition| partition.error_code == 0) {
                    self.committing.committed[partition] = offset;
                    let group = self.client;
                    out.history.push(ClientEvent::Committed { group, partition, offset });
                }
            }
            (Ok(GroupReply::OffsetFetch(reply)), Asked::Fetch) if reply.error_code == 0 => {
                let found = |key: usize| {
                    let mut partitions = reply.topics.iter().flat_map(|topic| &topic.partitions);
                    let partition = partitions.find(|partition| partition.partition_index == key as i32);
                    partition.map_or(-1, |partition| partition.committed_offset)
                };
                let offsets: Vec<i64> = (0..self.committing.committed.len()).map(found).collect();
                self.restart_at(&offsets, out);
            }
            _ => self.routing.mark_stale(),
        }
    }

    fn restart_at(&mut self, offsets: &[i64], out: &mut Outbox) {
        let group = self.client;
        for (partition, offset) in offsets.iter().enumerate() {
            out.history.push(ClientEvent::CommittedFetched { group, partition, offset: *offset });
            self.seek(partition, (*offset).max(0), out);
        }
    }
}
