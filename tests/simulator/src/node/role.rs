//! The role of a replica and how metadata changes it.

use klamm_metadata::Partition as PartitionMeta;
use klamm_replica::{
    Acked, AlterPartitionOutcome, FollowerEvent, FollowerStart, FollowerState, LeaderEffects, LeaderEvent,
    LeaderStart, LeaderState, Membership,
};
use klamm_wire::ErrorCode;

use super::replica::{Replica, Role, Sparks};
use crate::mutation::{Mutation, is_active};
use crate::topology::LAG_MS;

/// What a replica needs to know of the metadata.
pub(super) struct Assignment<'a> {
    pub local: i32,
    pub partition: &'a PartitionMeta,
    pub min_isr: usize,
    /// Replicas whose brokers may be in the ISR, with the epochs of their registrations.
    pub eligible: Vec<(i32, i64)>,
    /// Whether the metadata's registration of this node is this very process.
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

impl Replica {
    /// Takes over the metadata: a new leader epoch begins a new role, the same one updates it.
    pub(super) fn assign(&mut self, assignment: &Assignment<'_>, now_ms: i64, sparks: &mut Sparks) {
        let meta = assignment.partition;
        if matches!(self.role, Role::Offline) {
            return;
        }
        let is_counted_on = [&meta.isr, &meta.elr].iter().any(|list| list.contains(&assignment.local));
        self.counted = (meta.leader_epoch, is_counted_on);
        if assignment.knows_epochs {
            self.compare_epochs(meta.leader_epoch);
        }
        let is_own = meta.leader == assignment.local;
        let leads = is_own && (assignment.is_registered || is_active(Mutation::LeadsBeforeRegistration));
        let is_same_role = match &self.role {
            Role::Leader(_) => leads,
            Role::Follower(follower) => follower.leader() == meta.leader,
            _ => false,
        };
        if is_same_role && meta.leader_epoch == self.role.epoch() {
            let membership = assignment.membership();
            self.step_leader(|leader| leader.step(LeaderEvent::MetadataChanged(membership), now_ms), sparks);
            return;
        }
        self.leave_role(ErrorCode::NotLeaderOrFollower, sparks);
        if leads {
            self.lead(assignment, now_ms, sparks);
        } else if meta.leader >= 0 && !is_own {
            self.follow(meta, sparks);
        }
    }

    fn lead(&mut self, assignment: &Assignment<'_>, now_ms: i64, sparks: &mut Sparks) {
        let leader_epoch = assignment.partition.leader_epoch;
        self.log.assign_epoch(leader_epoch, self.log.end_offset());
        let start = LeaderStart {
            local: assignment.local,
            leader_epoch,
            log_start: self.log.start_offset(),
            log_end: self.log.end_offset(),
            counted_end: self.counted_end(),
            high_watermark: self.high_watermark,
            lag_time_max_ms: LAG_MS,
            membership: assignment.membership(),
        };
        let (leader, effects) = LeaderState::new(start, now_ms);
        self.role = Role::Leader(leader);
        sparks.elected = Some(leader_epoch);
        self.take_effects(effects, sparks);
        self.mark_dirty(sparks);
    }

    fn follow(&mut self, meta: &PartitionMeta, sparks: &mut Sparks) {
        self.role = Role::Follower(FollowerState::new(FollowerStart {
            leader: meta.leader,
            leader_epoch: meta.leader_epoch,
            log: self.log_ends(),
            high_watermark: self.high_watermark,
        }));
        self.log.set_tail_cache_limit(0);
        sparks.assigned_to = usize::try_from(meta.leader).ok();
        self.mark_dirty(sparks);
    }

    /// Ends the role: who waits for it is told.
    pub(super) fn leave_role(&mut self, error: ErrorCode, sparks: &mut Sparks) {
        self.role = Role::Idle;
        self.release_acks(i64::MAX, Err(error), &mut sparks.released);
        self.release_deletions(i64::MAX, Err(error), &mut sparks.released);
        (sparks.wakes_consumers, sparks.wakes_followers) = (true, true);
    }

    /// Steps the leader state, if this replica leads, and takes the effects.
    pub(super) fn step_leader(
        &mut self,
        step: impl FnOnce(&mut LeaderState) -> LeaderEffects,
        sparks: &mut Sparks,
    ) {
        if let Role::Leader(leader) = &mut self.role {
            let effects = step(leader);
            self.take_effects(effects, sparks);
        }
    }

    /// The outcome of a proposal that was made in `leader_epoch`.
    pub(super) fn alter_partition_done(
        &mut self,
        leader_epoch: i32,
        outcome: AlterPartitionOutcome,
        now_ms: i64,
        sparks: &mut Sparks,
    ) {
        if self.role.led_epoch() == Some(leader_epoch) {
            self.step_leader(|leader| leader.step(LeaderEvent::AlterPartitionDone(outcome), now_ms), sparks);
        }
    }

    /// The log was written: what counts is further along.
    pub(super) fn stored(&mut self, now_ms: i64, sparks: &mut Sparks) {
        let end = self.counted_end();
        self.step_leader(|leader| leader.step(LeaderEvent::LocalDurable { end }, now_ms), sparks);
        if matches!(self.role, Role::Follower(_)) {
            self.log_changed(now_ms, sparks);
        }
    }

    /// Tells the follower state where the log stands now.
    pub(super) fn log_changed(&mut self, now_ms: i64, sparks: &mut Sparks) {
        let ends = self.log_ends();
        if let Role::Follower(follower) = &mut self.role {
            // Whatever the effects are, they are read from the state.
            let _ = follower.step(FollowerEvent::LogChanged(ends), now_ms);
            let known = follower.high_watermark();
            sparks.advanced |= known > self.high_watermark;
            self.high_watermark = known;
        }
    }

    fn take_effects(&mut self, effects: LeaderEffects, sparks: &mut Sparks) {
        if let Some(high_watermark) = effects.high_watermark {
            self.high_watermark = high_watermark;
            (sparks.advanced, sparks.wakes_consumers) = (true, true);
            sparks.wakes_followers = true;
            let result = match &self.role {
                Role::Leader(leader)
                    if leader.is_acked(high_watermark) == Acked::NotEnoughReplicasAfterAppend =>
                {
                    Err(ErrorCode::NotEnoughReplicasAfterAppend)
                }
                _ => Ok(()),
            };
            self.release_acks(high_watermark, result, &mut sparks.released);
        }
        if let Some(low_watermark) = effects.low_watermark {
            self.release_deletions(low_watermark, Ok(()), &mut sparks.released);
        }
        if effects.alter_partition.is_some() {
            sparks.proposal = effects.alter_partition;
        }
    }
}
