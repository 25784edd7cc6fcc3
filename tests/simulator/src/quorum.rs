//! The metadata quorum as a model: one committed log, and controllers of which one is active.
//!
//! Raft is a model here; the real one runs in [`crate::raft`]. What brokers can see of it is: an active controller that
//! decides with the real [`Controller`] code, proposals that take time, an election in the middle of one, a controller that does not know yet
//! that it was replaced and whose proposals fail, a quorum without a majority, and voters whose image lags.

mod active;
mod requests;

use std::sync::Arc;

use klamm_metadata::controller::{Command, Controller, Settings};
use klamm_metadata::{Image, Record};
use klamm_wire::ErrorCode;

pub(crate) use active::ControllerTimer;
use active::{Active, Submission};

use crate::message::Message;
use crate::mutation::{Mutation, is_active};
use crate::outbox::Outbox;
use crate::party::Party;
use crate::queue::{Event, MS, Micros};
use crate::topology::CONTROLLERS;

/// The cluster that brokers must name.
pub(crate) const CLUSTER_ID: &str = "simulated";

/// `broker.session.timeout.ms`.
pub(crate) const SESSION_MS: i64 = 1_000;

/// How long a controller may not know that it was replaced.
pub(crate) const ZOMBIE_TIME: Micros = 2_500 * MS;

/// One committed entry of the metadata log.
#[derive(Debug)]
pub(crate) struct Entry {
    pub offset: i64,
    pub epoch: i32,
    pub records: Vec<Record>,
}

/// The quorum.
pub(crate) struct Quorum {
    pub(crate) log: Vec<Arc<Entry>>,
    /// The state after the whole log.
    pub(crate) image: Image,
    /// The state after each entry.
    pub(crate) images: Vec<Image>,
    pub(crate) epoch: i32,
    pub(crate) leader: Option<usize>,
    /// No majority: nothing is committed.
    pub(crate) is_stalled: bool,
    voters: Vec<Voter>,
    settings: Settings,
}

/// One controller.
#[derive(Default)]
struct Voter {
    active: Option<Active>,
    /// How much of the log it shows to brokers, if it lags.
    frozen_at: Option<usize>,
    paused_since: Option<i64>,
}

impl Quorum {
    pub(crate) fn new() -> Self {
        let mut settings = Settings::new(CLUSTER_ID, Default::default());
        settings.session_timeout_ms = SESSION_MS;
        settings.rebalance_interval_ms = Some(3_000);
        settings.prompt_rebalance_interval_ms = 1_000;
        Self {
            log: Vec::new(),
            image: Image::empty(),
            images: Vec::new(),
            epoch: 0,
            leader: None,
            is_stalled: false,
            voters: (0..CONTROLLERS).map(|_| Voter::default()).collect(),
            settings,
        }
    }

    /// Makes another controller the active one. The one before notices at once, or stays a zombie for a while; what it
    /// had proposed is committed or not.
    pub(crate) fn elect(&mut self, winner: usize, leaves_zombie: bool, out: &mut Outbox) {
        let previous = self.leader.filter(|leader| *leader != winner);
        if let Some(old) = self.leader {
            self.settle_proposal(old, out);
            if leaves_zombie && old != winner {
                let ignorance = out.random.between(20, ZOMBIE_TIME / MS) * MS;
                out.after(ignorance, step_down(old, self.epoch));
            } else {
                self.voters[old].active = None;
            }
        }
        self.epoch += 1;
        self.leader = Some(winner);
        self.append(self.epoch, Vec::new());
        let mut controller = Controller::new(self.settings.clone());
        controller.on_become_active(&self.image, previous.map(|id| id as i32 + 100), out.now_ms());
        self.voters[winner] = Voter::default();
        self.voters[winner].active =
            Some(Active::new(self.epoch, controller, self.image.clone(), out.now_ms()));
        let tick = ControllerTimer::Tick;
        out.after(MS, Event::Controller { controller: winner, epoch: self.epoch, timer: tick });
        for broker in self.image.brokers().filter(|broker| !broker.fenced) {
            out.after(3 * MS, Event::Probe { node: broker.id as usize });
        }
        out.note(|| format!("controller {winner} is active in epoch {}", self.epoch));
    }

    /// What a controller had proposed when it lost its role may have reached the majority.
    fn settle_proposal(&mut self, old: usize, out: &mut Outbox) {
        let epoch = self.epoch;
        let Some(active) = self.voters[old].active.as_mut().filter(|active| active.epoch == epoch) else {
            return;
        };
        if let Some(proposal) = active.proposal.take() {
            if out.random.chance(500) && !proposal.records.is_empty() {
                self.append(epoch, proposal.records);
            }
            refuse_all(old, proposal.owed.into_iter().map(|(to, id, _)| (to, id)), out);
        }
    }

    fn append(&mut self, epoch: i32, records: Vec<Record>) {
        let offset = self.image.offset() + 1;
        self.image.apply(offset, epoch, &records);
        self.images.push(self.image.clone());
        self.log.push(Arc::new(Entry { offset, epoch, records }));
    }

    /// Lets a voter's image stand still, or catch up.
    pub(crate) fn set_lagging(&mut self, voter: usize, lags: bool) {
        self.voters[voter].frozen_at = lags.then_some(self.log.len());
    }

    /// Stops a controller's process, which is not told that time passes.
    pub(crate) fn pause(&mut self, voter: usize, now_ms: i64) {
        self.voters[voter].paused_since.get_or_insert(now_ms);
    }

    /// Lets it go on.
    pub(crate) fn resume(&mut self, voter: usize) {
        self.voters[voter].paused_since = None;
    }

    pub(crate) fn heal(&mut self) {
        self.is_stalled = false;
        for voter in 0..self.voters.len() {
            self.set_lagging(voter, false);
            self.resume(voter);
        }
    }

    /// A command from inside: the controller's own check, or the run's set-up.
    pub(crate) fn submit(&mut self, command: Command, out: &mut Outbox) {
        if let Some(leader) = self.leader {
            let from = Party::Controller(leader);
            self.take(leader, Submission { from, id: 0, command }, out);
        }
    }

    pub(crate) fn timer(&mut self, controller: usize, epoch: i32, timer: ControllerTimer, out: &mut Outbox) {
        let is_role = |active: &Active| active.epoch == epoch;
        if !self.voters[controller].active.as_ref().is_some_and(is_role) {
            return;
        }
        if self.voters[controller].paused_since.is_some() {
            out.after(20 * MS, Event::Controller { controller, epoch, timer });
            return;
        }
        match timer {
            ControllerTimer::Tick => self.tick(controller, out),
            ControllerTimer::Commit { serial } => self.commit(controller, serial, out),
            ControllerTimer::StepDown => self.step_down(controller, out),
        }
    }

    fn step_down(&mut self, controller: usize, out: &mut Outbox) {
        if let Some(active) = self.voters[controller].active.take() {
            let waiting = active.inbox.into_iter().map(|submission| (submission.from, submission.id));
            refuse_all(controller, waiting, out);
            active.pulls.into_iter().for_each(|(from, id, _)| {
                out.send(
                    Party::Controller(controller),
                    from,
                    Message::Pulled { id, entries: Vec::new(), active: None },
                );
            });
        }
    }

    fn tick(&mut self, controller: usize, out: &mut Outbox) {
        let now_ms = out.now_ms();
        let Some(active) = self.voters[controller].active.as_mut() else { return };
        active.notice_stall(now_ms);
        if active.proposal.is_none() {
            let decisions = active.controller.tick(&active.image, now_ms);
            let records: Vec<Record> = decisions.into_iter().flat_map(|decision| decision.records).collect();
            active.propose(controller, records, Vec::new(), out);
        }
        let next = active.next_tick(now_ms);
        let epoch = active.epoch;
        out.after(next, Event::Controller { controller, epoch, timer: ControllerTimer::Tick });
    }

    /// The proposal was written by a majority, or it never will be.
    fn commit(&mut self, controller: usize, serial: u64, out: &mut Outbox) {
        let (is_leader, epoch) = (self.leader == Some(controller), self.epoch);
        let Some(active) = self.voters[controller].active.as_mut() else { return };
        if active.proposal.as_ref().is_none_or(|proposal| proposal.serial != serial) {
            return;
        }
        let is_current = is_leader && active.epoch == epoch;
        if is_current && self.is_stalled {
            let timer = ControllerTimer::Commit { serial };
            out.after(20 * MS, Event::Controller { controller, epoch, timer });
            return;
        }
        let Some(proposal) = active.proposal.take() else { return };
        if is_current {
            if !proposal.records.is_empty() {
                self.append(epoch, proposal.records);
            }
            active::answer(controller, proposal.owed, out);
            self.published(controller, out);
        } else if is_active(Mutation::RepliesBeforeCommit) {
            active::answer(controller, proposal.owed, out);
        } else {
            refuse_all(controller, proposal.owed.into_iter().map(|(to, id, _)| (to, id)), out);
        }
        self.decide(controller, out);
    }
}

fn step_down(controller: usize, epoch: i32) -> Event {
    Event::Controller { controller, epoch, timer: ControllerTimer::StepDown }
}

fn refuse_all(controller: usize, waiting: impl Iterator<Item = (Party, u64)>, out: &mut Outbox) {
    for (to, id) in waiting {
        let refusal = Message::Reply { id, outcome: Err(ErrorCode::NotController) };
        out.send(Party::Controller(controller), to, refusal);
    }
}
