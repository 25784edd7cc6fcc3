//! An idempotent producer with acks=all and up to five batches under way per partition.
//!
//! Retries keep the order as Kafka's own client does: a batch that was sent before goes alone, at the head of its
//! partition; new ones follow only while none waits to be sent again.

mod identity;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use klamm_wire::ErrorCode;

use super::batch;
use super::routing::Routing;
use super::tick_after;
use crate::history::ClientEvent;
use crate::message::{Key, Message};
use crate::outbox::Outbox;
use crate::party::Party;
use crate::queue::{MS, Micros};

/// `max.in.flight.requests.per.connection`.
const MAX_IN_FLIGHT: u64 = 5;
/// `request.timeout.ms`.
const PATIENCE: Micros = 900 * MS;
const TICK: Micros = 20 * MS;
/// Batches that wait at most.
const MAX_WAITING: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Sent(u64),
    Until(Micros),
}

struct Pending {
    /// Counts the batches of the stream.
    number: u64,
    sequence: i32,
    values: Vec<u64>,
    bytes: Bytes,
    attempts: u32,
    state: State,
    /// Every attempt so far was refused before anything was appended.
    only_refused: bool,
}

#[derive(Default)]
struct Stream {
    next_sequence: i32,
    next_number: u64,
    /// A batch of this epoch was acknowledged.
    is_known: bool,
    unacked: VecDeque<Pending>,
    acked_end: i64,
}

struct Sent {
    key: Key,
    sequence: i32,
    node: usize,
    at: Micros,
}

/// A question for the latest offset.
#[derive(Clone, Copy)]
struct Listing {
    id: u64,
    key: Key,
    leader_epoch: i32,
    acked_end: i64,
    at: Micros,
}

/// The producer.
pub(crate) struct Producer {
    client: usize,
    id: i64,
    epoch: i16,
    streams: Vec<Stream>,
    routing: Routing,
    connections: Vec<u32>,
    sent: BTreeMap<u64, Sent>,
    listing: Option<Listing>,
    /// Batches per 1,000 ticks and partition.
    rate: u64,
    /// How many times as much it has to send now.
    load: u64,
    is_stopped: bool,
    /// It sends nothing more once a newer epoch of its id is known.
    ends_when_fenced: bool,
}

impl Producer {
    pub(crate) fn new(client: usize, nodes: usize, data_partitions: usize, rate: u64) -> Self {
        Self {
            client,
            id: 7_000 + client as i64,
            epoch: 0,
            streams: (0..data_partitions).map(|_| Stream::default()).collect(),
            routing: Routing::new(nodes, data_partitions),
            connections: vec![0; nodes],
            sent: BTreeMap::new(),
            listing: None,
            rate,
            load: 1,
            is_stopped: false,
            ends_when_fenced: false,
        }
    }

    /// Sends nothing new from now on.
    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Gets so many times as much to send as usual; what is in flight at a time stays as it is, as the protocol allows no more.
    pub(crate) fn set_load(&mut self, factor: u64) {
        self.load = factor;
    }

    /// Whether every record was acknowledged or given up.
    pub(crate) fn is_done(&self) -> bool {
        self.streams.iter().all(|stream| stream.unacked.is_empty())
    }

    fn party(&self) -> Party {
        Party::Client(self.client)
    }

    pub(crate) fn tick(&mut self, out: &mut Outbox) {
        self.give_up_requests(out);
        self.routing.refresh(self.party(), out);
        if !self.is_stopped {
            (0..self.load).for_each(|_| self.create(out));
            if out.random.chance(3) {
                self.start_anew(out);
            }
        }
        for key in 0..self.streams.len() {
            self.pump(key, out);
        }
        self.list(out);
        tick_after(self.client, TICK, out);
    }

    fn create(&mut self, out: &mut Outbox) {
        let producer = (self.id, self.epoch);
        for stream in &mut self.streams {
            if stream.unacked.len() >= MAX_WAITING * self.load as usize || !out.random.chance(self.rate) {
                continue;
            }
            let count = out.random.between(1, 3);
            let values: Vec<u64> = (0..count).map(|_| out.value()).collect();
            let sequence = stream.next_sequence;
            stream.next_sequence += count as i32;
            let number = stream.next_number;
            stream.next_number += 1;
            let now_ms = out.now_ms();
            let bytes = batch::build(producer, sequence, &values, now_ms, &mut out.random);
            let state = State::Ready;
            stream.unacked.push_back(Pending {
                number,
                sequence,
                values,
                bytes,
                attempts: 0,
                state,
                only_refused: true,
            });
        }
    }

    fn pump(&mut self, key: Key, out: &mut Outbox) {
        let Some((node, _)) = self.routing.leader(key) else { return };
        let (party, connection, now) = (self.party(), self.connections[node], out.now);
        let Some(stream) = self.streams.get_mut(key) else { return };
        let Some(oldest) = stream.unacked.front().map(|pending| pending.number) else { return };
        // Answers come in order on a connection, so that no later one makes room for more.
        // A leader that knows nothing of a producer takes any sequence number, as in Kafka: were the second batch the first
        // to reach a new leader, the first would be refused. So the first goes alone.
        let limit = if stream.is_known { MAX_IN_FLIGHT } else { 1 };
        let window = |pending: &&mut Pending| pending.number - oldest < limit;
        for (at, pending) in stream.unacked.iter_mut().take_while(window).enumerate() {
            let is_due = match pending.state {
                State::Sent(_) => continue,
                State::Ready => true,
                State::Until(until) => until <= now,
            };
            if !is_due || (pending.attempts > 0 && at > 0) {
                return;
            }
            let id = out.id();
            pending.state = State::Sent(id);
            pending.attempts += 1;
            self.sent.insert(id, Sent { key, sequence: pending.sequence, node, at: now });
            let (producer, sequence) = (self.id, pending.sequence);
            out.note(|| {
                format!(
                    "producer {producer} sends sequence {sequence} of partition {key} to node {node} as {id}"
                )
            });
            let batch = pending.bytes.clone();
            out.send(party, Party::Node(node), Message::Produce { id, key, connection, batch });
            if pending.attempts > 1 {
                return;
            }
        }
    }

    fn list(&mut self, out: &mut Outbox) {
        if self.listing.is_some_and(|listing| out.now - listing.at < 500 * MS) || !out.random.chance(60) {
            return;
        }
        let key = out.random.index(self.streams.len());
        let Some((node, leader_epoch)) = self.routing.leader(key) else { return };
        let id = out.id();
        let acked_end = self.streams[key].acked_end;
        self.listing = Some(Listing { id, key, leader_epoch, acked_end, at: out.now });
        out.send(self.party(), Party::Node(node), Message::List { id, key, leader_epoch });
    }

    /// A connection on which an answer is overdue is given up, with all that is under way on it.
    fn give_up_requests(&mut self, out: &mut Outbox) {
        let overdue = |sent: &Sent| out.now - sent.at > PATIENCE;
        let mut broken: Vec<usize> =
            self.sent.values().filter(|sent| overdue(sent)).map(|sent| sent.node).collect();
        broken.dedup();
        broken.into_iter().for_each(|node| self.connection_lost(node));
    }

    /// What is under way on the connection to this node is sent again on another.
    pub(crate) fn connection_lost(&mut self, node: usize) {
        self.connections[node] += 1;
        self.routing.mark_stale();
        let lost: Vec<u64> =
            self.sent.iter().filter(|(_, sent)| sent.node == node).map(|(id, _)| *id).collect();
        for id in lost {
            if let Some(sent) = self.sent.remove(&id)
                && let Some(pending) = self.pending(sent.key, sent.sequence, id)
            {
                pending.only_refused = false;
                pending.state = State::Ready;
            }
        }
    }

    fn pending(&mut self, key: Key, sequence: i32, id: u64) -> Option<&mut Pending> {
        let pending = self.streams.get_mut(key)?.unacked.iter_mut();
        pending.into_iter().find(|p| p.sequence == sequence && p.state == State::Sent(id))
    }

    pub(crate) fn receive(&mut self, from: Party, message: Message, out: &mut Outbox) {
        match message {
            Message::Produced { id, outcome, .. } => self.produced(id, outcome, out),
            Message::MetadataAnswer { id, partitions } => self.routing.answered(id, &partitions),
            Message::Listed { id, outcome } => self.listed(from, id, outcome, out),
            _ => {}
        }
    }

    fn listed(&mut self, from: Party, id: u64, outcome: Result<i64, ErrorCode>, out: &mut Outbox) {
        let Party::Node(node) = from else { return };
        let Some(listing) = self.listing.filter(|listing| listing.id == id) else { return };
        let Listing { key: partition, leader_epoch, acked_end, .. } = listing;
        self.listing = None;
        match outcome {
            Ok(latest) => {
                let client = self.client;
                out.history.push(ClientEvent::Listed {
                    client,
                    partition,
                    acked_end,
                    latest,
                    node,
                    leader_epoch,
                });
            }
            Err(_) => self.routing.mark_stale(),
        }
    }

    fn produced(&mut self, id: u64, outcome: Result<i64, ErrorCode>, out: &mut Outbox) {
        let Some(sent) = self.sent.remove(&id) else { return };
        out.note(|| format!("producer {} is answered {outcome:?} to {id}", self.id));
        match outcome {
            Ok(base_offset) => self.acked(&sent, base_offset, out),
            Err(ErrorCode::OutOfOrderSequenceNumber) => self.out_of_order(&sent, id, out),
            Err(ErrorCode::InvalidProducerEpoch) => self.fenced(&sent, id, out),
            Err(error) => self.refused(&sent, id, error, out),
        }
        self.pump(sent.key, out);
    }

    fn acked(&mut self, sent: &Sent, base_offset: i64, out: &mut Outbox) {
        let (producer, epoch) = (self.id, self.epoch);
        let Some(stream) = self.streams.get_mut(sent.key) else { return };
        let Some(at) = stream.unacked.iter().position(|pending| pending.sequence == sent.sequence) else {
            return;
        };
        let Some(pending) = stream.unacked.remove(at) else { return };
        stream.is_known = true;
        stream.acked_end = stream.acked_end.max(base_offset + pending.values.len() as i64);
        for (index, value) in pending.values.into_iter().enumerate() {
            out.history.push(ClientEvent::Acked {
                producer,
                epoch,
                partition: sent.key,
                sequence: pending.sequence + index as i32,
                value,
                offset: base_offset + index as i64,
            });
        }
    }

    /// Ordinary for a batch behind one that is to be sent again. The first one follows what was acknowledged, so that a
    /// broker that refuses it has lost something.
    fn out_of_order(&mut self, sent: &Sent, id: u64, out: &mut Outbox) {
        let is_first = self
            .streams
            .get(sent.key)
            .and_then(|stream| stream.unacked.front())
            .is_some_and(|pending| pending.sequence == sent.sequence);
        if is_first {
            let (producer, partition, sequence) = (self.id, sent.key, sent.sequence);
            out.history.push(ClientEvent::SequenceRefused { producer, partition, sequence, node: sent.node });
        }
        self.refused(sent, id, ErrorCode::OutOfOrderSequenceNumber, out);
    }

    fn refused(&mut self, sent: &Sent, id: u64, error: ErrorCode, out: &mut Outbox) {
        let until = out.now + out.random.between(10, 80) * MS;
        if let Some(pending) = self.pending(sent.key, sent.sequence, id) {
            pending.only_refused &= error == ErrorCode::NotEnoughReplicas;
            pending.state = State::Until(until);
        }
        if error != ErrorCode::NotEnoughReplicas {
            self.routing.mark_stale();
        }
    }
}
