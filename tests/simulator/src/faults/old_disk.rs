//! A node comes back with an older copy of its disk (F25), which has the same directory id: only the broker epoch of a
//! clean-shutdown marker tells it from the disk itself.

use super::{Family, Fault};
use crate::node::DiskCopy;
use crate::queue::{Event, MS, Micros};
use crate::world::World;

impl World {
    /// Some disks are copied in the window that begins.
    pub(super) fn plan_copies(&mut self, length: Micros) {
        if !self.families.iter().any(|family| matches!(family, Family::OldDisk | Family::StaleBlock)) {
            return;
        }
        for node in 0..self.nodes.len() {
            if self.out.random.chance(300) {
                let at = self.out.now + self.out.random.between(0, length);
                self.queue.push(at, Event::Fault(Fault::CopyDisk { node }));
            }
        }
    }

    /// The controllers take an older copy for a disk that lost its unsynced tail. When two come back like that and nobody else
    /// is left, they elect the one that left last, so until this one has registered nobody else stops uncleanly.
    pub(super) fn put_old_disk(&mut self) -> bool {
        let (first, count) = (self.any_node(), self.nodes.len());
        let may_go = |node: &usize| {
            self.nodes[*node].copy.is_some() && self.is_spare(*node) && self.others_are_sure(*node)
        };
        let Some(node) = (0..count).map(|at| (first + at) % count).find(may_go) else { return false };
        let Some(DiskCopy { disk, recovery_points, .. }) = self.nodes[node].copy.take() else { return false };
        self.replace_disk(node, disk);
        self.alone_is_unclean(node);
        self.nodes[node].recovery_points = recovery_points;
        self.say(|| format!("node {node} comes back with an older copy of its disk"));
        let pause = self.out.random.between(50, 800) * MS;
        self.nodes[node].start_after(pause, &mut self.out);
        true
    }
}
