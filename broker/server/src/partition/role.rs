//! The role of a replica and how metadata changes it.

use klamm_metadata::Partition as PartitionMeta;
use klamm_replica::{
    Acked, AlterPartitionOutcome, FollowerEvent, FollowerStart, FollowerState, LeaderEffects, LeaderEvent,
    LeaderStart, LeaderState, Membership,
};
use klamm_wire::ErrorCode;

use super::damage::Counted;
use super::error::Refused;
use super::fetcher::Follow;
use super::replica::State;
use super::wakeups::Wakeups;

/// Bytes that a new leader keeps in memory for readers at the tail, until the registry gives it its share.
const LEADER_TAIL: usize = 256 << 10;

/// What a replica does.
pub(super) enum Role {
    /// The partition has no leader, or the metadata has not named one yet.
    Idle,
    /// Leads.
    Leader(LeaderState),
    /// Follows.
    Follower(FollowerState),
    /// The log cannot be used any more.
    Offline,
    /// The replica was removed from this broker.
    Deleted,
}

impl Role {
    pub(super) fn led_epoch(&self) -> Option<i32> {
        match self {
            Self::Leader(leader) => Some(leader.leader_epoch()),
            _ => None,
        }
    }

    pub(super) fn leader_high_watermark(&self) -> Option<i64> {
        match self {
            Self::Follower(follower) => Some(follower.leader_high_watermark()),
            _ => None,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Offline | Self::Deleted)
    }

    /// The leader state, or the error that a client gets.
    pub(super) fn leader(&mut self) -> Result<&mut LeaderState, Refused> {
        match self {
            Self::Leader(leader) => Ok(leader),
            Self::Idle | Self::Follower(_) => Err(ErrorCode::NotLeaderOrFollower.into()),
            Self::Offline => Err(ErrorCode::KafkaStorageError.into()),
            Self::Deleted => Err(ErrorCode::UnknownTopicOrPartition.into()),
        }
    }

    fn epoch(&self) -> i32 {
        match self {
            Self::Leader(leader) => leader.leader_epoch(),
            Self::Follower(follower) => follower.leader_epoch(),
            Self::Idle | Self::Offline | Self::Deleted => -1,
        }
    }
}

/// What a replica needs to know of the metadata.
pub(super) struct Assignment<'a> {
    pub local: i32,
    pub partition: &'a PartitionMeta,
    pub min_isr: usize,
    /// Replicas whose brokers may be in the ISR, with the epochs of their registrations.
    pub eligible: Vec<(i32, i64)>,
    pub lag_time_max_ms: i64,
    /// Whether the metadata's registration of this broker is this very process. Before that, it may name as leader the
    /// process that was here before, whose followers fetched what this one perhaps no longer has.
    pub is_registered: bool,
    /// Whether the metadata has every leader epoch that there was before this process.
    pub knows_epochs: bool,
}

impl Assignment<'_> {
    fn membership(&self) -> Membership {
        Membership {
            partition_epoch: self.partition.partition_epoch,
            isr: self.partition.isr.clone(),
            elr: self.partition.elr.clone(),
            replicas: self.partition.replicas.clone(),
            min_isr: self.min_isr,
            eligible: self.eligible.clone(),
        }
    }
}

impl State {
    /// Takes over the metadata: a new leader epoch begins a new role, the same one updates it.
    pub(super) fn assign(&mut self, assignment: &Assignment<'_>, steady_ms: i64, wakeups: &mut Wakeups) {
        let meta = assignment.partition;
        if self.role.is_gone() {
            return;
        }
        let is_counted_on = [&meta.isr, &meta.elr].iter().any(|list| list.contains(&assignment.local));
        self.membership = Counted { leader_epoch: meta.leader_epoch, is_counted_on };
        if assignment.knows_epochs {
            self.compare_epochs(meta.leader_epoch, wakeups);
        }
        let leads = meta.leader == assignment.local && assignment.is_registered;
        let is_same_role = match &self.role {
            Role::Leader(_) => leads,
            Role::Follower(follower) => follower.leader() == meta.leader,
            _ => false,
        };
        if is_same_role && meta.leader_epoch == self.role.epoch() {
            self.step_leader(
                |leader| leader.step(LeaderEvent::MetadataChanged(assignment.membership()), steady_ms),
                wakeups,
            );
            return;
        }
        self.leave_role(ErrorCode::NotLeaderOrFollower, wakeups);
        if leads {
            self.lead(assignment, steady_ms, wakeups);
        } else if meta.leader >= 0 && meta.leader != assignment.local {
            self.follow(meta, wakeups);
        }
    }

    fn lead(&mut self, assignment: &Assignment<'_>, steady_ms: i64, wakeups: &mut Wakeups) {
        let leader_epoch = assignment.partition.leader_epoch;
        self.log.assign_epoch(leader_epoch, self.log.end_offset());
        let (leader, effects) = LeaderState::new(
            LeaderStart {
                local: assignment.local,
                leader_epoch,
                log_start: self.log.start_offset(),
                log_end: self.log.end_offset(),
                counted_end: self.counted_end(),
                high_watermark: self.high_watermark,
                lag_time_max_ms: assignment.lag_time_max_ms,
                membership: assignment.membership(),
            },
            steady_ms,
        );
        self.log.set_tail_cache_limit(LEADER_TAIL);
        self.role = Role::Leader(leader);
        self.take_effects(effects, wakeups);
        self.mark_dirty(wakeups);
    }

    fn follow(&mut self, meta: &PartitionMeta, wakeups: &mut Wakeups) {
        self.role = Role::Follower(FollowerState::new(FollowerStart {
            leader: meta.leader,
            leader_epoch: meta.leader_epoch,
            log: self.log_ends(),
            high_watermark: self.high_watermark,
        }));
        // Few read from a follower, and its records would keep the frames alive that they came in.
        self.log.set_tail_cache_limit(0);
        wakeups.follow = Some(Follow::Leader(meta.leader));
        self.mark_dirty(wakeups);
    }

    /// Ends the role: who waits for it is told.
    pub(super) fn leave_role(&mut self, error: ErrorCode, wakeups: &mut Wakeups) {
        if matches!(self.role, Role::Follower(_)) {
            wakeups.follow = Some(Follow::Nobody);
        }
        self.role = Role::Idle;
        self.acks.fail(error, &mut wakeups.released);
        self.consumers.take_into(&mut wakeups.parked);
        self.followers.take_into(&mut wakeups.parked);
    }

    /// Steps the leader state, if this replica leads, and takes the effects.
    pub(super) fn step_leader(
        &mut self,
        step: impl FnOnce(&mut LeaderState) -> LeaderEffects,
        wakeups: &mut Wakeups,
    ) {
        if let Role::Leader(leader) = &mut self.role {
            let effects = step(leader);
            self.take_effects(effects, wakeups);
        }
    }

    /// The log may have lost its head since it began at `was`: followers do not wait to hear of it.
    pub(super) fn start_moved(&mut self, was: i64, steady_ms: i64, wakeups: &mut Wakeups) {
        let start = self.log.start_offset();
        if start > was {
            self.step_leader(
                |leader| leader.step(LeaderEvent::LocalStartMoved { start }, steady_ms),
                wakeups,
            );
            self.followers.take_into(&mut wakeups.parked);
        }
    }

    /// The outcome of a proposal that was made in `leader_epoch`.
    pub(super) fn alter_partition_done(
        &mut self,
        leader_epoch: i32,
        outcome: AlterPartitionOutcome,
        steady_ms: i64,
        wakeups: &mut Wakeups,
    ) {
        if self.role.led_epoch() == Some(leader_epoch) {
            self.step_leader(
                |leader| leader.step(LeaderEvent::AlterPartitionDone(outcome), steady_ms),
                wakeups,
            );
        }
    }

    /// The log was written: what counts is further along.
    pub(super) fn stored(&mut self, steady_ms: i64, wakeups: &mut Wakeups) {
        let end = self.counted_end();
        self.acks.stored(end, &mut wakeups.released);
        self.step_leader(|leader| leader.step(LeaderEvent::LocalDurable { end }, steady_ms), wakeups);
        if let Role::Follower(follower) = &self.role {
            let (leader, high_watermark) = (follower.leader(), self.high_watermark);
            self.log_changed(steady_ms);
            self.wake_nearby(high_watermark, wakeups);
            if end == self.log.end_offset() {
                wakeups.follow = Some(Follow::Stored(leader));
            }
        }
    }

    /// Tells the follower state where the log stands now.
    pub(super) fn log_changed(&mut self, steady_ms: i64) {
        let ends = self.log_ends();
        if let Role::Follower(follower) = &mut self.role {
            // Whatever the effects are, they are read from the state.
            let _ = follower.step(FollowerEvent::LogChanged(ends), steady_ms);
            self.high_watermark = follower.high_watermark();
        }
    }

    fn take_effects(&mut self, effects: LeaderEffects, wakeups: &mut Wakeups) {
        if let Some(high_watermark) = effects.high_watermark {
            self.high_watermark = high_watermark;
            self.consumers.take_into(&mut wakeups.parked);
            let result = match &self.role {
                Role::Leader(leader)
                    if leader.is_acked(high_watermark) == Acked::NotEnoughReplicasAfterAppend =>
                {
                    Err(ErrorCode::NotEnoughReplicasAfterAppend)
                }
                _ => Ok(()),
            };
            self.acks.replicated(high_watermark, result, &mut wakeups.released);
        }
        if let Some(low_watermark) = effects.low_watermark {
            self.acks.deleted(low_watermark, &mut wakeups.released);
        }
        if effects.alter_partition.is_some() {
            wakeups.proposal = effects.alter_partition;
        }
    }
}
