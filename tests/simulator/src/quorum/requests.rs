//! What brokers ask controllers: commands for the active one, committed metadata from any.

use klamm_metadata::controller::Command;
use klamm_wire::ErrorCode;

use super::Quorum;
use super::active::Submission;
use crate::message::Message;
use crate::outbox::Outbox;
use crate::party::Party;

/// Entries in one answer to a pull.
const MAX_ENTRIES: u64 = 40;

impl Quorum {
    /// A message to a controller.
    pub(crate) fn receive(&mut self, at: usize, from: Party, message: Message, out: &mut Outbox) {
        match message {
            Message::Command { id, command } => {
                self.take(at, Submission { from, id, command: *command }, out)
            }
            Message::Pull { id, next } => self.pull(at, from, id, next, out),
            _ => {}
        }
    }

    /// Whether messages wait for the controller's process to go on.
    pub(crate) fn is_paused(&self, at: usize) -> bool {
        self.voters[at].paused_since.is_some()
    }

    /// Whether the active controller has heard something that it has not decided yet.
    pub(crate) fn is_deciding(&self) -> bool {
        let voter = self.leader.map(|leader| &self.voters[leader]);
        voter.is_none_or(|voter| {
            let active = voter.active.as_ref();
            let is_busy = active.is_none_or(|active| active.proposal.is_some() || !active.inbox.is_empty());
            is_busy || voter.paused_since.is_some()
        })
    }

    pub(super) fn take(&mut self, at: usize, submission: Submission, out: &mut Outbox) {
        match self.voters[at].active.as_mut() {
            None => {
                let refusal = Message::Reply { id: submission.id, outcome: Err(ErrorCode::NotController) };
                out.send(Party::Controller(at), submission.from, refusal);
            }
            Some(active) => {
                active.inbox.push_back(submission);
                if active.proposal.is_none() {
                    active.decide(at, out);
                }
            }
        }
    }

    /// Decides what came while a proposal was under way.
    pub(super) fn decide(&mut self, at: usize, out: &mut Outbox) {
        if let Some(active) = self.voters[at].active.as_mut()
            && active.proposal.is_none()
            && !active.inbox.is_empty()
        {
            active.decide(at, out);
        }
    }

    /// New entries are committed: the active controller's image has them, and whoever waits for news gets them.
    pub(super) fn published(&mut self, at: usize, out: &mut Outbox) {
        let Some(active) = self.voters[at].active.as_mut() else { return };
        active.image = self.image.clone();
        for (from, id, next) in std::mem::take(&mut active.pulls) {
            self.answer_pull(at, from, id, next, out);
        }
    }

    fn pull(&mut self, at: usize, from: Party, id: u64, next: i64, out: &mut Outbox) {
        if let Party::Node(node) = from
            && let Some(active) = self.voters[at].active.as_mut()
        {
            active.controller.on_metadata_applied(node as i32, next - 1);
        }
        let shown = self.shown(at);
        if next < shown as i64 {
            return self.answer_pull(at, from, id, next, out);
        }
        match self.voters[at].active.as_mut() {
            Some(active) => active.pulls.push((from, id, next)),
            None => self.answer_pull(at, from, id, next, out),
        }
    }

    /// How much of the log this controller has applied.
    fn shown(&self, at: usize) -> usize {
        let voter = &self.voters[at];
        match &voter.active {
            Some(active) => (active.image.offset() + 1) as usize,
            None => voter.frozen_at.unwrap_or(self.log.len()),
        }
    }

    fn answer_pull(&mut self, at: usize, from: Party, id: u64, next: i64, out: &mut Outbox) {
        let first = usize::try_from(next).unwrap_or(0);
        let count = out.random.between(1, MAX_ENTRIES as i64) as usize;
        let last = self.shown(at).min(first.saturating_add(count));
        let entries = self.log.get(first..last).unwrap_or_default().to_vec();
        let knows_itself = self.voters[at].active.is_some();
        let active = if knows_itself { Some(at) } else { self.leader };
        out.send(Party::Controller(at), from, Message::Pulled { id, entries, active });
    }

    /// The process of this broker is gone, as the active controller has seen for itself.
    pub(crate) fn broker_gone(&mut self, id: usize, out: &mut Outbox) {
        let Some(active) = self.leader.and_then(|leader| self.voters[leader].active.as_ref()) else { return };
        let broker = active.image.broker(id as i32).filter(|broker| !broker.fenced);
        if let Some(epoch) = broker.map(|broker| broker.epoch) {
            self.submit(Command::BrokerGone { id: id as i32, epoch }, out);
        }
    }
}
