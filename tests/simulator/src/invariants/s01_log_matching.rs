//! S1: all replicas are equal, byte for byte, below the high watermarks that they know.

use super::ledger::Ledger;
use super::{Invariant, Verdict};
use crate::history::ServerEvent;

#[derive(Default)]
pub(super) struct LogMatching {
    ledger: Ledger,
}

impl Invariant for LogMatching {
    fn name(&self) -> &'static str {
        "S1 log matching"
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        match event {
            ServerEvent::Visible { node, partition, leads: true, batches } => self
                .ledger
                .extend(*partition, batches)
                .map_err(|what| format!("leader {node} of partition {partition}: {what}")),
            ServerEvent::Visible { node, partition, leads: false, batches }
            | ServerEvent::FinalLog { node, partition, batches } => {
                let end = batches.last().map_or(0, |last| last.next);
                if end > self.ledger.end(*partition) {
                    return Err(format!(
                        "node {node} takes {end} of partition {partition} for committed, no leader does"
                    ));
                }
                let compared = self.ledger.compare(*partition, batches);
                compared.map_err(|what| format!("node {node}, partition {partition}: {what}"))
            }
            _ => Ok(()),
        }
    }
}
