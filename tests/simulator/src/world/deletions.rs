//! What was acknowledged as deleted, and who keeps that: a log start is in memory until the next checkpoint, so that nobody
//! knows any more when all who have deleted died before they stored it.

use std::collections::BTreeSet;

use klamm_metadata::Partition;

use super::World;
use crate::history::ServerEvent;
use crate::message::Key;
use crate::node::Node;

/// An acknowledged deletion.
pub(super) struct Promise {
    /// Everything before is deleted.
    start: i64,
    /// Members of ISR and ELR that have deleted it ever since.
    holders: BTreeSet<i32>,
}

impl World {
    /// A leader has acknowledged a deletion.
    pub(super) fn look_at_deletion(&mut self, key: Key, start: i64) {
        self.say(|| format!("partition {key} is deleted up to {start}, as is acknowledged"));
        self.tell_server(&ServerEvent::Deleted { partition: key, start });
        if self.deletions.get(&key).is_none_or(|promise| promise.start <= start) {
            let members = self.partition(key).map(|partition| members(partition)).unwrap_or_default();
            let is_holder = |id: &i32| self.holds(*id, key, start);
            let holders = members.into_iter().filter(is_holder).collect();
            self.deletions.insert(key, Promise { start, holders });
            self.forget_deletions();
            self.look_at_candidates(key);
        }
    }

    /// Whether the node has deleted what lies before `start`, for sure.
    fn holds(&self, id: i32, key: Key, start: i64) -> bool {
        let node = usize::try_from(id).ok().and_then(|id| self.nodes.get(id));
        node.is_some_and(|node| begins(node, key).is_some_and(|begins| begins >= start))
    }

    /// Somebody joined the ISR or left it.
    pub(super) fn look_at_holders(&mut self, key: Key, partition: &Partition) {
        let Some(promise) = self.deletions.get(&key) else { return };
        let start = promise.start;
        let members = members(partition);
        let joined: Vec<i32> = members.iter().copied().filter(|id| self.holds(*id, key, start)).collect();
        if let Some(promise) = self.deletions.get_mut(&key) {
            promise.holders.retain(|id| members.contains(id));
            promise.holders.extend(joined);
        }
        self.forget_deletions();
    }

    /// Processes that have ended know what they had stored.
    pub(super) fn look_at_ended(&mut self) {
        let ended: Vec<usize> = self
            .nodes
            .iter_mut()
            .filter_map(|node| std::mem::take(&mut node.has_ended).then_some(node.id))
            .collect();
        if ended.is_empty() {
            return;
        }
        for (key, promise) in &mut self.deletions {
            for node in &ended {
                if self.nodes[*node].log_starts[*key] < promise.start {
                    promise.holders.remove(&(*node as i32));
                }
            }
        }
        self.forget_deletions();
    }

    /// Whether somebody may be elected whose version does not say that it has not deleted it.
    fn may_come_back(&self, key: Key, start: i64) -> bool {
        let members = self.partition(key).map(|partition| members(partition)).unwrap_or_default();
        let is_older = |id: &i32| {
            let node = usize::try_from(*id).ok().and_then(|id| self.nodes.get(id));
            node.is_some_and(|node| node.runs_older())
        };
        members.iter().any(|id| is_older(id) && !self.holds(*id, key, start))
    }

    /// What nobody holds any more need not be kept.
    fn forget_deletions(&mut self) {
        let forgotten: Vec<Key> = self
            .deletions
            .iter()
            .filter(|(key, promise)| promise.holders.is_empty() || self.may_come_back(**key, promise.start))
            .map(|(key, _)| *key)
            .collect();
        for key in forgotten {
            self.deletions.remove(&key);
            self.say(|| format!("nobody knows any more that partition {key} was deleted"));
            self.tell_server(&ServerEvent::DeletionForgotten { partition: key });
        }
    }
}

fn members(partition: &Partition) -> BTreeSet<i32> {
    partition.isr.iter().chain(&partition.elr).copied().collect()
}

/// Where the log of a node begins, or will when it is opened.
fn begins(node: &Node, key: Key) -> Option<i64> {
    match &node.process {
        Some(_) => node.replica(key).map(|replica| replica.log.start_offset()),
        None => node.log_starts.get(key).copied(),
    }
}
