//! The follower's side of a partition: what its fetcher asks for and what it does with the answers.

use bytes::Bytes;
use klamm_records::BatchHeader;
use klamm_replica::{
    Answer, EpochEnd, FetchError, FetchPosition, FollowerEffects, FollowerEvent, LogAction, NextFetch,
};
use klamm_wire::ErrorCode;

use super::damage::Damage;
use super::replica::{Replica, Role, Sparks};
use crate::message::Served;
use crate::mutation::{Mutation, is_active};

impl Replica {
    /// The next fetch from `leader`; `None` when this replica does not follow it.
    pub(super) fn next_fetch(&self, leader: i32, now_ms: i64) -> Option<NextFetch> {
        match &self.role {
            Role::Follower(follower) if follower.leader() == leader => {
                Some(match self.disk_full || self.damage != Damage::None {
                    true => NextFetch::At(now_ms + 500),
                    false => follower.next_fetch(now_ms),
                })
            }
            _ => None,
        }
    }

    /// The high watermark that the leader told last.
    pub(super) fn told_high_watermark(&self) -> i64 {
        match &self.role {
            Role::Follower(follower) => follower.leader_high_watermark(),
            _ => i64::MIN,
        }
    }

    /// Takes an answer to a fetch from `asked`; returns what went wrong.
    pub(super) fn answered(
        &mut self,
        asked: FetchPosition,
        served: Served,
        now_ms: i64,
        sparks: &mut Sparks,
    ) -> Option<String> {
        if self.damage != Damage::None {
            return None;
        }
        let answer = self.to_answer(&served);
        let Role::Follower(follower) = &mut self.role else { return None };
        let is_current =
            follower.leader_epoch() == asked.current_leader_epoch && self.log.end_offset() == asked.offset;
        let effects = follower.step(FollowerEvent::Answered { asked, answer }, now_ms);
        if is_current {
            self.adopt_producers(&served);
        }
        let done = self.apply(effects, served, sparks);
        self.log_changed(now_ms, sparks);
        let failure = done.err();
        if failure.is_some()
            && let Role::Follower(follower) = &mut self.role
        {
            // Only the pause counts.
            let _ = follower.step(FollowerEvent::AppendFailed, now_ms);
        }
        self.checked_to = self.checked_to.min(self.log.end_offset());
        if let Some(reason) = self.log.offline_reason().map(str::to_owned)
            && !is_active(Mutation::TruncationFailureIgnored)
        {
            self.go_offline(&reason, sparks);
        }
        failure
    }

    fn apply(&mut self, effects: FollowerEffects, served: Served, sparks: &mut Sparks) -> Result<(), String> {
        let done = match effects.log {
            None => Ok(()),
            Some(LogAction::Append) => self.append_served(served, sparks),
            Some(LogAction::TruncateTo(end)) => {
                self.checked_to = self.checked_to.min(end);
                self.outdated_point = true;
                self.log.truncate_to(end).map_err(|e| e.to_string())
            }
            Some(LogAction::RestartAt(start)) => {
                self.checked_to = self.checked_to.min(start);
                self.outdated_point = true;
                self.log.reset_to(start).map_err(|e| e.to_string())
            }
        };
        done.and_then(|()| match effects.log_start {
            Some(start) if start > self.log.start_offset() && start <= self.log.end_offset() => {
                self.log.advance_start_offset(start).map_err(|e| e.to_string())
            }
            _ => Ok(()),
        })
    }

    fn append_served(&mut self, served: Served, sparks: &mut Sparks) -> Result<(), String> {
        let Served::Records { bytes, log_start, .. } = &served else { return Ok(()) };
        let start = self.log.start_offset();
        self.begin_inside_batch(bytes, *log_start)?;
        self.adopt_producers(&served);
        self.log.append_as_follower(bytes.clone()).map_err(|e| e.to_string())?;
        self.mark_dirty(sparks);
        if start > self.log.start_offset() {
            self.log.advance_start_offset(start).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// A log that starts over behind deleted records is told who produced those.
    fn adopt_producers(&mut self, served: &Served) {
        if let Served::Records { producers: Some(producers), .. } = served
            && self.log.lacks_producers()
            && !is_active(Mutation::ProducersNotHandedOver)
        {
            self.log.adopt_producers(producers);
        }
    }

    /// An empty log may begin in the middle of a batch, and so may one of which the leader has deleted everything.
    fn begin_inside_batch(&mut self, records: &Bytes, leader_start: i64) -> Result<(), String> {
        let (start, end) = (self.log.start_offset(), self.log.end_offset());
        if start < end && leader_start < end {
            return Ok(());
        }
        let first = BatchHeader::parse(records).map_err(|e| e.to_string())?;
        if first.base_offset < end && first.last_offset() >= end {
            self.checked_to = self.checked_to.min(first.base_offset);
            self.outdated_point = true;
            self.log.reset_to(first.base_offset).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn to_answer(&self, served: &Served) -> Answer {
        match served {
            Served::Records { bytes, high_watermark, log_start, .. } => Answer::Records {
                high_watermark: *high_watermark,
                log_start_offset: *log_start,
                is_empty: bytes.is_empty(),
            },
            Served::Diverging { end: leader, log_start } => {
                let (epoch, end_offset) = self.log.epoch_end_offset(leader.epoch);
                let own = (epoch >= 0 && epoch <= leader.epoch).then_some(EpochEnd { epoch, end_offset });
                Answer::Diverging { leader: *leader, own, leader_start: *log_start }
            }
            Served::OutOfRange { start, end } => {
                Answer::OutOfRange { leader_start: *start, leader_end: *end }
            }
            Served::Refused(ErrorCode::FencedLeaderEpoch) => Answer::Error(FetchError::FencedLeaderEpoch),
            Served::Refused(_) => Answer::Error(FetchError::Retriable),
        }
    }
}
