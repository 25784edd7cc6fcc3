//! S4: leader epochs, partition epochs, broker epochs and controller epochs rise, restarts or not.

use std::collections::BTreeMap;

use super::{Invariant, Verdict};
use crate::history::ServerEvent;

#[derive(Default)]
pub(super) struct EpochsRise {
    partitions: BTreeMap<usize, (i32, i32)>,
    brokers: BTreeMap<usize, i64>,
    controller: i32,
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
