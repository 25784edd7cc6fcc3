//! An administrator's acts: other replicas for a partition, or back to those before.

use super::{Family, Fault};
use crate::client::Wish;
use crate::party::{ADMINISTRATOR, Party};
use crate::world::World;

impl World {
    /// Asks the active controller; false when there is nobody to ask, or an answer is awaited.
    pub(super) fn reassign(&mut self) -> bool {
        let key = self.admin.last().filter(|_| self.out.random.chance(500));
        let key = key.unwrap_or_else(|| self.out.random.index(self.topology.partitions()));
        let (topic, index) = self.topology.name(key);
        let (Some(controller), Some(partition)) =
            (self.quorum.leader, self.quorum.image.partition(topic, index).cloned())
        else {
            return false;
        };
        if self.admin.is_waiting(self.out.now) {
            return false;
        }
        let goes_back = partition.is_reassigning() && self.out.random.chance(400);
        let wish = if goes_back { Wish::Back } else { Wish::Replicas(self.other_replicas()) };
        self.say(|| format!("the administrator wants partition {key}: {wish:?}"));
        let id = self.out.id();
        let request = self.admin.ask(id, key, (topic, index), wish, self.out.now);
        self.out.send(ADMINISTRATOR, Party::Controller(controller), request);
        if self.out.random.chance(400) {
            // Who is removed may be wanted again before all have heard of it.
            self.later(2, 100, Fault::Strike { family: Family::Reassignment, node: None });
        }
        true
    }

    /// Any nodes in any order; as a rule three. One alone only while none has lost anything, and none does after that.
    fn other_replicas(&mut self) -> Vec<i32> {
        let mut left: Vec<i32> = (0..self.nodes.len() as i32).collect();
        let count = self.out.random.pick(&[3, 3, 3, 2, 2, 1]).unwrap_or(3);
        let count = if self.damaged.is_empty() { count } else { count.max(2) };
        self.trusts_one |= count == 1;
        (0..count).map(|_| left.swap_remove(self.out.random.index(left.len()))).collect()
    }
}
