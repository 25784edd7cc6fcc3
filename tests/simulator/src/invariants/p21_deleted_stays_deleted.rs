//! P21: what was acknowledged as deleted is never read again, whoever leads; and a log begins where it did unless somebody
//! deleted.

use std::collections::BTreeMap;

use super::{Invariant, Verdict};
use crate::history::{ClientEvent, ServerEvent};

#[derive(Default)]
pub(super) struct DeletedStaysDeleted {
    /// Up to where leaders have acknowledged that all is deleted, by partition.
    acknowledged: BTreeMap<usize, i64>,
    /// The same as an administrator was told, and since which request.
    told: BTreeMap<usize, (i64, u64)>,
    /// How far some leader has deleted.
    begun: BTreeMap<usize, i64>,
}

impl DeletedStaysDeleted {
    /// A log that is a leader's, or may become one, begins here.
    fn begins(&self, node: usize, partition: usize, start: i64) -> Verdict {
        let acknowledged = self.acknowledged.get(&partition).copied().unwrap_or(0);
        if start < acknowledged {
            return Err(format!(
                "the log of node {node} begins at {start} of partition {partition}, what lies before {acknowledged} was acknowledged as deleted"
            ));
        }
        self.is_wanted(partition, start).map_err(|what| format!("node {node}: {what}"))
    }

    fn is_wanted(&self, partition: usize, start: i64) -> Verdict {
        let begun = self.begun.get(&partition).copied().unwrap_or(0);
        match start <= begun {
            true => Ok(()),
            false => Err(format!("partition {partition} begins at {start}, {begun} was asked for")),
        }
    }
}

impl Invariant for DeletedStaysDeleted {
    fn name(&self) -> &'static str {
        "P21 deleted stays deleted"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        match event {
            ClientEvent::RecordsDeleted { partition, start, known } => {
                // Not if it is forgotten already.
                if self.acknowledged.get(partition).is_some_and(|acknowledged| acknowledged >= start) {
                    self.told.insert(*partition, (*start, *known));
                }
                Ok(())
            }
            ClientEvent::Read { consumer, partition, position, asked, .. } => {
                match self.told.get(partition) {
                    Some((start, known)) if asked > known && position < start => Err(format!(
                        "consumer {consumer} reads from {position} of partition {partition}; what lies before {start} was deleted"
                    )),
                    _ => Ok(()),
                }
            }
            ClientEvent::Skipped { partition, start, .. } => self.is_wanted(*partition, *start),
            _ => Ok(()),
        }
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        match event {
            ServerEvent::StartMoved { partition, start } => {
                let begun = self.begun.entry(*partition).or_default();
                *begun = (*begun).max(*start);
                Ok(())
            }
            ServerEvent::Deleted { partition, start } => {
                let acknowledged = self.acknowledged.entry(*partition).or_default();
                *acknowledged = (*acknowledged).max(*start);
                Ok(())
            }
            ServerEvent::DeletionForgotten { partition } => {
                self.acknowledged.remove(partition);
                self.told.remove(partition);
                Ok(())
            }
            ServerEvent::Elected { node, partition, start, is_current: true, .. }
            | ServerEvent::Candidate { node, partition, start: Some(start), .. } => {
                self.begins(*node, *partition, *start)
            }
            ServerEvent::FinalLog { node, partition, start, .. } => self.begins(*node, *partition, *start),
            _ => Ok(()),
        }
    }
}
