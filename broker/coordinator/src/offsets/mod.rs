//! The committed offsets of a group: commit, fetch, delete and expire.

mod commit;
mod delete;
mod expire;
mod fetch;
mod subscription;

use std::collections::BTreeMap;

use klamm_wire::Str;

use crate::group::Turn;
use crate::records;

/// One committed offset, as OffsetCommitValue has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CommittedOffset {
    pub(crate) offset: i64,
    /// -1 if the client did not know it.
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Str,
    /// When it was committed, Unix ms.
    pub(crate) commit_timestamp: i64,
    /// When it expires, Unix ms, if the client said so (OffsetCommit v2-v4).
    pub(crate) expire_timestamp: Option<i64>,
}

/// The committed offsets of one group. Changed by [`Offsets::apply`] alone.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Offsets {
    topics: BTreeMap<Str, BTreeMap<i32, CommittedOffset>>,
}

impl Offsets {
    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    pub(crate) fn get(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.topics.get(topic)?.get(&partition)
    }

    /// The topics with at least one committed offset, and those offsets by partition.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (&Str, &BTreeMap<i32, CommittedOffset>)> {
        self.topics.iter()
    }

    /// Applies an offset record, read or just written. What is kept is copied, so that it holds no larger buffer alive.
    pub(crate) fn apply(&mut self, topic: &str, partition: i32, committed: Option<CommittedOffset>) {
        match committed {
            Some(mut committed) => {
                committed.metadata = match committed.metadata.is_empty() {
                    true => Str::default(),
                    false => Str::copy_from(&committed.metadata),
                };
                match self.topics.get_mut(topic) {
                    Some(partitions) => {
                        partitions.insert(partition, committed);
                    }
                    None => {
                        self.topics.insert(Str::copy_from(topic), BTreeMap::from([(partition, committed)]));
                    }
                }
            }
            None => {
                let Some(partitions) = self.topics.get_mut(topic) else { return };
                partitions.remove(&partition);
                if partitions.is_empty() {
                    self.topics.remove(topic);
                }
            }
        }
    }

    /// Removes one offset of `group`, with a tombstone, if it is there.
    pub(crate) fn remove(&mut self, group: &str, topic: &str, partition: i32, turn: &mut Turn<'_>) {
        if self.get(topic, partition).is_some() {
            turn.effects.records.push(records::offset_tombstone(group, topic, partition));
            self.apply(topic, partition, None);
        }
    }

    /// Removes, with a tombstone each, the offsets of `group` that `unwanted` picks by topic, partition and value.
    pub(crate) fn remove_where(
        &mut self,
        group: &str,
        turn: &mut Turn<'_>,
        unwanted: impl Fn(&str, i32, &CommittedOffset) -> bool,
    ) {
        let mut removed = Vec::new();
        for (topic, partitions) in &self.topics {
            let picked =
                partitions.iter().filter(|(partition, committed)| unwanted(topic, **partition, committed));
            removed.extend(picked.map(|(partition, _)| (topic.clone(), *partition)));
        }
        for (topic, partition) in removed {
            self.remove(group, &topic, partition, turn);
        }
    }
}
