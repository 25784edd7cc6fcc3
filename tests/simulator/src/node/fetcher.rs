//! Fetching from leaders: one fetch under way per node that this one follows.

use klamm_replica::{FetchPosition, NextFetch};

use super::Node;
use super::start::Process;
use crate::message::{FetchPart, Key, Message, Served};
use crate::mutation::{Mutation, is_active};
use crate::outbox::Outbox;
use crate::party::Party;
use crate::queue::{MS, Micros, NodeTimer};

/// `replica.fetch.wait.max.ms`.
const MAX_WAIT_MS: i64 = 500;
/// How long a fetch is parked while a log stores what the last one brought.
const STORE_GRACE_MS: i64 = 20;
/// How long a fetch may go on when a partition is assigned.
const ASSIGN_GRACE: Micros = 5 * MS;
/// How much later than its longest wait an answer may come.
const CALL_GRACE_MS: i64 = 400;
/// First and longest pause after a fetch was not answered.
const BACKOFF_MS: (i64, i64) = (50, 1_000);

/// What is known of the fetches from one leader.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fetcher {
    in_flight: Option<u64>,
    failures: u32,
    blocked_until: Micros,
    /// For when a look is planned.
    planned: Micros,
    /// A partition was assigned: the fetch under way is given up soon.
    is_urgent: bool,
}

/// What a look at the replicas of one leader found.
#[derive(Default)]
struct Wanted {
    parts: Vec<FetchPart>,
    is_storing: bool,
    due_ms: Option<i64>,
}

impl Node {
    pub(super) fn pump_fetchers(&mut self, out: &mut Outbox) {
        for leader in 0..self.topology.nodes {
            if leader != self.id {
                self.pump_fetcher(leader, out);
            }
        }
    }

    fn pump_fetcher(&mut self, leader: usize, out: &mut Outbox) {
        // A leader that was replaced would count what this process stores, were it asked because of an image of the past.
        let is_settled =
            |process: &Process| process.is_settled || is_active(Mutation::FollowsBeforeRegistration);
        let may_fetch = |process: &&Process| process.broker_epoch >= 0 && is_settled(process);
        let Some(process) = self.process.as_ref().filter(may_fetch) else { return };
        let broker_epoch = process.broker_epoch;
        let Some(fetcher) = process.fetchers.get(leader).copied() else { return };
        if let Some(id) = fetcher.in_flight {
            if fetcher.is_urgent {
                self.fetcher(leader, |fetcher| fetcher.is_urgent = false);
                self.after(ASSIGN_GRACE, NodeTimer::FetchExpired { leader, id }, out);
            }
            return;
        }
        let now_ms = self.steady_ms(out);
        let wanted = if out.now < fetcher.blocked_until {
            Wanted::default()
        } else {
            self.wanted(leader, now_ms, out)
        };
        if wanted.parts.is_empty() {
            let due = wanted.due_ms.map(|due| out.now + (due - now_ms).max(1) * MS);
            return self.plan_look(leader, fetcher, due, out);
        }
        let mut max_wait_ms = if wanted.is_storing { STORE_GRACE_MS } else { MAX_WAIT_MS };
        max_wait_ms = max_wait_ms.min(wanted.due_ms.map_or(MAX_WAIT_MS, |due| (due - now_ms).max(1)));
        let id = out.id();
        self.fetcher(leader, |fetcher| (fetcher.in_flight, fetcher.is_urgent) = (Some(id), false));
        let fetch = Message::Fetch { id, broker_epoch, max_wait_ms, parts: wanted.parts };
        out.send(self.party(), Party::Node(leader), fetch);
        let patience = (max_wait_ms + CALL_GRACE_MS) * MS;
        self.after(patience, NodeTimer::FetchExpired { leader, id }, out);
    }

    fn wanted(&self, leader: usize, now_ms: i64, out: &mut Outbox) -> Wanted {
        let mut wanted = Wanted::default();
        let Some(process) = self.process.as_ref() else { return wanted };
        for (key, replica) in process.replicas.iter().enumerate() {
            let Some(replica) = replica else { continue };
            match replica.next_fetch(leader as i32, now_ms) {
                Some(NextFetch::Now(position)) => wanted.parts.push(FetchPart {
                    key,
                    position,
                    told_high_watermark: replica.told_high_watermark(),
                    max_bytes: out.random.between(200, 4_000) as usize,
                    log_start: if process.is_older { -1 } else { replica.log.start_offset() },
                    lacks_producers: !process.is_older && replica.log.lacks_producers(),
                }),
                Some(NextFetch::AfterFlush) => wanted.is_storing = true,
                Some(NextFetch::At(at)) => {
                    wanted.due_ms = Some(wanted.due_ms.map_or(at, |due: i64| due.min(at)));
                }
                Some(NextFetch::AfterMetadata) | None => {}
            }
        }
        wanted
    }

    fn plan_look(&mut self, leader: usize, fetcher: Fetcher, due: Option<Micros>, out: &mut Outbox) {
        let blocked = Some(fetcher.blocked_until).filter(|until| *until > out.now);
        let Some(at) = blocked.or(due) else { return };
        if fetcher.planned <= out.now || at < fetcher.planned {
            self.fetcher(leader, |fetcher| fetcher.planned = at);
            self.after(at - out.now, NodeTimer::FetchDue { leader }, out);
        }
    }

    fn fetcher(&mut self, leader: usize, change: impl FnOnce(&mut Fetcher)) {
        if let Some(fetcher) = self.process.as_mut().and_then(|process| process.fetchers.get_mut(leader)) {
            change(fetcher);
        }
    }

    pub(super) fn fetch_due(&mut self, leader: usize) {
        self.fetcher(leader, |fetcher| fetcher.planned = 0);
    }

    /// A partition follows this leader in a new epoch: it does not wait for a fetch that is parked there.
    pub(super) fn assigned(&mut self, leader: usize) {
        self.fetcher(leader, |fetcher| fetcher.is_urgent = true);
    }

    /// A leader's registration changed: an open connection may lead to where nobody is any more.
    pub(super) fn forget_connection(&mut self, leader: usize) {
        self.fetcher(leader, |fetcher| *fetcher = Fetcher::default());
    }

    /// The connection to a leader is gone, and with it the fetch that was under way there.
    pub(crate) fn connection_lost(&mut self, leader: usize, out: &mut Outbox) {
        let fetcher = self.process.as_ref().and_then(|process| process.fetchers.get(leader));
        if let Some(id) = fetcher.and_then(|fetcher| fetcher.in_flight)
            && !self.is_paused
        {
            self.fetch_expired(leader, id, out);
            self.pump_fetchers(out);
        }
    }

    pub(super) fn fetch_expired(&mut self, leader: usize, id: u64, out: &mut Outbox) {
        let now = out.now;
        self.fetcher(leader, |fetcher| {
            if fetcher.in_flight == Some(id) {
                fetcher.in_flight = None;
                fetcher.failures += 1;
                let (first, longest) = BACKOFF_MS;
                let pause = (first << (fetcher.failures - 1).min(10)).min(longest);
                fetcher.blocked_until = now + pause * MS;
            }
        });
    }

    pub(super) fn fetch_answered(
        &mut self,
        from: Party,
        id: u64,
        parts: Vec<(Key, FetchPosition, Served)>,
        out: &mut Outbox,
    ) {
        let Party::Node(leader) = from else { return };
        if self.is_of_earlier_process(id) {
            return;
        }
        self.fetcher(leader, |fetcher| {
            if fetcher.in_flight == Some(id) {
                *fetcher = Fetcher { is_urgent: fetcher.is_urgent, ..Fetcher::default() };
            }
        });
        let node = self.id;
        for (key, asked, served) in parts {
            let failure = self
                .change(key, out, |replica, now_ms, sparks| replica.answered(asked, served, now_ms, sparks));
            self.renew_points(out);
            if let Some(Some(failure)) = failure {
                out.note(|| format!("node {node}: the leader's answer was not applied to {key}: {failure}"));
            }
        }
    }
}
