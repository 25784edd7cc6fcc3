//! What must come true when nothing strikes any more: one leader, everybody has what it has, and a proposal is committed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use klamm_metadata::Image;
use klamm_quorum::QuorumStatus;
use tokio::time::sleep;
use uuid::Uuid;

use crate::history::ServerEvent;
use crate::raft::client::{CLIENTS, Client, Outcome, topic_id};
use crate::raft::world::World;
use crate::random::Random;

/// Virtual time in which the quorum comes to rest.
const REST: Duration = Duration::from_secs(20);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(20);
/// Between two attempts to have something committed.
const ATTEMPT: Duration = Duration::from_millis(200);

impl World {
    pub(super) async fn end(self: &Arc<Self>) {
        self.heal();
        let until = self.now() + i64::try_from(REST.as_micros()).unwrap_or(i64::MAX);
        let mut last = Client { number: CLIENTS, random: Random::new(0), world: self.clone() };
        let mut value = CLIENTS << 32;
        let mut missing = "nobody leads".to_owned();
        while self.now() < until && self.book.lock().violation.is_none() {
            let Some((leader, ..)) = self.leader() else {
                sleep(LOOK).await;
                continue;
            };
            value += 1;
            match last.propose(leader, value).await {
                Outcome::Committed => {}
                _ => {
                    sleep(ATTEMPT).await;
                    continue;
                }
            }
            match self.rests(until).await {
                Ok(()) => return self.compare(),
                Err(what) => missing = what,
            }
        }
        if self.book.lock().violation.is_none() {
            let reason = format!("{} s after the last fault: {missing}", REST.as_secs());
            self.tell(0, &not_at_rest(reason));
        }
    }

    fn heal(self: &Arc<Self>) {
        self.book.lock().say(self.now(), format_args!("all is healed"));
        self.network.lock().heal();
        for controller in 0..self.size {
            if let Some(running) = &self.controllers.lock()[controller].running {
                running.process.go_on();
            }
            self.start(controller);
        }
    }

    async fn rests(self: &Arc<Self>, until: i64) -> Result<(), String> {
        loop {
            let missing = match self.missing() {
                None => return Ok(()),
                Some(missing) => missing,
            };
            if self.now() >= until {
                return Err(missing);
            }
            sleep(LOOK).await;
        }
    }

    /// What keeps the quorum from being at rest.
    fn missing(&self) -> Option<String> {
        let Some((leader, _, quorum)) = self.leader() else { return Some("nobody leads".to_owned()) };
        let at_leader = quorum.status().borrow().clone();
        (0..self.size).find_map(|controller| {
            let Some((_, _, quorum)) = self.running(controller) else {
                return Some(format!("controller {controller} does not run"));
            };
            let here = quorum.status().borrow().clone();
            (!has_all(&here, &at_leader)).then(|| {
                format!(
                    "controller {controller} is at {:?} in epoch {}, leader {leader} at {:?} in epoch {} with voters {:?}",
                    here.log,
                    here.epoch,
                    at_leader.log,
                    at_leader.epoch,
                    at_leader.voters.iter().map(|voter| (voter.id, voter.log_end)).collect::<Vec<_>>()
                )
            })
        })
    }

    /// Compares what everybody has in the end with each other, and with what was told.
    fn compare(self: &Arc<Self>) {
        self.look();
        let Some((_, _, leader)) = self.leader() else {
            return self.tell(0, &not_at_rest("nobody leads when everything is compared".to_owned()));
        };
        let image = leader.image().borrow().clone();
        for controller in 0..self.size {
            let Some((_, _, quorum)) = self.running(controller) else {
                let reason = format!("controller {controller} does not run when everything is compared");
                return self.tell(controller, &not_at_rest(reason));
            };
            let own = quorum.image().borrow().clone();
            let is_prefix = own.to_snapshot() == image.to_snapshot();
            self.tell(
                controller,
                &ServerEvent::ImageApplied { node: controller, offset: own.offset(), is_prefix },
            );
        }
        self.tell_records(&image);
        let at = self.now();
        self.book.lock().end(at);
    }

    /// Of what was applied anywhere, at any time, what the image has in the end; it has all of it.
    fn tell_records(&self, image: &Image) {
        let has = |value: u64| image.topic_by_id(topic_id(value)).is_some();
        let applied = self.book.lock().applied.clone();
        let all = applied.iter().flat_map(|(offset, values)| values.iter().map(|value| (*offset, *value)));
        let (records, lost): (Vec<_>, Vec<_>) = all.partition(|(_, value)| has(*value));
        self.tell(0, &ServerEvent::FinalRecords { partition: 0, records: records.clone() });
        let applied: BTreeSet<Uuid> = records.iter().map(|(_, value)| topic_id(*value)).collect();
        let unseen: Vec<Uuid> =
            image.topics().map(|topic| topic.id).filter(|id| !applied.contains(id)).collect();
        let is_prefix = lost.is_empty() && unseen.is_empty();
        if !is_prefix {
            let at = self.now();
            self.book.lock().say(at, format_args!("applied, and gone: {lost:?}; never applied: {unseen:?}"));
        }
        self.tell(0, &ServerEvent::ImageApplied { node: 0, offset: image.offset(), is_prefix });
    }
}

fn not_at_rest(reason: String) -> ServerEvent {
    ServerEvent::NotAtRest { reason }
}

fn has_all(here: &QuorumStatus, leader: &QuorumStatus) -> bool {
    here.stopped.is_none()
        && (here.leader, here.epoch) == (leader.leader, leader.epoch)
        && here.log.applied == leader.log.log_end
        && here.log.committed == leader.log.log_end
}
