//! What happens to partitions when a broker leaves: fenced, shutting down, or back with an uncertain disk.

use klamm_wire::messages::fence_broker_record::FenceBrokerRecord;

use super::draft::{Draft, PartitionTarget};
use crate::Partition;

/// How a broker leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    /// It is fenced; its logs are whole.
    Fenced,
    /// It is fenced, and did not stop cleanly: the tail of its logs may be lost.
    Unclean,
    /// It is fenced, and came back with other disks than it had: its logs are gone.
    DiskLost,
    /// It is about to stop and gives away what others can take.
    ShuttingDown,
}

/// Fences an unfenced broker and takes it out of every ISR.
pub(super) fn fence(draft: &mut Draft<'_>, id: i32) {
    let Some(broker) = draft.image().broker(id).filter(|broker| !broker.fenced).cloned() else { return };
    draft.push(FenceBrokerRecord { id, epoch: broker.epoch, ..FenceBrokerRecord::default() });
    leave(draft, id, Departure::Fenced);
}

/// Takes a broker out of the partitions that it must leave. The draft's image shows it as fenced or as shutting down
/// already. Returns whether any partition changed.
pub(super) fn leave(draft: &mut Draft<'_>, id: i32, departure: Departure) -> bool {
    let mut changed = false;
    for topic in draft.topics() {
        let mut affected = topic
            .partitions
            .iter()
            .filter(|(_, partition)| must_leave(draft, partition, id, departure))
            .peekable();
        if affected.peek().is_none() {
            continue;
        }
        let rules = draft.rules(&topic.name);
        let affected: Vec<_> = affected.collect();
        for (index, partition) in affected {
            let target = PartitionTarget {
                isr: partition.isr.iter().copied().filter(|member| *member != id).collect(),
                lost_tail: matches!(departure, Departure::Unclean | Departure::DiskLost).then_some(id),
                lost_disk: departure == Departure::DiskLost,
                ..PartitionTarget::unchanged(&topic, *index, partition, rules)
            };
            changed |= draft.change_partition(target);
        }
    }
    changed
}

fn must_leave(draft: &Draft<'_>, partition: &Partition, id: i32, departure: Departure) -> bool {
    let member = partition.leader == id || partition.isr.contains(&id);
    match departure {
        Departure::Fenced => member,
        Departure::Unclean => member || partition.elr.contains(&id),
        Departure::DiskLost => {
            member || partition.elr.contains(&id) || partition.last_known_elr.contains(&id)
        }
        Departure::ShuttingDown => member && others_remain(draft, partition, id),
    }
}

fn others_remain(draft: &Draft<'_>, partition: &Partition, id: i32) -> bool {
    let is_active = |member: &i32| draft.image().broker(*member).is_some_and(|broker| broker.is_active());
    partition.isr.iter().any(|member| *member != id && is_active(member))
}
