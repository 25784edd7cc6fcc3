//! What the parties set off: messages, timers, and what the invariants look at.

use std::collections::BTreeMap;

use crate::history::ClientEvent;
use crate::message::{Key, Message};
use crate::party::Party;
use crate::queue::{Event, MS, Micros};
use crate::random::Random;

/// Something that a node's event did to a replica and that the invariants look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// The high watermark moved.
    Advanced { node: usize, key: Key },
    /// The replica became the leader.
    Elected { node: usize, key: Key, epoch: i32 },
    /// A leader deleted what lies before `start`.
    StartMoved { key: Key, start: i64 },
    /// A leader acknowledged that everything before `start` is deleted.
    Deleted { key: Key, start: i64 },
    /// It refused a batch as out of sequence.
    SequenceRefused { node: usize, key: Key },
}

/// Effects of the event under way.
pub(crate) struct Outbox {
    pub now: Micros,
    pub random: Random,
    pub messages: Vec<(Party, Party, Message)>,
    pub timers: Vec<(Micros, Event)>,
    pub touched: Vec<Touch>,
    /// What leaders were told that the controller has committed: partition, its epoch, its ISR.
    pub promised: Vec<(Key, i32, Vec<i32>)>,
    pub history: Vec<ClientEvent>,
    pub notes: Vec<String>,
    pub verbose: bool,
    next_id: u64,
    next_value: u64,
    /// The newest epoch of each producer id, if it is not the first.
    epochs: BTreeMap<i64, i16>,
    next_producer: i64,
}

impl Outbox {
    pub(crate) fn new(random: Random, verbose: bool) -> Self {
        Self {
            now: 0,
            random,
            messages: Vec::new(),
            timers: Vec::new(),
            touched: Vec::new(),
            promised: Vec::new(),
            history: Vec::new(),
            notes: Vec::new(),
            verbose,
            next_id: 0,
            next_value: 0,
            epochs: BTreeMap::new(),
            next_producer: 8_000,
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.now / MS
    }

    pub(crate) fn send(&mut self, from: Party, to: Party, message: Message) {
        self.messages.push((from, to, message));
    }

    pub(crate) fn after(&mut self, delay: Micros, event: Event) {
        self.timers.push((self.now + delay.max(1), event));
    }

    /// An id that no other request has.
    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// A value that no other record has.
    pub(crate) fn value(&mut self) -> u64 {
        self.next_value += 1;
        self.next_value - 1
    }

    /// The next epoch of a producer id.
    pub(crate) fn next_epoch(&mut self, producer: i64) -> i16 {
        let epoch = self.epochs.entry(producer).or_default();
        *epoch += 1;
        *epoch
    }

    /// A producer id that nobody has.
    pub(crate) fn producer_id(&mut self) -> i64 {
        self.next_producer += 1;
        self.next_producer
    }

    /// Something for who reads the trace.
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        if self.verbose {
            self.notes.push(text());
        }
    }
}
