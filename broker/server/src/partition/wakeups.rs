//! What a change of a partition sets off, carried out once its lock is released.

use std::sync::Arc;

use klamm_log::EpochEntry;
use klamm_replica::{AlterPartition, AlterPartitionOutcome};
use tokio::sync::oneshot;

use super::acks::Released;
use super::alter::AlterPartitionItem;
use super::fetcher::Follow;
use super::parked::Taken;
use super::replica::Partition;

/// Things to do without the lock.
#[derive(Default)]
#[must_use]
pub(super) struct Wakeups {
    /// Who waited for an offset and is answered.
    pub released: Released,
    /// Fetches to wake.
    pub parked: Taken,
    /// The log has something to write.
    pub write: bool,
    /// A proposal for the controller.
    pub proposal: Option<AlterPartition>,
    /// The copy is damaged where this epoch begins, which nobody knew.
    pub impossible_epoch: Option<EpochEntry>,
    /// What the fetchers have to know.
    pub follow: Option<Follow>,
    /// The log directory failed.
    pub directory_failed: Option<String>,
}

impl Wakeups {
    pub(super) fn carry_out(self, partition: &Arc<Partition>) {
        if self.write {
            partition.shared.engine.enqueue(Arc::clone(partition));
        }
        for (done, result) in self.released {
            // It may have given up.
            let _ = done.send(result);
        }
        self.parked.iter().for_each(|parked| parked.wake());
        if let Some(follow) = self.follow {
            partition.shared.follow(partition, follow);
        }
        if let Some(proposal) = self.proposal {
            propose(partition, proposal);
        }
        if let Some(entry) = self.impossible_epoch {
            partition.epoch_is_impossible(entry);
        }
        if let Some(reason) = self.directory_failed {
            partition.shared.fail_directory(reason);
        }
    }
}

fn propose(partition: &Arc<Partition>, proposal: AlterPartition) {
    let (reply, outcome) = oneshot::channel();
    let leader_epoch = proposal.leader_epoch;
    let item = AlterPartitionItem {
        topic_id: partition.topic_id,
        partition: partition.index,
        leader_epoch,
        partition_epoch: proposal.partition_epoch,
        new_isr: proposal.new_isr,
        reply,
    };
    if partition.shared.alter_partition.send(item).is_ok() {
        let partition = Arc::clone(partition);
        partition.shared.runtime.clone().spawn(async move {
            // No answer means that the process stops.
            if let Ok(outcome) = outcome.await {
                answered(&partition, leader_epoch, outcome);
            }
        });
    }
}

fn answered(partition: &Arc<Partition>, leader_epoch: i32, outcome: AlterPartitionOutcome) {
    partition.change(|state, steady_ms, wakeups| {
        state.alter_partition_done(leader_epoch, outcome, steady_ms, wakeups)
    });
}
