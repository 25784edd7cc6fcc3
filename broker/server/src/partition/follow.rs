//! The follower's side of a partition: what its fetcher asks for and what it does with the answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use klamm_records::BatchHeader;
use klamm_replica::{Answer, EpochEnd, FetchPosition, FollowerEffects, FollowerEvent, LogAction, NextFetch};
use tracing::{info, warn};

use super::damage::Damage;
use super::fetcher::LogHead;
use super::replica::{Partition, State};
use super::role::Role;
use super::throttle::Side;
use super::wakeups::Wakeups;

/// How often a replica that is held back by the throttle looks whether it still is.
const THROTTLE_LOOK_MS: i64 = 1_000;

/// What a leader answered for this partition.
#[derive(Clone, Debug)]
pub(super) enum LeaderAnswer {
    /// The logs agree; records may have come.
    Records { high_watermark: i64, log_start_offset: i64, records: Bytes, producers: Option<Bytes> },
    /// The logs part.
    Diverging { end: EpochEnd, log_start_offset: i64 },
    /// Anything else.
    Other(Answer),
}

impl LeaderAnswer {
    /// The same of a log that has changed since it was asked for.
    fn without_producers(self) -> Self {
        match self {
            Self::Records { high_watermark, log_start_offset, records, producers: _ } => {
                Self::Records { high_watermark, log_start_offset, records, producers: None }
            }
            other => other,
        }
    }
}

impl Partition {
    /// The next fetch from broker `leader`; `None` when this replica does not follow it.
    pub(super) fn next_fetch(&self, leader: i32, steady_ms: i64) -> Option<NextFetch> {
        let state = self.state.lock();
        match &state.role {
            Role::Follower(follower) if follower.leader() == leader => Some(match state.is_held_back() {
                true => NextFetch::At(steady_ms.saturating_add(500)),
                false => self.throttle_fetch(follower.next_fetch(steady_ms), steady_ms),
            }),
            _ => None,
        }
    }

    /// What the leader is told of this log beside the position.
    pub(super) fn log_head(&self) -> LogHead {
        let state = self.state.lock();
        LogHead { log_start: state.log.start_offset(), lacks_producers: state.log.lacks_producers() }
    }

    /// A replica that is throttled and out of sync waits while too much was fetched, but looks again now and then: the rate
    /// may be another.
    fn throttle_fetch(&self, next: NextFetch, steady_ms: i64) -> NextFetch {
        match next {
            NextFetch::Now(_) if self.is_throttled() => {
                let held = self.shared.throttle.held_until(Side::Follower, steady_ms);
                held.map_or(next, |until| {
                    NextFetch::At(until.min(steady_ms.saturating_add(THROTTLE_LOOK_MS)))
                })
            }
            _ => next,
        }
    }

    /// Counts fetched bytes against the throttle; true when that holds back what is throttled.
    pub(super) fn count_fetched(&self, answer: &LeaderAnswer, steady_ms: i64) -> bool {
        let LeaderAnswer::Records { records, .. } = answer else { return false };
        if records.is_empty() || !self.is_throttled() {
            return false;
        }
        self.shared.throttle.passed(Side::Follower, records.len(), steady_ms);
        self.shared.throttle.held_until(Side::Follower, steady_ms).is_some()
    }

    fn is_throttled(&self) -> bool {
        !self.is_in_sync.load(Ordering::Relaxed)
            && self.settings.load().follower_throttled.contains(self.index, self.shared.node_id)
    }

    /// Takes an answer to a fetch from `asked`.
    pub(super) fn answered(self: &Arc<Self>, asked: FetchPosition, answer: LeaderAnswer) {
        self.change(|state, steady_ms, wakeups| {
            if state.damage != Damage::None {
                return;
            }
            let answer_event = state.to_event(&answer);
            let Role::Follower(follower) = &mut state.role else { return };
            let is_current = follower.leader_epoch() == asked.current_leader_epoch
                && state.log.end_offset() == asked.offset;
            let effects = follower.step(FollowerEvent::Answered { asked, answer: answer_event }, steady_ms);
            let answer = if is_current { answer } else { answer.without_producers() };
            self.carry_out(state, effects, answer, steady_ms, wakeups);
        });
    }

    fn carry_out(
        &self,
        state: &mut State,
        effects: FollowerEffects,
        answer: LeaderAnswer,
        steady_ms: i64,
        wakeups: &mut Wakeups,
    ) {
        let high_watermark = state.high_watermark;
        let done = match effects.log {
            None => adopt_producers(state, &answer),
            Some(LogAction::Append) => append(state, answer, wakeups),
            Some(LogAction::TruncateTo(end)) => self.truncate(state, end),
            Some(LogAction::RestartAt(start)) => self.restart(state, start),
        };
        let done = done.and_then(|()| match effects.log_start {
            Some(start) if start > state.log.start_offset() && start <= state.log.end_offset() => {
                state.log.advance_start_offset(start).map_err(|e| e.to_string())
            }
            _ => Ok(()),
        });
        state.log_changed(steady_ms);
        if let Some(reason) = state.log.offline_reason().map(str::to_owned) {
            let _idle = self.failed(state, &reason, wakeups);
            return;
        }
        if let Err(error) = done {
            warn!(topic = %self.topic, partition = self.index, %error, "the leader's answer was not applied");
            let Role::Follower(follower) = &mut state.role else { return };
            // Only the pause counts.
            let _ = follower.step(FollowerEvent::AppendFailed, steady_ms);
        }
        if let Role::Follower(follower) = &state.role {
            state.high_watermark = follower.high_watermark();
            state.wake_nearby(high_watermark, wakeups);
        }
    }

    fn truncate(&self, state: &mut State, end: i64) -> Result<(), String> {
        let (from, high_watermark) = (state.log.end_offset(), state.high_watermark);
        if end < high_watermark {
            warn!(topic = %self.topic, partition = self.index, from, to = end, high_watermark, "truncated below the high watermark");
        } else if end < from {
            info!(topic = %self.topic, partition = self.index, from, to = end, "truncated to the leader's log");
        }
        state.is_overstated = true;
        state.log.truncate_to(end).map_err(|e| e.to_string())
    }

    fn restart(&self, state: &mut State, start: i64) -> Result<(), String> {
        let (from, end) = (state.log.start_offset(), state.log.end_offset());
        warn!(topic = %self.topic, partition = self.index, from, end, start, "the leader's log has nothing in common with this one; starting over there");
        state.is_overstated = true;
        // The log gets a segment before its next write.
        let retracted = self.shared.checkpoints.retract(&self.topic, self.index, start, start);
        retracted.map_err(|e| e.to_string())?;
        state.log.reset_to(start).map_err(|e| e.to_string())
    }
}

fn append(state: &mut State, answer: LeaderAnswer, wakeups: &mut Wakeups) -> Result<(), String> {
    let LeaderAnswer::Records { records, log_start_offset, .. } = &answer else { return Ok(()) };
    let start = state.log.start_offset();
    begin_inside_batch(state, records, *log_start_offset)?;
    adopt_producers(state, &answer)?;
    state.log.append_as_follower(records.clone()).map_err(|e| e.to_string())?;
    state.mark_dirty(wakeups);
    if start > state.log.start_offset() {
        state.log.advance_start_offset(start).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// A log that starts over behind deleted records is told who produced those: nothing that it will hold says so.
fn adopt_producers(state: &mut State, answer: &LeaderAnswer) -> Result<(), String> {
    let LeaderAnswer::Records { producers: Some(producers), .. } = answer else { return Ok(()) };
    match !state.log.lacks_producers() || state.log.adopt_producers(producers) {
        true => Ok(()),
        false => Err("what the leader says of the producers is damaged".to_owned()),
    }
}

/// An empty log may begin in the middle of a batch, when records were deleted on the leader. So does one that ends where the
/// leader's starts: all that it holds is deleted there, and in the leader's batch lies something else. The batch comes as a whole,
/// so the log is made to begin with it, and its first records stay hidden.
fn begin_inside_batch(state: &mut State, records: &Bytes, leader_start: i64) -> Result<(), String> {
    let (start, end) = (state.log.start_offset(), state.log.end_offset());
    if start < end && leader_start < end {
        return Ok(());
    }
    let first = BatchHeader::parse(records).map_err(|e| e.to_string())?;
    if first.base_offset < end && first.last_offset() >= end {
        state.is_overstated = true;
        state.log.reset_to(first.base_offset).map_err(|e| e.to_string())?;
    }
    Ok(())
}

impl State {
    /// Whether nothing is fetched: there is no space, or what is here must be cut first.
    fn is_held_back(&self) -> bool {
        self.disk_full || self.damage != Damage::None
    }

    fn to_event(&self, answer: &LeaderAnswer) -> Answer {
        match answer {
            LeaderAnswer::Records { high_watermark, log_start_offset, records, .. } => Answer::Records {
                high_watermark: *high_watermark,
                log_start_offset: *log_start_offset,
                is_empty: records.is_empty(),
            },
            LeaderAnswer::Diverging { end: leader, log_start_offset } => {
                let (epoch, end_offset) = self.log.epoch_end_offset(leader.epoch);
                let own = (epoch >= 0 && epoch <= leader.epoch).then_some(EpochEnd { epoch, end_offset });
                Answer::Diverging { leader: *leader, own, leader_start: *log_start_offset }
            }
            LeaderAnswer::Other(answer) => *answer,
        }
    }
}
