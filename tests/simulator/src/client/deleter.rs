//! An administrator who deletes the oldest records of partitions (DeleteRecords), one request after another.

use klamm_wire::ErrorCode;

use super::routing::Routing;
use super::tick_after;
use crate::history::ClientEvent;
use crate::message::{Key, Message};
use crate::outbox::Outbox;
use crate::party::Party;
use crate::queue::{MS, Micros};
use crate::random::Random;

/// How long an answer may take beyond the request's own timeout.
const PATIENCE: Micros = 900 * MS;
const TICK: Micros = 100 * MS;

/// What is under way.
#[derive(Clone, Copy)]
enum Asked {
    /// Where the partition ends, which bounds what can be deleted.
    Latest,
    Deletion,
}

/// The administrator.
pub(crate) struct Deleter {
    client: usize,
    routing: Routing,
    asked: Option<(u64, Key, Asked, Micros)>,
    /// Up to where each partition is known to be deleted.
    deleted: Vec<i64>,
    /// Partitions of which the last deletion is not acknowledged.
    left: Vec<Key>,
    is_stopped: bool,
    /// Something is to be deleted without waiting for chance.
    is_urged: bool,
    /// Its own choices, so that a run without it is what it would be if there were none.
    random: Random,
}

impl Deleter {
    pub(crate) fn new(client: usize, nodes: usize, data_partitions: usize, random: Random) -> Self {
        let routing = Routing::new(nodes, data_partitions);
        let (deleted, left) = (vec![0; data_partitions], (0..data_partitions).collect());
        let (is_stopped, is_urged) = (false, false);
        Self { client, routing, asked: None, deleted, left, is_stopped, is_urged, random }
    }

    /// Deletes something at the next chance.
    pub(crate) fn urge(&mut self) {
        self.is_urged = true;
    }

    /// From now on only as much as shows that it can be done, a record of each partition.
    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
        self.asked = None;
    }

    /// A partition of which nothing was deleted since it was stopped.
    pub(crate) fn lacks(&self) -> Option<Key> {
        self.left.first().copied()
    }

    fn party(&self) -> Party {
        Party::Client(self.client)
    }

    pub(crate) fn tick(&mut self, out: &mut Outbox) {
        self.routing.refresh(self.party(), out);
        if self.asked.is_some_and(|(.., until)| until < out.now) {
            self.asked = None;
            self.routing.mark_stale();
        }
        if self.asked.is_none() {
            let key = match self.is_stopped {
                true => self.left.first().copied(),
                false => self.any_partition(),
            };
            if let Some((key, (node, leader_epoch))) =
                key.and_then(|key| Some((key, self.routing.leader(key)?)))
            {
                let id = out.id();
                self.asked = Some((id, key, Asked::Latest, out.now + PATIENCE));
                out.send(self.party(), Party::Node(node), Message::List { id, key, leader_epoch });
            }
        }
        tick_after(self.client, TICK, out);
    }

    /// One of which to delete something now, as a rule none.
    fn any_partition(&mut self) -> Option<Key> {
        let is_time = std::mem::take(&mut self.is_urged) || self.random.chance(100);
        is_time.then(|| self.random.index(self.deleted.len()))
    }

    pub(crate) fn receive(&mut self, message: Message, out: &mut Outbox) {
        match message {
            Message::MetadataAnswer { id, partitions } => self.routing.answered(id, &partitions),
            Message::Listed { id, outcome } => self.listed(id, outcome, out),
            Message::RecordsDeleted { id, outcome } => self.records_deleted(id, outcome, out),
            _ => {}
        }
    }

    fn listed(&mut self, id: u64, outcome: Result<i64, ErrorCode>, out: &mut Outbox) {
        let Some((_, key, Asked::Latest, _)) = self.asked.filter(|(asked, ..)| *asked == id) else { return };
        self.asked = None;
        let (Ok(latest), Some((node, _))) = (outcome, self.routing.leader(key)) else {
            return self.routing.mark_stale();
        };
        let Some(offset) = self.offset(key, latest) else { return };
        let timeout_ms = self.random.pick(&[30, 400, 1_500]).unwrap_or(400);
        let id = out.id();
        self.asked = Some((id, key, Asked::Deletion, out.now + timeout_ms * MS + PATIENCE));
        out.send(self.party(), Party::Node(node), Message::DeleteRecords { id, key, offset, timeout_ms });
    }

    /// Up to where to delete. As a rule a part of what there is, now and then all of it.
    fn offset(&mut self, key: Key, latest: i64) -> Option<i64> {
        let deleted = self.deleted[key];
        let there = latest - deleted;
        match self.random.below(10) {
            _ if self.is_stopped => Some(latest.min(deleted + 1)),
            _ if there <= 0 => None,
            0 => Some(-1),
            1 => Some(latest),
            _ => Some(deleted + self.random.between(1, there / 3 + 1)),
        }
    }

    fn records_deleted(&mut self, id: u64, outcome: Result<i64, ErrorCode>, out: &mut Outbox) {
        let Some((_, partition, Asked::Deletion, _)) = self.asked.filter(|(asked, ..)| *asked == id) else {
            return;
        };
        self.asked = None;
        match outcome {
            Ok(start) => {
                self.deleted[partition] = self.deleted[partition].max(start);
                if self.is_stopped {
                    self.left.retain(|left| *left != partition);
                }
                let known = out.id();
                out.history.push(ClientEvent::RecordsDeleted { partition, start, known });
            }
            Err(ErrorCode::RequestTimedOut) => {}
            Err(_) => self.routing.mark_stale(),
        }
    }
}
