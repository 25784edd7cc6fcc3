//! Deleting records (DeleteRecords): the leader moves its log's start, and waits until nobody can bring them back.

use klamm_replica::LeaderEvent;
use klamm_wire::ErrorCode;

use super::Node;
use super::replica::{Ack, Released, Replica, Role, Sparks, Waiter};
use crate::message::{Key, Message};
use crate::mutation::{Mutation, is_active};
use crate::outbox::{Outbox, Touch};
use crate::party::Party;
use crate::queue::{MS, NodeTimer};

/// Records that a leader has deleted.
struct Deletion {
    /// Everything before was asked to go.
    start: i64,
    /// All that may be elected without loss have deleted it, too.
    is_done: bool,
}

impl Node {
    pub(super) fn delete_records(
        &mut self,
        from: Party,
        id: u64,
        (key, offset): (Key, i64),
        timeout_ms: i64,
        out: &mut Outbox,
    ) {
        let begun = self.change(key, out, |replica, now_ms, sparks| {
            let deletion = replica.delete_records(offset, now_ms, sparks)?;
            if !deletion.is_done {
                let ack = Ack::Deleter { to: from, id, start: deletion.start };
                replica.deletions.push(Waiter { next_offset: deletion.start, ack });
            }
            Ok(deletion)
        });
        match begun.unwrap_or(Err(ErrorCode::UnknownTopicOrPartition)) {
            Ok(Deletion { is_done: false, .. }) => {
                self.after(timeout_ms.max(1) * MS, NodeTimer::DeletionExpired { key, id }, out);
            }
            Ok(Deletion { start, .. }) => self.deleted(key, (from, id), Ok(start), out),
            Err(error) => self.deleted(key, (from, id), Err(error), out),
        }
    }

    /// The deletion outlives this leader, or nobody knows.
    pub(super) fn deleted(
        &mut self,
        key: Key,
        (to, id): (Party, u64),
        outcome: Result<i64, ErrorCode>,
        out: &mut Outbox,
    ) {
        let low_watermark = self.replica(key).and_then(Replica::low_watermark).unwrap_or(-1);
        let outcome = outcome.map(|start| low_watermark.max(start));
        if let Ok(start) = outcome {
            let node = self.id;
            out.note(|| format!("node {node}: what lies before {start} of partition {key} is deleted"));
            out.touched.push(Touch::Deleted { key, start });
        }
        out.send(self.party(), to, Message::RecordsDeleted { id, outcome });
    }

    /// Who has waited long enough is told so; the deletion goes on.
    pub(super) fn deletion_expired(&mut self, key: Key, id: u64, out: &mut Outbox) {
        let is_it = |waiter: &mut Waiter| matches!(waiter.ack, Ack::Deleter { id: own, .. } if own == id);
        self.change(key, out, |replica, _, sparks| {
            let expired = replica.deletions.extract_if(.., is_it);
            sparks.released.extend(expired.map(|waiter| (waiter.ack, Err(ErrorCode::RequestTimedOut))));
        });
    }
}

impl Replica {
    fn delete_records(
        &mut self,
        offset: i64,
        now_ms: i64,
        sparks: &mut Sparks,
    ) -> Result<Deletion, ErrorCode> {
        self.role.leader()?;
        let start = if offset == -1 { self.high_watermark } else { offset };
        if start < 0 || start > self.high_watermark {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let was = self.log.start_offset();
        if start > was {
            self.log.advance_start_offset(start).map_err(|_| ErrorCode::KafkaStorageError)?;
            self.start_moved(was, now_ms, sparks);
        }
        let is_done = self.role.leader()?.low_watermark() >= start;
        Ok(Deletion { start, is_done: is_done || is_active(Mutation::DeletionAcknowledgedAtOnce) })
    }

    /// The log may have lost its head since it began at `was`: followers do not wait to hear of it.
    fn start_moved(&mut self, was: i64, now_ms: i64, sparks: &mut Sparks) {
        let start = self.log.start_offset();
        if start > was {
            sparks.start_moved = Some(start);
            let event = LeaderEvent::LocalStartMoved { start };
            self.step_leader(|leader| leader.step(event, now_ms), sparks);
            sparks.wakes_followers = true;
        }
    }

    fn low_watermark(&self) -> Option<i64> {
        match &self.role {
            Role::Leader(leader) => Some(leader.low_watermark()),
            _ => None,
        }
    }

    /// Tells those who wait for a start up to this.
    pub(super) fn release_deletions(
        &mut self,
        upto: i64,
        result: Result<(), ErrorCode>,
        released: &mut Released,
    ) {
        let is_due = |waiter: &mut Waiter| waiter.next_offset <= upto;
        released.extend(self.deletions.extract_if(.., is_due).map(|waiter| (waiter.ack, result)));
    }
}
