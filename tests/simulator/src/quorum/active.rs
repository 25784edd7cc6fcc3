//! The active controller: a single writer that decides what waits into one entry and answers when it is committed.

use std::collections::VecDeque;

use klamm_metadata::controller::{Command, Controller, Reply};
use klamm_metadata::{Image, Record};

use crate::message::Message;
use crate::mutation::{Mutation, is_active};
use crate::outbox::Outbox;
use crate::party::Party;
use crate::queue::{Event, MS, Micros};

/// Longest wait between two looks at the clock.
const MAX_SLEEP_MS: i64 = 200;
/// A longer time between two looks is one in which nobody could be heard.
const STALL_MS: i64 = 300;

/// Something of a controller that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControllerTimer {
    /// Sessions may have ended.
    Tick,
    /// A majority has written the proposal, if there is one.
    Commit { serial: u64 },
    /// It learns that it was replaced.
    StepDown,
}

/// A command and who waits for its reply.
pub(super) struct Submission {
    pub from: Party,
    pub id: u64,
    pub command: Command,
}

/// An entry on its way, with the replies that wait for it.
pub(super) struct Proposal {
    pub serial: u64,
    pub records: Vec<Record>,
    pub owed: Vec<(Party, u64, Reply)>,
}

/// One term as the active controller, as this controller sees it.
pub(super) struct Active {
    pub epoch: i32,
    pub controller: Controller,
    pub image: Image,
    pub inbox: VecDeque<Submission>,
    pub proposal: Option<Proposal>,
    /// Brokers that wait for news: who, the request's id, the next offset wanted.
    pub pulls: Vec<(Party, u64, i64)>,
    serial: u64,
    last_look_ms: i64,
}

impl Active {
    pub(super) fn new(epoch: i32, controller: Controller, image: Image, now_ms: i64) -> Self {
        let (inbox, pulls) = (VecDeque::new(), Vec::new());
        Self { epoch, controller, image, inbox, proposal: None, pulls, serial: 0, last_look_ms: now_ms }
    }

    pub(super) fn notice_stall(&mut self, now_ms: i64) {
        let stall = now_ms - self.last_look_ms;
        self.last_look_ms = now_ms;
        if stall > STALL_MS {
            self.controller.on_stall(stall);
        }
    }

    /// How long to sleep.
    pub(super) fn next_tick(&self, now_ms: i64) -> Micros {
        let deadline = self.controller.next_deadline().unwrap_or(i64::MAX);
        deadline.saturating_sub(now_ms).clamp(1, MAX_SLEEP_MS) * MS
    }

    /// Decides all that waits.
    pub(super) fn decide(&mut self, node: usize, out: &mut Outbox) {
        let now_ms = out.now_ms();
        self.notice_stall(now_ms);
        let next_offset = self.image.offset() + 1;
        let mut working = self.image.clone();
        let (mut records, mut owed) = (Vec::new(), Vec::new());
        for Submission { from, id, command } in std::mem::take(&mut self.inbox) {
            let random = &mut out.random;
            let decision =
                self.controller.handle(&working, command, now_ms, next_offset, &mut || random.next());
            if let Reply::AlterPartition(reply) = &decision.reply {
                let codes: Vec<i16> =
                    reply.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code).collect();
                let (epoch, records) = (self.epoch, decision.records.len());
                out.note(|| format!("controller {node} in epoch {epoch} decides request {id}: {codes:?}, {records} records"));
            }
            working.apply(working.offset(), working.epoch(), &decision.records);
            records.extend(decision.records);
            owed.push((from, id, decision.reply));
        }
        self.propose(node, records, owed, out);
    }

    /// Proposes what was decided. Without records there is nothing to wait for, unless a leader relies on the refusal: a
    /// controller that was replaced and does not know must not refuse what its successor has accepted.
    pub(super) fn propose(
        &mut self,
        node: usize,
        records: Vec<Record>,
        owed: Vec<(Party, u64, Reply)>,
        out: &mut Outbox,
    ) {
        let decides_isr = |(_, _, reply): &(Party, u64, Reply)| matches!(reply, Reply::AlterPartition(_));
        let needs_quorum = owed.iter().any(decides_isr) && !is_active(Mutation::RefusesUnconfirmed);
        if records.is_empty() && !needs_quorum {
            return answer(node, owed, out);
        }
        self.serial += 1;
        let serial = self.serial;
        self.proposal = Some(Proposal { serial, records, owed });
        let latency = out.random.between(400, 4_000);
        let timer = ControllerTimer::Commit { serial };
        out.after(latency, Event::Controller { controller: node, epoch: self.epoch, timer });
    }
}

/// Sends the replies.
pub(super) fn answer(node: usize, owed: Vec<(Party, u64, Reply)>, out: &mut Outbox) {
    for (to, id, reply) in owed.into_iter().filter(|(_, id, _)| *id > 0) {
        out.send(Party::Controller(node), to, Message::Reply { id, outcome: Ok(Box::new(reply)) });
    }
}
