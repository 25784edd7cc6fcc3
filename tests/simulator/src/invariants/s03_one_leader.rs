//! S3: one process leads a partition in one leader epoch, and one controller is active in one epoch.

use std::collections::BTreeMap;

use super::{Invariant, Verdict};
use crate::history::ServerEvent;

#[derive(Default)]
pub(super) struct OneLeader {
    leaders: BTreeMap<(usize, i32), (usize, u32)>,
    controllers: BTreeMap<i32, usize>,
    processes: BTreeMap<i32, (usize, u32)>,
}

impl Invariant for OneLeader {
    fn name(&self) -> &'static str {
        "S3 one leader"
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        match event {
            ServerEvent::Elected { node, process, partition, epoch, .. } => {
                let leader = (*node, *process);
                let known = *self.leaders.entry((*partition, *epoch)).or_insert(leader);
                if known == leader {
                    return Ok(());
                }
                Err(format!(
                    "epoch {epoch} of partition {partition} is led by process {process} of node {node} and was led by process {} of node {}",
                    known.1, known.0
                ))
            }
            ServerEvent::ControllerLeads { controller, process, epoch, .. } => {
                let leader = (*controller, *process);
                let known = *self.processes.entry(*epoch).or_insert(leader);
                if known == leader {
                    return Ok(());
                }
                Err(format!("processes {known:?} and {leader:?} of controllers lead in epoch {epoch}"))
            }
            ServerEvent::ControllerElected { controller, epoch } => {
                let known = *self.controllers.entry(*epoch).or_insert(*controller);
                if known == *controller {
                    return Ok(());
                }
                Err(format!("controllers {known} and {controller} are active in epoch {epoch}"))
            }
            _ => Ok(()),
        }
    }
}
