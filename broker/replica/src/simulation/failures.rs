//! What fails and comes back in the simulation: processes, disks, and what the controller takes for one of them.

use super::cluster::Cluster;

impl Cluster {
    pub(super) fn crash(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if node.is_up {
            let survives = self.random.between(node.durable, node.log.len());
            node.crash(survives);
        }
    }

    pub(super) fn lose_disk(&mut self, at: usize) {
        if self.others_keep_disks(at) {
            self.nodes[at].lose_disk();
        }
    }

    /// Whether another replica that may be elected keeps its disk: nothing is promised when the last one loses it.
    fn others_keep_disks(&self, at: usize) -> bool {
        let meta = self.controller.now();
        let mut holders = meta.isr.iter().chain(&meta.elr).filter(|id| **id != at as i32);
        holders.any(|id| !self.nodes[*id as usize].disk_lost)
    }

    /// Whether the controller may take a broker out of the ISR: also what is left then must hold a disk.
    fn may_leave(&self, at: usize) -> bool {
        self.nodes[at].disk_lost
            || self.others_keep_disks(at)
            || self.nodes.iter().all(|node| !node.disk_lost)
    }

    /// The controller loses sight of a broker, whether it is up or not.
    pub(super) fn suspect(&mut self, at: usize) {
        if !self.controller.now().brokers[at].1 && self.may_leave(at) {
            self.controller.fence(at as i32);
        }
    }

    pub(super) fn restart(&mut self, at: usize) {
        let may_leave = self.may_leave(at);
        let node = &mut self.nodes[at];
        if !node.is_up && may_leave {
            node.broker_epoch = self.controller.register(at as i32, node.disk_lost);
            node.is_up = true;
            node.disk_lost = false;
        }
    }

    pub(super) fn unfence(&mut self, at: usize) {
        let (epoch, fenced) = self.controller.now().brokers[at];
        if fenced && self.nodes[at].is_up && self.nodes[at].broker_epoch == epoch {
            self.controller.unfence(at as i32);
        }
    }
}
