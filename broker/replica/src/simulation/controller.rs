//! A model of the controller: ISR, eligible leader replicas (KIP-966), broker epochs (KIP-903) and elections.

use crate::leader::{AlterPartition, AlterPartitionOutcome};

/// The partition and its brokers after one decision.
#[derive(Clone, Debug)]
pub(super) struct Meta {
    pub leader: i32,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
    pub isr: Vec<i32>,
    pub elr: Vec<i32>,
    /// Epoch of each broker's registration and whether it is fenced, by id.
    pub brokers: Vec<(i64, bool)>,
}

impl Meta {
    pub(super) fn eligible(&self) -> Vec<(i32, i64)> {
        let all = self.brokers.iter().enumerate();
        all.filter(|(_, (_, fenced))| !fenced).map(|(id, (epoch, _))| (id as i32, *epoch)).collect()
    }

    fn is_active(&self, id: i32) -> bool {
        !self.brokers[id as usize].1
    }
}

/// Decides one change after another; every broker learns them in this order.
pub(super) struct Controller {
    pub history: Vec<Meta>,
    pub min_isr: usize,
    next_broker_epoch: i64,
}

impl Controller {
    pub(super) fn new(replicas: usize, min_isr: usize) -> Self {
        let isr: Vec<i32> = (0..replicas as i32).collect();
        let brokers = (0..replicas as i64).map(|id| (id, false)).collect();
        let first = Meta { leader: 0, leader_epoch: 1, partition_epoch: 1, isr, elr: Vec::new(), brokers };
        Self { history: vec![first], min_isr, next_broker_epoch: 100 }
    }

    pub(super) fn now(&self) -> &Meta {
        &self.history[self.history.len() - 1]
    }

    /// Fences a broker: it leaves the ISR and leads nothing.
    pub(super) fn fence(&mut self, id: i32) {
        let mut meta = self.now().clone();
        meta.brokers[id as usize].1 = true;
        self.remove_from_isr(&mut meta, id);
        self.commit(meta);
    }

    /// A new process registers, fenced at first. One whose disk is empty holds nothing of what it once held.
    pub(super) fn register(&mut self, id: i32, disk_lost: bool) -> i64 {
        let mut meta = self.now().clone();
        self.next_broker_epoch += 1;
        meta.brokers[id as usize] = (self.next_broker_epoch, true);
        self.remove_from_isr(&mut meta, id);
        if disk_lost {
            meta.elr.retain(|member| *member != id);
        }
        self.commit(meta);
        self.next_broker_epoch
    }

    pub(super) fn unfence(&mut self, id: i32) {
        let mut meta = self.now().clone();
        meta.brokers[id as usize].1 = false;
        self.commit(meta);
    }

    pub(super) fn alter_partition(&mut self, from: i32, proposal: &AlterPartition) -> AlterPartitionOutcome {
        let mut meta = self.now().clone();
        let is_current = proposal.partition_epoch == meta.partition_epoch;
        if meta.leader != from || proposal.leader_epoch != meta.leader_epoch || !is_current {
            return AlterPartitionOutcome::AwaitMetadata;
        }
        let may_be_in_isr = |(id, epoch): &(i32, i64)| {
            meta.is_active(*id) && (*epoch == -1 || *epoch == meta.brokers[*id as usize].0)
        };
        if !proposal.new_isr.iter().all(may_be_in_isr) {
            return AlterPartitionOutcome::Revert;
        }
        let isr: Vec<i32> = proposal.new_isr.iter().map(|(id, _)| *id).collect();
        let removed: Vec<i32> = meta.isr.iter().copied().filter(|id| !isr.contains(id)).collect();
        meta.isr = isr.clone();
        self.keep_eligible(&mut meta, &removed);
        self.commit(meta);
        let now = self.now();
        AlterPartitionOutcome::Committed {
            leader_epoch: now.leader_epoch,
            partition_epoch: now.partition_epoch,
            isr,
        }
    }

    fn remove_from_isr(&self, meta: &mut Meta, id: i32) {
        if meta.isr.contains(&id) {
            meta.isr.retain(|member| *member != id);
            self.keep_eligible(meta, &[id]);
        }
        if meta.leader == id {
            meta.leader = -1;
        }
    }

    fn keep_eligible(&self, meta: &mut Meta, removed: &[i32]) {
        if meta.isr.len() >= self.min_isr {
            meta.elr.clear();
            return;
        }
        meta.elr.extend(removed);
        let isr = &meta.isr;
        meta.elr.retain(|id| !isr.contains(id));
    }

    fn commit(&mut self, mut meta: Meta) {
        if meta.leader < 0 {
            let elected = meta.isr.iter().chain(&meta.elr).copied().find(|id| meta.is_active(*id));
            if let Some(leader) = elected {
                meta.leader = leader;
                meta.leader_epoch += 1;
                if !meta.isr.contains(&leader) {
                    meta.isr = vec![leader];
                    meta.elr.retain(|id| *id != leader);
                }
            }
        }
        meta.partition_epoch += 1;
        self.history.push(meta);
    }
}
