//! The leader of a partition: in-sync replicas, followers' progress, the high watermark and the low watermark.

mod event;
mod isr;
mod progress;

pub use event::{
    Acked, AlterPartition, AlterPartitionOutcome, LeaderEffects, LeaderEvent, LeaderStart, Membership,
};
pub use isr::IsrState;
pub use progress::FollowerProgress;

use crate::mutation::{Mutation, is_active};

/// State of a leader in one leader epoch; a new epoch gets a new state.
#[derive(Clone, Debug)]
pub struct LeaderState {
    local: i32,
    leader_epoch: i32,
    epoch_start: i64,
    log_start: i64,
    log_end: i64,
    counted_end: i64,
    high_watermark: i64,
    low_watermark: i64,
    lag_time_max_ms: i64,
    partition_epoch: i32,
    isr: IsrState,
    /// A proposal that was handed out and whose outcome is not known. Outlives the pending state when metadata overtakes it.
    in_flight: Option<AlterPartition>,
    elr: Vec<i32>,
    min_isr: usize,
    eligible: Vec<(i32, i64)>,
    followers: Vec<FollowerProgress>,
}

impl LeaderState {
    /// Begins a leader epoch. The effects may carry a high watermark at once, e.g. when there is no follower.
    pub fn new(start: LeaderStart, now_ms: i64) -> (Self, LeaderEffects) {
        let members = start.membership;
        let mut state = Self {
            local: start.local,
            leader_epoch: start.leader_epoch,
            epoch_start: start.log_end,
            log_start: start.log_start,
            log_end: start.log_end,
            counted_end: start.counted_end.min(start.log_end),
            high_watermark: start.high_watermark.min(start.log_end),
            low_watermark: -1,
            lag_time_max_ms: start.lag_time_max_ms,
            partition_epoch: members.partition_epoch,
            isr: IsrState::Committed { isr: Vec::new() },
            in_flight: None,
            elr: Vec::new(),
            min_isr: 0,
            eligible: Vec::new(),
            followers: Vec::new(),
        };
        state.isr = IsrState::Committed { isr: members.isr.clone() };
        state.adopt_brokers(members, now_ms);
        let effects = state.effects(None, now_ms);
        (state, effects)
    }

    /// Takes what happened at `now_ms`. Allocates only for a proposal.
    pub fn step(&mut self, event: LeaderEvent, now_ms: i64) -> LeaderEffects {
        match event {
            LeaderEvent::LocalAppended { end } => {
                self.log_end = self.log_end.max(end);
                if is_active(Mutation::LeaderCountsUndurable) {
                    return self.local_durable(end, now_ms);
                }
                LeaderEffects::default()
            }
            LeaderEvent::LocalDurable { end } => self.local_durable(end, now_ms),
            LeaderEvent::LocalStartMoved { start } => {
                self.log_start = self.log_start.max(start);
                self.effects(None, now_ms)
            }
            LeaderEvent::FollowerFetched { replica, broker_epoch, fetch_offset, log_start } => {
                self.follower_fetched(replica, broker_epoch, (log_start, fetch_offset), now_ms)
            }
            LeaderEvent::MetadataChanged(members) => self.metadata_changed(members, now_ms),
            LeaderEvent::AlterPartitionDone(outcome) => self.alter_partition_done(outcome, now_ms),
            LeaderEvent::Tick => self.tick(now_ms),
        }
    }

    /// The epoch in which this broker leads.
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    /// The partition epoch that the ISR belongs to.
    pub fn partition_epoch(&self) -> i32 {
        self.partition_epoch
    }

    /// Offset at which the epoch began.
    pub fn epoch_start(&self) -> i64 {
        self.epoch_start
    }

    /// Everything below is committed and visible to consumers.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// No replica that may be elected holds anything below, -1 when that is not known. It never moves back.
    pub fn low_watermark(&self) -> i64 {
        self.low_watermark
    }

    /// The ISR, with the change under way.
    pub fn isr(&self) -> &IsrState {
        &self.isr
    }

    /// Progress of every other replica.
    pub fn followers(&self) -> &[FollowerProgress] {
        &self.followers
    }

    /// Whether the committed ISR is smaller than `min.insync.replicas`.
    pub fn is_under_min_isr(&self) -> bool {
        self.isr.committed().len() < self.effective_min_isr()
    }

    /// Whether the committed ISR lacks a replica.
    pub fn is_under_replicated(&self) -> bool {
        self.isr.committed().len() <= self.followers.len()
    }

    /// Whether an append with acks=all may begin; otherwise the answer is `NOT_ENOUGH_REPLICAS`.
    pub fn can_accept_acks_all(&self) -> bool {
        !self.is_under_min_isr()
    }

    /// Whether all records below `next_offset` are replicated as acks=all demands.
    pub fn is_acked(&self, next_offset: i64) -> Acked {
        match (self.high_watermark >= next_offset, self.is_under_min_isr()) {
            (false, _) => Acked::Pending,
            (true, false) => Acked::Acked,
            (true, true) => Acked::NotEnoughReplicasAfterAppend,
        }
    }

    /// Whether a fetch comes from a replica of this partition and not from an earlier process of it (KIP-903).
    pub fn accepts_fetch(&self, replica: i32, broker_epoch: i64) -> bool {
        let is_current =
            |f: &FollowerProgress| f.broker_epoch <= broker_epoch || is_active(Mutation::BrokerEpochIgnored);
        self.followers.iter().any(|f| f.replica == replica && is_current(f))
    }

    fn local_durable(&mut self, end: i64, now_ms: i64) -> LeaderEffects {
        self.counted_end = self.counted_end.max(end.min(self.log_end));
        self.effects(None, now_ms)
    }

    fn follower_fetched(
        &mut self,
        replica: i32,
        broker_epoch: i64,
        (log_start, fetch_offset): (i64, i64),
        now_ms: i64,
    ) -> LeaderEffects {
        let log_end = self.log_end;
        let Some(at) = self.followers.iter().position(|f| f.replica == replica) else {
            return LeaderEffects::default();
        };
        let follower = &mut self.followers[at];
        let is_stale = broker_epoch < follower.broker_epoch && !is_active(Mutation::BrokerEpochIgnored);
        if fetch_offset > log_end || is_stale {
            return LeaderEffects::default();
        }
        follower.fetched(broker_epoch, fetch_offset, log_end, now_ms);
        follower.log_start = log_start;
        let alter_partition = self.propose_expansion(at);
        self.effects(alter_partition, now_ms)
    }

    fn metadata_changed(&mut self, members: Membership, now_ms: i64) -> LeaderEffects {
        if members.partition_epoch > self.partition_epoch {
            self.partition_epoch = members.partition_epoch;
            self.isr = IsrState::Committed { isr: members.isr.clone() };
        }
        self.adopt_brokers(members, now_ms);
        let alter_partition = self.propose_any_expansion();
        self.effects(alter_partition, now_ms)
    }

    fn adopt_brokers(&mut self, members: Membership, now_ms: i64) {
        self.min_isr = members.min_isr;
        self.eligible = members.eligible;
        if members.partition_epoch >= self.partition_epoch {
            self.elr = members.elr;
        }
        let isr = self.isr.committed();
        self.followers.retain(|f| members.replicas.contains(&f.replica) || isr.contains(&f.replica));
        for &replica in members.replicas.iter().chain(isr).filter(|id| **id != self.local) {
            if !self.followers.iter().any(|f| f.replica == replica) {
                self.followers.push(FollowerProgress::new(replica, isr.contains(&replica), now_ms));
            }
        }
    }

    fn alter_partition_done(&mut self, outcome: AlterPartitionOutcome, now_ms: i64) -> LeaderEffects {
        let proposal = self.in_flight.take();
        let alter_partition = match outcome {
            AlterPartitionOutcome::Committed { leader_epoch, partition_epoch, isr } => {
                if leader_epoch == self.leader_epoch && partition_epoch > self.partition_epoch {
                    self.partition_epoch = partition_epoch;
                    // Who leaves the ISR may have become eligible, which only the metadata tells.
                    self.elr.extend(self.isr.committed().iter().filter(|id| !isr.contains(id)));
                    self.isr = IsrState::Committed { isr };
                }
                self.propose_any_expansion()
            }
            AlterPartitionOutcome::Retry => proposal.and_then(|proposal| self.propose_again(proposal)),
            AlterPartitionOutcome::AwaitMetadata => None,
            AlterPartitionOutcome::Revert => {
                self.isr.revert();
                None
            }
        };
        self.effects(alter_partition, now_ms)
    }

    fn tick(&mut self, now_ms: i64) -> LeaderEffects {
        let alter_partition = self.propose_shrink(now_ms).or_else(|| self.propose_any_expansion());
        self.effects(alter_partition, now_ms)
    }

    fn propose_shrink(&mut self, now_ms: i64) -> Option<AlterPartition> {
        if !self.isr.is_committed() || self.in_flight.is_some() {
            return None;
        }
        let isr = self.isr.committed();
        let lagging = self.followers.iter().filter(|f| {
            isr.contains(&f.replica) && !f.is_caught_up(self.log_end, self.lag_time_max_ms, now_ms)
        });
        let removing: Vec<i32> = lagging.map(|f| f.replica).collect();
        if removing.is_empty() {
            return None;
        }
        self.isr.shrink(removing);
        self.propose()
    }

    fn propose_any_expansion(&mut self) -> Option<AlterPartition> {
        (0..self.followers.len()).find_map(|at| self.propose_expansion(at))
    }

    fn propose_expansion(&mut self, at: usize) -> Option<AlterPartition> {
        if !self.isr.is_committed() || self.in_flight.is_some() {
            return None;
        }
        let follower = self.followers.get(at)?;
        if self.isr.committed().contains(&follower.replica) || !self.may_join(follower) {
            return None;
        }
        self.isr.expand(follower.replica);
        self.propose()
    }

    /// A follower may join at or past the high watermark and the start of the leader's epoch: then it holds everything
    /// that was committed before, also when the leader's own high watermark is behind. And it must have deleted what the
    /// leader has: elected later, it would bring back what was deleted. One that does not say where it starts is of a version
    /// that cannot.
    fn may_join(&self, follower: &FollowerProgress) -> bool {
        let past_start = follower.log_end >= self.epoch_start || is_active(Mutation::ExpandBelowEpochStart);
        let deleted = self.log_start.min(self.high_watermark);
        let has_deleted = follower.log_start < 0
            || follower.log_start >= deleted
            || is_active(Mutation::ExpandBelowLogStart);
        let reached = follower.log_end >= self.high_watermark && past_start && has_deleted;
        (reached || is_active(Mutation::ExpandBelowHighWatermark)) && self.is_eligible(follower)
    }

    fn is_eligible(&self, follower: &FollowerProgress) -> bool {
        let same_process =
            |epoch: i64| epoch == follower.broker_epoch || is_active(Mutation::BrokerEpochIgnored);
        self.eligible.iter().any(|(id, epoch)| *id == follower.replica && same_process(*epoch))
    }

    fn propose(&mut self) -> Option<AlterPartition> {
        let proposed = self.isr.proposed()?;
        self.in_flight = Some(AlterPartition {
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            new_isr: proposed.into_iter().map(|id| (id, self.known_broker_epoch(id))).collect(),
        });
        self.in_flight.clone()
    }

    /// The very same: the processes that it names are those that were seen to hold everything. One that has taken the place
    /// of such a process since may hold less, and the controller refuses it by the epoch of the one before.
    fn propose_again(&mut self, proposal: AlterPartition) -> Option<AlterPartition> {
        if is_active(Mutation::RetryNamesSuccessors) {
            return self.propose();
        }
        self.in_flight = (!self.isr.is_committed()).then_some(proposal);
        self.in_flight.clone()
    }

    fn known_broker_epoch(&self, replica: i32) -> i64 {
        if replica == self.local {
            return self.eligible.iter().find(|(id, _)| *id == replica).map_or(-1, |(_, epoch)| *epoch);
        }
        self.followers.iter().find(|f| f.replica == replica).map_or(-1, |f| f.broker_epoch)
    }

    fn effective_min_isr(&self) -> usize {
        self.min_isr.min(self.followers.len() + 1)
    }

    fn effects(&mut self, alter_partition: Option<AlterPartition>, now_ms: i64) -> LeaderEffects {
        LeaderEffects {
            high_watermark: self.advance_high_watermark(now_ms),
            low_watermark: self.advance_low_watermark(),
            alter_partition,
        }
    }

    /// The smallest log start of all that may be elected without loss: the maximal ISR and the ELR. Who joins them later has
    /// deleted as much.
    fn advance_low_watermark(&mut self) -> Option<i64> {
        let others = self.followers.iter().filter(|f| self.may_be_elected(f.replica));
        let candidate = others.map(|f| f.log_start).fold(self.log_start, i64::min);
        if candidate <= self.low_watermark {
            return None;
        }
        self.low_watermark = candidate;
        Some(candidate)
    }

    fn may_be_elected(&self, replica: i32) -> bool {
        self.isr.maximal_contains(replica)
            || (self.elr.contains(&replica) && !is_active(Mutation::DeletionIgnoresElr))
    }

    /// The smallest log end of the maximal ISR and of the followers about to join it. The latter are waited for because
    /// under steady load a follower would otherwise always find the high watermark just ahead of it.
    fn advance_high_watermark(&mut self, now_ms: i64) -> Option<i64> {
        if self.is_under_min_isr() && !is_active(Mutation::HighWatermarkBelowMinIsr) {
            return None;
        }
        let mut candidate = self.counted_end;
        for follower in &self.followers {
            if follower.log_end < candidate && self.counts(follower, now_ms) {
                candidate = follower.log_end;
            }
        }
        if candidate <= self.high_watermark {
            return None;
        }
        self.high_watermark = candidate;
        Some(candidate)
    }

    fn counts(&self, follower: &FollowerProgress, now_ms: i64) -> bool {
        if is_active(Mutation::HighWatermarkIgnoresPendingExpansion) {
            return self.isr.committed().contains(&follower.replica);
        }
        self.isr.maximal_contains(follower.replica)
            || (follower.is_caught_up(self.log_end, self.lag_time_max_ms, now_ms)
                && self.is_eligible(follower))
    }
}

#[cfg(test)]
mod tests;
