//! S4: leader epochs, partition epochs, broker epochs and controller epochs rise, restarts or not; and a controller's disk
//! that is not replaced keeps its vote, its snapshot and what it has synced of its log. What a process knows to be committed grows; the next one learns it
//! anew, as a leader may have committed what only others had synced.

use std::collections::BTreeMap;

use klamm_quorum::LogPositions;

use super::{Invariant, Verdict};
use crate::history::ServerEvent;

#[derive(Default)]
pub(super) struct EpochsRise {
    partitions: BTreeMap<usize, (i32, i32)>,
    brokers: BTreeMap<usize, i64>,
    controller: i32,
    /// Vote and committed position by controller and disk.
    recorded: BTreeMap<(usize, u32), Recorded>,
}

/// Controller epoch, who has the vote, and whether that was elected.
type Vote = (i32, u64, bool);

#[derive(Clone, Copy, Default)]
struct Recorded {
    process: u32,
    vote: Option<Vote>,
    committed: i64,
    kept: (i64, i64),
}

impl EpochsRise {
    fn controller_stands(
        &mut self,
        disk: (usize, u32),
        process: u32,
        vote: Option<Vote>,
        log: &LogPositions,
    ) -> Verdict {
        let known = self.recorded.entry(disk).or_default();
        let before = *known;
        *known = Recorded { process, vote, committed: log.committed, kept: (log.purged, log.snapshot) };
        if voted_twice(before.vote, vote) {
            return Err(format!(
                "controller and disk {disk:?} had voted {:?}, and now {vote:?}",
                before.vote
            ));
        }
        // The position itself is a cache that a loss of power may take; the entries are not.
        let goes_back = process == before.process && log.committed < before.committed;
        if goes_back || log.purged < before.kept.0 || log.snapshot < before.kept.1 {
            return Err(format!(
                "controller and disk {disk:?} had committed {}, and purged and snapshot {:?}; now it has {log:?}",
                before.committed, before.kept
            ));
        }
        Ok(())
    }
}

/// Who voted for one and hears that another was elected in the same epoch follows that one; from then on nothing of that epoch
/// changes.
fn voted_twice(old: Option<Vote>, new: Option<Vote>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => {
            let is_another = new.1 != old.1;
            let contradicts = old.2 && (is_another || !new.2) || is_another && !new.2;
            new.0 < old.0 || new.0 == old.0 && contradicts
        }
        (old, new) => old.is_some() && new.is_none(),
    }
}

impl Invariant for EpochsRise {
    fn name(&self) -> &'static str {
        "S4 epochs rise"
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        match event {
            ServerEvent::PartitionChanged { partition, leader_epoch, partition_epoch } => {
                let new = (*leader_epoch, *partition_epoch);
                let old = self.partitions.insert(*partition, new).unwrap_or((-1, -1));
                if new.0 < old.0 || new.1 <= old.1 {
                    return Err(format!("partition {partition} goes from epochs {old:?} to {new:?}"));
                }
            }
            ServerEvent::Registered { node, epoch } => {
                let old = self.brokers.insert(*node, *epoch).unwrap_or(-1);
                if *epoch < old {
                    return Err(format!("broker epoch of node {node} goes from {old} to {epoch}"));
                }
            }
            ServerEvent::ControllerStands { controller, disk, process, vote, log } => {
                self.controller_stands((*controller, *disk), *process, *vote, log)?;
            }
            ServerEvent::ControllerReturned { controller, synced, log_end } if log_end < synced => {
                return Err(format!(
                    "controller {controller} had synced its log up to {synced}, and goes on where it ends at {log_end}"
                ));
            }
            ServerEvent::ControllerElected { epoch, .. } => {
                if *epoch <= self.controller {
                    return Err(format!("controller epoch goes from {} to {epoch}", self.controller));
                }
                self.controller = *epoch;
            }
            _ => {}
        }
        Ok(())
    }
}
