//! Copies of a node's disk, as a snapshot of a volume is one.

use klamm_log::SimDisk;

use super::Node;
use crate::outbox::Outbox;

/// What a disk held.
pub(crate) struct DiskCopy {
    pub(crate) disk: SimDisk,
    pub(crate) recovery_points: Vec<i64>,
    /// The disk has been replaced since.
    pub(crate) is_of_another: bool,
}

impl Node {
    /// Puts aside what would be left if the machine lost power now; it does not stop for that.
    pub(crate) fn copy_disk(&mut self, out: &mut Outbox) {
        let disk = self.disk.copy(out.random.next());
        disk.power_loss();
        self.keep(disk, out);
    }

    /// Puts aside what a process left that has stopped, with the marker that it stopped cleanly if it did.
    pub(super) fn copy_stopped_disk(&mut self, out: &mut Outbox) {
        let disk = self.disk.copy(out.random.next());
        self.keep(disk, out);
    }

    fn keep(&mut self, disk: SimDisk, out: &mut Outbox) {
        let node = self.id;
        out.note(|| format!("the disk of node {node} is copied"));
        self.copy =
            Some(DiskCopy { disk, recovery_points: self.recovery_points.clone(), is_of_another: false });
    }
}
