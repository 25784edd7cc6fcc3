//! Topics and partitions as the image holds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use klamm_wire::messages::partition_change_record::PartitionChangeRecord;
use klamm_wire::messages::partition_record::PartitionRecord;
use uuid::Uuid;

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    /// The id that survives nothing but this very topic: a topic created again has another.
    pub id: Uuid,
    /// Topic name.
    pub name: String,
    /// Partitions by index.
    pub partitions: BTreeMap<i32, Arc<Partition>>,
}

/// Who holds, leads and may lead a partition.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Partition {
    /// All replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// The in-sync replicas.
    pub isr: Vec<i32>,
    /// The leader's broker id, -1 when there is none.
    pub leader: i32,
    /// Rises with every change of the leader.
    pub leader_epoch: i32,
    /// Rises with every change of the partition; the compare-and-set token of AlterPartition.
    pub partition_epoch: i32,
    /// 0 recovered, 1 recovering after an unclean election (KIP-704).
    pub leader_recovery_state: i8,
    /// Eligible leader replicas: left the ISR while it was below min.insync.replicas, so that they hold everything below
    /// the high watermark (KIP-966).
    pub elr: Vec<i32>,
    /// Who was complete and stopped uncleanly since the ISR was last large enough, the latest at the end, and the last leader
    /// of a partition without one (KIP-966).
    pub last_known_elr: Vec<i32>,
    /// Replicas that a reassignment adds: they count only when it is complete.
    pub adding: Vec<i32>,
    /// Replicas that a reassignment removes when it is complete.
    pub removing: Vec<i32>,
}

impl Partition {
    /// Whether there is a leader.
    pub fn has_leader(&self) -> bool {
        self.leader >= 0
    }

    /// The replica that leads when all is well.
    pub fn preferred_leader(&self) -> Option<i32> {
        self.replicas.first().copied()
    }

    /// Whether a reassignment is under way (KIP-455).
    pub fn is_reassigning(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// The replicas from before a reassignment: what its cancellation goes back to.
    pub fn original_replicas(&self) -> Vec<i32> {
        self.replicas.iter().copied().filter(|id| !self.adding.contains(id)).collect()
    }

    /// The replicas that a reassignment arrives at.
    pub fn target_replicas(&self) -> Vec<i32> {
        self.replicas.iter().copied().filter(|id| !self.removing.contains(id)).collect()
    }

    /// How many replicas an ISR is measured against: those that a reassignment adds do not count before it is complete, or
    /// a partition would become unavailable by getting more replicas.
    pub fn replication_factor(&self) -> usize {
        self.replicas.len().saturating_sub(self.adding.len())
    }

    pub(super) fn from_record(record: &PartitionRecord) -> Partition {
        Partition {
            replicas: record.replicas.clone(),
            isr: record.isr.clone(),
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            leader_recovery_state: record.leader_recovery_state,
            elr: record.eligible_leader_replicas.clone().unwrap_or_default(),
            last_known_elr: record.last_known_elr.clone().unwrap_or_default(),
            adding: record.adding_replicas.clone(),
            removing: record.removing_replicas.clone(),
        }
    }

    pub(super) fn to_record(&self, topic_id: Uuid, partition_id: i32) -> PartitionRecord {
        let tagged = |ids: &Vec<i32>| if ids.is_empty() { None } else { Some(ids.clone()) };
        PartitionRecord {
            partition_id,
            topic_id,
            replicas: self.replicas.clone(),
            isr: self.isr.clone(),
            removing_replicas: self.removing.clone(),
            adding_replicas: self.adding.clone(),
            leader: self.leader,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            leader_recovery_state: self.leader_recovery_state,
            eligible_leader_replicas: tagged(&self.elr),
            last_known_elr: tagged(&self.last_known_elr),
            ..PartitionRecord::default()
        }
    }

    /// Applies a change: the leader epoch rises only when the record names a leader, the partition epoch always.
    pub(crate) fn change(&mut self, record: &PartitionChangeRecord) {
        let set = |target: &mut Vec<i32>, value: &Option<Vec<i32>>| {
            if let Some(value) = value {
                target.clone_from(value);
            }
        };
        set(&mut self.isr, &record.isr);
        set(&mut self.replicas, &record.replicas);
        set(&mut self.adding, &record.adding_replicas);
        set(&mut self.removing, &record.removing_replicas);
        set(&mut self.elr, &record.eligible_leader_replicas);
        set(&mut self.last_known_elr, &record.last_known_elr);
        if record.leader != NO_LEADER_CHANGE {
            self.leader = record.leader;
            self.leader_epoch = self.leader_epoch.saturating_add(1);
        }
        if record.leader_recovery_state != NO_RECOVERY_CHANGE {
            self.leader_recovery_state = record.leader_recovery_state;
        }
        self.partition_epoch = self.partition_epoch.saturating_add(1);
    }
}

/// `PartitionChangeRecord.Leader` that leaves the leader alone.
pub(crate) const NO_LEADER_CHANGE: i32 = -2;
/// `PartitionChangeRecord.LeaderRecoveryState` that leaves the state alone.
pub(crate) const NO_RECOVERY_CHANGE: i8 = -1;
