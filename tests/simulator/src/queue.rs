//! The virtual clock: what happens next, in an order that is the same in every run.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::client::ClientTimer;
use crate::faults::Fault;
use crate::message::{Key, Message};
use crate::party::Party;
use crate::quorum::ControllerTimer;

/// Virtual microseconds since the beginning.
pub(crate) type Micros = i64;
/// A millisecond.
pub(crate) const MS: Micros = 1_000;
/// A second.
pub(crate) const SECOND: Micros = 1_000_000;

/// Something of a broker process that is due.
#[derive(Clone, Debug)]
pub(crate) enum NodeTimer {
    Heartbeat,
    CallExpired { id: u64 },
    PullExpired { id: u64 },
    WriteDone { key: Key, serial: u64 },
    WriteAgain { key: Key },
    FetchExpired { leader: usize, id: u64 },
    FetchDue { leader: usize },
    ParkExpired { id: u64 },
    DeletionExpired { key: Key, id: u64 },
    CheckLag,
    Checkpoint,
    ShardTick,
    ResendAlter,
    Die,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Deliver {
        from: Party,
        to: Party,
        message: Message,
    },
    Node {
        node: usize,
        incarnation: u32,
        timer: NodeTimer,
    },
    /// The machine or the supervisor starts the process.
    Start {
        node: usize,
        incarnation: u32,
    },
    Client {
        client: usize,
        timer: ClientTimer,
    },
    Controller {
        controller: usize,
        epoch: i32,
        timer: ControllerTimer,
    },
    /// The active controller dials a broker whose connection broke.
    Probe {
        node: usize,
    },
    CreateTopics,
    Window,
    Fault(Fault),
}

struct Entry {
    at: Micros,
    serial: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest; what was planned first goes first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.serial).cmp(&(self.at, self.serial))
    }
}

/// Planned events.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Entry>,
    serial: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Micros, event: Event) {
        self.serial += 1;
        self.heap.push(Entry { at, serial: self.serial, event });
    }

    /// Loses all messages that are under way between the two; how many they were.
    pub(crate) fn drop_between(&mut self, one: Party, other: Party) -> u64 {
        let before = self.heap.len();
        self.heap.retain(|entry| {
            let Event::Deliver { from, to, .. } = &entry.event else { return true };
            (*from, *to) != (one, other) && (*from, *to) != (other, one)
        });
        (before - self.heap.len()) as u64
    }

    /// The next event and when it happens.
    pub(crate) fn pop(&mut self) -> Option<(Micros, Event)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}
