//! The one place where a partition's replicas, leader, ISR and eligible leader replicas are decided (KIP-455, KIP-966).
//!
//! Someone wants another ISR or other replicas: a leader, a broker's departure or return, an operator. From that follow, in
//! this order:
//!
//! 0. The replicas. A reassignment is complete when all that it wants are in the ISR and one of them can lead; then the others
//!    leave the replicas and the ISR.
//! 1. The leader. The present one stays while it is unfenced and in the ISR. Else the first replica, in the order of the
//!    replica list, that is active and in the ISR; else one of the eligible leader replicas, which hold everything below
//!    the high watermark; else, when no eligible one exists at all, the last known one (4); else, only where the topic allows an
//!    unclean election, any active replica; else nobody.
//! 2. The ISR. A leader from outside is the whole ISR: nobody else is known to hold its log.
//! 3. The eligible leader replicas. While the ISR is smaller than min.insync.replicas the high watermark stands still, so
//!    whoever leaves stays eligible, unless it may have lost the tail of its log. An ISR that is large enough, or an
//!    unclean election, ends the eligibility of all.
//! 4. The last known eligible replicas: who was complete and stopped uncleanly since the ISR was last large enough, the latest
//!    at the end, and the last leader of a partition without one. The latest was complete when nobody else was any more. A
//!    replica that came back with an empty disk is none of them, as it has nothing, unless it is the only replica: where all
//!    seem to have lost their disks, who really has is not known here, and only an unclean election makes one of them lead.
//!
//! The leader epoch rises when the leader changes or is to give up what it knows of its followers, as when a replica is
//! removed, which may come back with an empty log; the partition epoch with every change.

use klamm_wire::messages::partition_change_record::PartitionChangeRecord;
use uuid::Uuid;

use super::assignment::Assignment;
use super::draft::TopicRules;
use crate::image::topic::{NO_LEADER_CHANGE, NO_RECOVERY_CHANGE};
use crate::mutation::{Mutation, is_active};
use crate::{Image, Partition};

/// `LeaderRecoveryState` of a partition whose leader holds all that was acknowledged.
pub(super) const RECOVERED: i8 = 0;
/// `LeaderRecoveryState` after an unclean election, until the leader says otherwise (KIP-704).
pub(super) const RECOVERING: i8 = 1;

/// Which leader is wanted when several could lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Election {
    /// The present one, if it can stay.
    KeepLeader,
    /// The first of the replica list, if it can lead.
    Preferred,
    /// The present one, and rather any replica than none.
    Unclean,
}

/// What is wanted of a partition, and what that depends on.
pub(super) struct PartitionChange<'a> {
    /// The brokers as they will be.
    pub(super) image: &'a Image,
    /// The partition as it is.
    pub(super) partition: &'a Partition,
    pub(super) rules: TopicRules,
    pub(super) election: Election,
    /// The replicas that are wanted.
    pub(super) assignment: Assignment,
    /// The ISR that is wanted.
    pub(super) isr: Vec<i32>,
    /// A broker that may have lost the end of its logs.
    pub(super) lost_tail: Option<i32>,
    /// That broker has come back with other disks.
    pub(super) lost_disk: bool,
    /// The leader says that it has recovered from an unclean election.
    pub(super) recovered: bool,
    /// The leader epoch rises also when the leader stays.
    pub(super) new_epoch: bool,
}

/// Who leads, and whether it may lack acknowledged records.
struct Elected {
    leader: i32,
    unclean: bool,
}

const NOBODY: Elected = Elected { leader: -1, unclean: false };

fn clean(leader: i32) -> Elected {
    Elected { leader, unclean: false }
}

fn unclean(leader: i32) -> Elected {
    Elected { leader, unclean: true }
}

impl PartitionChange<'_> {
    /// The record that brings the partition there; `None` when it is there already.
    pub(super) fn decide(mut self, topic_id: Uuid, partition_id: i32) -> Option<PartitionChangeRecord> {
        let old = self.partition;
        self.complete_reassignment();
        let elected = self.elect();
        if elected.leader >= 0 && !self.isr.contains(&elected.leader) {
            self.isr = vec![elected.leader];
            self.complete_reassignment();
        }
        let mut new = old.clone();
        new.leader = elected.leader;
        new.isr.clone_from(&self.isr);
        new.elr = if elected.unclean { Vec::new() } else { self.eligible_after(&new.isr) };
        new.last_known_elr = if elected.unclean { Vec::new() } else { self.last_known_after(&new) };
        if elected.unclean {
            new.leader_recovery_state = RECOVERING;
        } else if self.recovered {
            new.leader_recovery_state = RECOVERED;
        }
        Assignment { replicas: new.replicas, adding: new.adding, removing: new.removing } = self.assignment;
        let loses_replica = old.replicas.iter().any(|id| !new.replicas.contains(id))
            && !is_active(Mutation::RemovalKeepsEpoch);
        let change = difference(old, &new, topic_id, partition_id);
        if !(self.new_epoch || loses_replica) || new.leader != old.leader {
            return change;
        }
        let unchanged =
            || PartitionChangeRecord { partition_id, topic_id, ..PartitionChangeRecord::default() };
        Some(PartitionChangeRecord { leader: new.leader, ..change.unwrap_or_else(unchanged) })
    }

    fn complete_reassignment(&mut self) {
        if let Some(done) = self.assignment.completed_by(&self.isr).filter(|done| self.can_be_led(done)) {
            self.assignment = done;
        }
        self.isr.retain(|id| self.assignment.contains(*id));
    }

    /// Whether the leader stays, or somebody can take over.
    fn can_be_led(&self, assignment: &Assignment) -> bool {
        let stays = |id: i32| id == self.partition.leader && self.is_unfenced(id);
        assignment.replicas.iter().any(|id| self.is_active(*id) || stays(*id))
    }

    fn elect(&self) -> Elected {
        self.preferred()
            .or_else(|| self.present_leader())
            .or_else(|| self.isr_member())
            .or_else(|| self.eligible_replica())
            .or_else(|| self.last_leader())
            .or_else(|| self.any_replica())
            .unwrap_or(NOBODY)
    }

    fn preferred(&self) -> Option<Elected> {
        let wanted = self.election == Election::Preferred;
        let preferred = self.assignment.replicas.first().copied().filter(|_| wanted)?;
        (self.isr.contains(&preferred) && self.is_active(preferred)).then_some(clean(preferred))
    }

    /// A leader in controlled shutdown may stay when nobody can take over, so it only has to be unfenced.
    fn present_leader(&self) -> Option<Elected> {
        let leader = self.partition.leader;
        (self.is_unfenced(leader) && self.isr.contains(&leader)).then_some(clean(leader))
    }

    fn isr_member(&self) -> Option<Elected> {
        self.first_active(|id| self.isr.contains(&id)).map(clean)
    }

    fn eligible_replica(&self) -> Option<Elected> {
        self.first_active(|id| self.is_eligible(id)).map(clean)
    }

    fn last_leader(&self) -> Option<Elected> {
        let nobody_eligible =
            self.isr.is_empty() && !self.partition.elr.iter().any(|id| self.is_eligible(*id));
        let latest = self.last_known(true).last().copied().filter(|_| nobody_eligible)?;
        self.is_active(latest).then_some(unclean(latest))
    }

    fn any_replica(&self) -> Option<Elected> {
        let allowed = self.rules.unclean_election || self.election == Election::Unclean;
        self.first_active(|_| allowed && self.isr.is_empty()).map(unclean)
    }

    fn first_active(&self, wanted: impl Fn(i32) -> bool) -> Option<i32> {
        self.assignment.replicas.iter().copied().find(|id| wanted(*id) && self.is_active(*id))
    }

    fn is_unfenced(&self, id: i32) -> bool {
        self.image.broker(id).is_some_and(|broker| !broker.fenced)
    }

    fn is_active(&self, id: i32) -> bool {
        self.image.broker(id).is_some_and(|broker| broker.is_active())
    }

    fn is_eligible(&self, id: i32) -> bool {
        self.partition.elr.contains(&id) && self.assignment.contains(id) && self.lost_tail != Some(id)
    }

    fn is_enough(&self, isr: &[i32]) -> bool {
        isr.len() >= self.rules.min_isr.min(self.assignment.replication_factor())
    }

    fn last_known_after(&self, new: &Partition) -> Vec<i32> {
        if self.is_enough(&new.isr) {
            return Vec::new();
        }
        let mut known = self.last_known(!new.has_leader());
        if new.has_leader() {
            known.retain(|id| !new.isr.contains(id) && !new.elr.contains(id));
        }
        known
    }

    /// The last known eligible replicas with those of this change.
    fn last_known(&self, leader_leaves: bool) -> Vec<i32> {
        let old = self.partition;
        let mut known = old.last_known_elr.clone();
        if old.has_leader() && leader_leaves {
            known.retain(|id| *id != old.leader);
            known.push(old.leader);
        }
        let concerned = |id: &i32| old.isr.contains(id) || old.elr.contains(id) || known.contains(id);
        if let Some(id) = self.lost_tail.filter(concerned) {
            known.retain(|other| *other != id);
            // Of what nobody else can have, an empty disk is as good as any.
            if !self.lost_disk || self.assignment.replicas == [id] {
                known.push(id);
            }
        }
        known.retain(|id| self.assignment.contains(*id));
        known
    }

    /// The eligible leader replicas beside this ISR, in the order of the replica list.
    fn eligible_after(&self, isr: &[i32]) -> Vec<i32> {
        let old = self.partition;
        if self.is_enough(isr) && !is_active(Mutation::ElrKeptTooLong) {
            return Vec::new();
        }
        let complete = |id: &i32| old.elr.contains(id) || old.isr.contains(id);
        let lost = |id: i32| self.lost_tail == Some(id) && !is_active(Mutation::LostTailStaysEligible);
        let stays = |id: &i32| complete(id) && !isr.contains(id) && !lost(*id);
        self.assignment.replicas.iter().copied().filter(stays).collect()
    }
}

fn difference(
    old: &Partition,
    new: &Partition,
    topic_id: Uuid,
    partition_id: i32,
) -> Option<PartitionChangeRecord> {
    let changed = |old: &Vec<i32>, new: &Vec<i32>| (old != new).then(|| new.clone());
    let recovery = if old.leader_recovery_state == new.leader_recovery_state {
        NO_RECOVERY_CHANGE
    } else {
        new.leader_recovery_state
    };
    (old != new).then(|| PartitionChangeRecord {
        partition_id,
        topic_id,
        isr: changed(&old.isr, &new.isr),
        replicas: changed(&old.replicas, &new.replicas),
        adding_replicas: changed(&old.adding, &new.adding),
        removing_replicas: changed(&old.removing, &new.removing),
        leader: if old.leader == new.leader { NO_LEADER_CHANGE } else { new.leader },
        leader_recovery_state: recovery,
        eligible_leader_replicas: changed(&old.elr, &new.elr),
        last_known_elr: changed(&old.last_known_elr, &new.last_known_elr),
        ..PartitionChangeRecord::default()
    })
}
