//! S2: every leader has all that was committed before, and so has everybody who could be elected.

use std::collections::BTreeMap;

use super::ledger::Ledger;
use super::{Invariant, Verdict};
use crate::history::{ClientEvent, Digest, ServerEvent, hole};

#[derive(Default)]
pub(super) struct LeaderCompleteness {
    ledger: Ledger,
    /// The last proposal that was answered as committed in each controller epoch.
    proposals: BTreeMap<i32, i64>,
}

impl LeaderCompleteness {
    fn elected(&mut self, partition: usize, (start, end): (i64, i64), log: &[Digest]) -> Verdict {
        let committed = self.ledger.end(partition);
        if end < committed {
            return Err(format!("its log ends at {end}, {committed} is committed"));
        }
        if let Some((at, next)) = hole(start, log) {
            return Err(format!("its log has offset {next} in the place of {at}"));
        }
        self.ledger.show(partition, log)
    }
}

impl Invariant for LeaderCompleteness {
    fn name(&self) -> &'static str {
        "S2 leader completeness"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        if let ClientEvent::ProposalCommitted { offset, epoch, .. } = event {
            let last = self.proposals.entry(*epoch).or_insert(*offset);
            *last = (*last).max(*offset);
        }
        Ok(())
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        match event {
            ServerEvent::Visible { partition, leads, end, batches, .. } => {
                if *leads {
                    self.ledger.advance(*partition, *end);
                }
                // A contradiction is S1's.
                let _ = self.ledger.show(*partition, batches);
                Ok(())
            }
            ServerEvent::Elected { node, partition, epoch, is_current: true, start, end, log, .. } => {
                let elected = self.elected(*partition, (*start, *end), log);
                elected.map_err(|what| {
                    format!("leader {node} of partition {partition} in epoch {epoch}: {what}")
                })
            }
            ServerEvent::ControllerLeads { controller, epoch, log_end, .. } => {
                match self.proposals.range(..*epoch).find(|(_, offset)| *offset >= log_end) {
                    Some((of, offset)) => Err(format!(
                        "controller {controller} leads in epoch {epoch} with a log that ends at {log_end}; offset {offset} was committed in epoch {of}"
                    )),
                    None => Ok(()),
                }
            }
            ServerEvent::Candidate { node, partition, end, .. } if *end < self.ledger.end(*partition) => {
                let committed = self.ledger.end(*partition);
                Err(format!(
                    "node {node} may be elected for partition {partition} and ends at {end}, {committed} is committed"
                ))
            }
            _ => Ok(()),
        }
    }
}
