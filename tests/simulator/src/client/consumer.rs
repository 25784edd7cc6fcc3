//! A consumer that reads every partition from its position on, commits, and now and then starts anew from there.

use klamm_replica::FetchPosition;
use klamm_wire::ErrorCode;

use super::group::Committing;
use super::routing::Routing;
use super::tick_after;
use crate::history::{ClientEvent, values};
use crate::message::{Key, Message, Served};
use crate::outbox::Outbox;
use crate::party::Party;
use crate::queue::{MS, Micros};

/// How long an answer may take.
const PATIENCE: Micros = 900 * MS;
const TICK: Micros = 40 * MS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Idle,
    Until(Micros),
    Asked { id: u64, at: Micros },
}

struct Cursor {
    position: i64,
    /// Leader epoch of the last record read.
    last_epoch: i32,
    reading: Reading,
    /// The leader epoch that the last request named.
    asked_epoch: i32,
}

impl Cursor {
    fn at(position: i64) -> Self {
        Self { position, last_epoch: -1, reading: Reading::Idle, asked_epoch: -1 }
    }
}

/// The consumer, alone in its group.
pub(crate) struct Consumer {
    pub(super) client: usize,
    cursors: Vec<Cursor>,
    pub(super) routing: Routing,
    pub(super) committing: Committing,
    is_stopped: bool,
}

impl Consumer {
    pub(crate) fn new(client: usize, nodes: usize, data_partitions: usize) -> Self {
        Self {
            client,
            cursors: (0..data_partitions).map(|_| Cursor::at(0)).collect(),
            routing: Routing::new(nodes, data_partitions + 1),
            committing: Committing::new(data_partitions),
            is_stopped: false,
        }
    }

    /// Commits and starts anew no more; reads on.
    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
    }

    pub(crate) fn position(&self, partition: Key) -> i64 {
        self.cursors.get(partition).map_or(0, |cursor| cursor.position)
    }

    pub(super) fn party(&self) -> Party {
        Party::Client(self.client)
    }

    pub(crate) fn tick(&mut self, out: &mut Outbox) {
        self.routing.refresh(self.party(), out);
        for key in 0..self.cursors.len() {
            let overdue =
                matches!(self.cursors[key].reading, Reading::Asked { at, .. } if out.now - at > PATIENCE);
            if overdue {
                self.cursors[key].reading = Reading::Idle;
                self.routing.mark_stale();
            }
            self.read(key, out);
        }
        if !self.is_stopped {
            self.commit_or_restart(out);
        }
        tick_after(self.client, TICK, out);
    }

    fn read(&mut self, key: Key, out: &mut Outbox) {
        let Some((node, epoch)) = self.routing.leader(key) else { return };
        let party = self.party();
        let Some(cursor) = self.cursors.get_mut(key) else { return };
        let is_due = match cursor.reading {
            Reading::Idle => true,
            Reading::Until(until) => until <= out.now,
            Reading::Asked { .. } => false,
        };
        if !is_due {
            return;
        }
        let id = out.id();
        (cursor.reading, cursor.asked_epoch) = (Reading::Asked { id, at: out.now }, epoch);
        let position = FetchPosition {
            offset: cursor.position,
            last_fetched_epoch: cursor.last_epoch,
            current_leader_epoch: epoch,
        };
        out.send(party, Party::Node(node), Message::Read { id, key, position });
    }

    pub(crate) fn receive(&mut self, _: Party, message: Message, out: &mut Outbox) {
        match message {
            Message::ReadDone { id, served } => self.read_done(id, served, out),
            Message::MetadataAnswer { id, partitions } => self.routing.answered(id, &partitions),
            Message::GroupAnswer { id, outcome } => self.group_answered(id, outcome, out),
            _ => {}
        }
    }

    fn read_done(&mut self, id: u64, served: Served, out: &mut Outbox) {
        let is_mine =
            |cursor: &Cursor| matches!(cursor.reading, Reading::Asked { id: asked, .. } if asked == id);
        let Some(key) = self.cursors.iter().position(is_mine) else { return };
        let leader_epoch = self.cursors[key].asked_epoch;
        let pause = Reading::Until(out.now + out.random.between(10, 60) * MS);
        let (consumer, position) = (self.client, self.cursors[key].position);
        self.cursors[key].reading = pause;
        match served {
            Served::Records { bytes, .. } => {
                if !bytes.is_empty() {
                    let read =
                        ClientEvent::Read { consumer, partition: key, position, asked: id, leader_epoch };
                    out.history.push(read);
                }
                self.polled(key, bytes, out);
                self.read(key, out);
            }
            // What is there no more was deleted.
            Served::OutOfRange { start, .. } if position < start => {
                out.history.push(ClientEvent::Skipped { consumer, partition: key, start });
                self.seek(key, start, out);
            }
            Served::Diverging { .. } | Served::OutOfRange { .. } => {
                out.history.push(ClientEvent::PositionLost { consumer, partition: key, position });
            }
            Served::Refused(ErrorCode::UnknownLeaderEpoch) => {}
            Served::Refused(_) => self.routing.mark_stale(),
        }
    }

    fn polled(&mut self, key: Key, bytes: bytes::Bytes, out: &mut Outbox) {
        let (consumer, cursor) = (self.client, &mut self.cursors[key]);
        let position = cursor.position;
        if bytes.is_empty() {
            cursor.reading = Reading::Idle;
            return;
        }
        let epoch = crate::history::digests(bytes.clone()).last().map_or(-1, |digest| digest.epoch);
        let Some(mut records) = values(bytes) else {
            return out.history.push(ClientEvent::DamagedBatch { partition: key, position });
        };
        records.retain(|(offset, _)| *offset >= position);
        cursor.reading = Reading::Idle;
        cursor.last_epoch = epoch;
        cursor.position = records.last().map_or(position, |(offset, _)| offset + 1);
        out.history.push(ClientEvent::Polled { consumer, partition: key, position, records });
    }

    /// Reads all partitions from the beginning, all at once.
    pub(crate) fn rewind(&mut self, out: &mut Outbox) {
        for key in 0..self.cursors.len() {
            self.seek(key, 0, out);
            self.read(key, out);
        }
    }

    /// The application starts anew at what its group has committed.
    pub(super) fn seek(&mut self, key: Key, position: i64, out: &mut Outbox) {
        let consumer = self.client;
        if let Some(cursor) = self.cursors.get_mut(key) {
            *cursor = Cursor::at(position);
            out.history.push(ClientEvent::Sought { consumer, partition: key, position });
        }
    }
}
