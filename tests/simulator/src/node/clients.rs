//! Small questions of clients: where partitions are led, where they end.

use klamm_wire::ErrorCode;

use super::Node;
use crate::message::{Key, Leadership, Message};
use crate::outbox::Outbox;
use crate::party::Party;

impl Node {
    /// Metadata as this node knows it.
    pub(super) fn metadata(&mut self, from: Party, id: u64, out: &mut Outbox) {
        let Some(process) = self.process.as_ref() else { return };
        let leadership = |key| {
            let (topic, index) = self.topology.name(key);
            let partition = process.image.partition(topic, index);
            partition.map_or(Leadership { leader: None, epoch: -1 }, |partition| Leadership {
                leader: usize::try_from(partition.leader).ok(),
                epoch: partition.leader_epoch,
            })
        };
        let partitions = (0..self.topology.partitions()).map(leadership).collect();
        out.send(self.party(), from, Message::MetadataAnswer { id, partitions });
    }

    /// ListOffsets for the latest offset.
    pub(super) fn list(&mut self, from: Party, id: u64, key: Key, leader_epoch: i32, out: &mut Outbox) {
        let listed = self.change(key, out, |replica, _, _| replica.latest(leader_epoch));
        let outcome = listed.unwrap_or(Err(ErrorCode::UnknownTopicOrPartition));
        out.send(self.party(), from, Message::Listed { id, outcome });
    }
}
