//! The follower of a partition: what to fetch next, and what an answer does to its log.

mod backoff;
mod event;

pub use event::{
    Answer, FetchError, FetchPosition, FollowerEffects, FollowerEvent, FollowerStart, LogAction, LogEnds,
    NextFetch,
};

use crate::divergence::EpochEnd;
use crate::mutation::{Mutation, is_active};
use backoff::backoff_ms;

/// State of a follower in one leader epoch; a new epoch gets a new state.
#[derive(Clone, Debug)]
pub struct FollowerState {
    leader: i32,
    leader_epoch: i32,
    log: LogEnds,
    high_watermark: i64,
    leader_high_watermark: i64,
    gate: Gate,
    failures: u32,
}

/// Whether the next fetch may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    Until(i64),
    NextMetadata,
}

impl FollowerState {
    /// Begins to follow. A log that holds records of a later epoch than the leader's shows that the metadata is old, and the
    /// leader perhaps one that was replaced: nothing is fetched, and so nothing truncated, before newer metadata.
    pub fn new(start: FollowerStart) -> Self {
        let is_old = start.log.last_epoch > start.leader_epoch && !is_active(Mutation::FollowsOldLeader);
        Self {
            leader: start.leader,
            leader_epoch: start.leader_epoch,
            high_watermark: start.high_watermark.min(start.log.end),
            leader_high_watermark: 0,
            log: start.log,
            gate: if is_old { Gate::NextMetadata } else { Gate::Open },
            failures: 0,
        }
    }

    /// The broker that is followed.
    pub fn leader(&self) -> i32 {
        self.leader
    }

    /// The leader's epoch.
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    /// Everything below is known to be committed.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// The leader's high watermark as of the last answer; it may lie past the own log's end.
    pub fn leader_high_watermark(&self) -> i64 {
        self.leader_high_watermark
    }

    /// The next fetch. It starts at the durable end: its offset tells the leader what this replica cannot lose.
    pub fn next_fetch(&self, now_ms: i64) -> NextFetch {
        match self.gate {
            Gate::NextMetadata => return NextFetch::AfterMetadata,
            Gate::Until(until) if now_ms < until => return NextFetch::At(until),
            Gate::Open | Gate::Until(_) => {}
        }
        if self.log.durable_end < self.log.end && !is_active(Mutation::FollowerFetchesBeforeFlush) {
            return NextFetch::AfterFlush;
        }
        NextFetch::Now(self.position())
    }

    /// Takes what happened at `now_ms`. Never allocates.
    pub fn step(&mut self, event: FollowerEvent, now_ms: i64) -> FollowerEffects {
        match event {
            FollowerEvent::LogChanged(log) => {
                self.log = log;
                self.effects(None, self.log.start)
            }
            FollowerEvent::AppendFailed => {
                self.back_off(now_ms);
                FollowerEffects::default()
            }
            FollowerEvent::Answered { asked, answer }
                if asked == self.position() || is_active(Mutation::StaleAnswerTaken) =>
            {
                self.answered(answer, now_ms)
            }
            FollowerEvent::Answered { .. } => FollowerEffects::default(),
        }
    }

    fn position(&self) -> FetchPosition {
        FetchPosition {
            offset: self.log.end,
            last_fetched_epoch: self.log.last_epoch,
            current_leader_epoch: self.leader_epoch,
        }
    }

    fn answered(&mut self, answer: Answer, now_ms: i64) -> FollowerEffects {
        match answer {
            Answer::Records { high_watermark, log_start_offset, is_empty } => {
                self.succeeded();
                self.leader_high_watermark = high_watermark;
                self.effects((!is_empty).then_some(LogAction::Append), log_start_offset)
            }
            Answer::Diverging { leader, own, leader_start } => self.diverged(leader, own, leader_start),
            Answer::OutOfRange { leader_start, leader_end } => {
                self.out_of_range(leader_start, leader_end, now_ms)
            }
            Answer::Error(FetchError::FencedLeaderEpoch) => {
                self.gate = Gate::NextMetadata;
                FollowerEffects::default()
            }
            Answer::Error(FetchError::Retriable) => {
                self.back_off(now_ms);
                FollowerEffects::default()
            }
        }
    }

    /// Truncates to where this log can still agree: the end of the largest own epoch that is not above the leader's,
    /// and not past the leader's end of it. The next fetch asks again from there. When the logs part before this one starts,
    /// as after an unclean election, nothing of it is left to agree on. Nor is there when they part where the leader's log starts
    /// or before: the leader cannot tell whether what lies below is the same, and its first batch, when records of it were
    /// deleted, begins below its start and so does not continue a log that was cut there.
    fn diverged(&mut self, leader: EpochEnd, own: Option<EpochEnd>, leader_start: i64) -> FollowerEffects {
        self.succeeded();
        let own_end = own.map_or(self.log.start, |own| own.end_offset);
        let to = match is_active(Mutation::TruncatesToHighWatermark) {
            true => self.high_watermark,
            false => leader.end_offset.min(own_end),
        };
        if to <= leader_start {
            return self.effects(Some(LogAction::RestartAt(leader_start)), self.log.start);
        }
        if to < self.log.start {
            return self.effects(Some(LogAction::RestartAt(to)), to);
        }
        self.effects(Some(LogAction::TruncateTo(to.min(self.log.end))), self.log.start)
    }

    /// The leader's log lies elsewhere: it was elected uncleanly and is shorter, or its retention went past this log.
    fn out_of_range(&mut self, leader_start: i64, leader_end: i64, now_ms: i64) -> FollowerEffects {
        if self.log.end < leader_start || leader_end < self.log.start {
            return self.effects(Some(LogAction::RestartAt(leader_start)), leader_start);
        }
        if leader_end < self.log.end {
            return self.effects(Some(LogAction::TruncateTo(leader_end)), self.log.start);
        }
        self.back_off(now_ms);
        FollowerEffects::default()
    }

    fn effects(&mut self, log: Option<LogAction>, log_start: i64) -> FollowerEffects {
        if let Some(LogAction::TruncateTo(end) | LogAction::RestartAt(end)) = log {
            self.high_watermark = self.high_watermark.min(end);
        }
        let known = self.leader_high_watermark.min(self.log.end);
        let is_cut = matches!(log, Some(LogAction::TruncateTo(_) | LogAction::RestartAt(_)));
        let advanced = known > self.high_watermark && !is_cut;
        if advanced {
            self.high_watermark = known;
        }
        let start = log_start.min(self.high_watermark);
        FollowerEffects {
            log,
            high_watermark: advanced.then_some(known),
            log_start: (start > self.log.start).then_some(start),
        }
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.gate = Gate::Open;
    }

    fn back_off(&mut self, now_ms: i64) {
        self.failures = self.failures.saturating_add(1);
        self.gate = Gate::Until(now_ms.saturating_add(backoff_ms(self.failures)));
    }
}

#[cfg(test)]
mod tests;
