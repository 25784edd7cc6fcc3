//! S1: all replicas are equal, byte for byte, below the high watermarks that they know. What one cannot read is compared when it
//! has got it again; at the end everything can be read. Nothing is compacted here, so no offset is missing
//! behind a log's start.

use super::ledger::Ledger;
use super::{Invariant, Verdict};
use crate::history::{Digest, ServerEvent, hole};

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
            ServerEvent::Visible { node, partition, leads, from, end, batches } => {
                if *leads {
                    self.ledger.advance(*partition, *end);
                }
                self.compare(*node, *partition, (*from, *end), batches)
            }
            ServerEvent::FinalLog { node, partition, start, end, batches } => {
                let read = batches.last().map_or(*start, |last| last.next);
                if read < *end {
                    return Err(format!(
                        "node {node} cannot read partition {partition} behind {read}, and takes {end} for committed"
                    ));
                }
                self.compare(*node, *partition, (*start, *end), batches)
            }
            _ => Ok(()),
        }
    }
}

impl LogMatching {
    fn compare(
        &mut self,
        node: usize,
        partition: usize,
        (from, end): (i64, i64),
        batches: &[Digest],
    ) -> Verdict {
        if end > self.ledger.end(partition) {
            return Err(format!(
                "node {node} takes {end} of partition {partition} for committed, no leader does"
            ));
        }
        if let Some((at, next)) = hole(from, batches) {
            return Err(format!(
                "node {node} has offset {next} of partition {partition} in the place of {at}"
            ));
        }
        let shown = self.ledger.show(partition, batches);
        shown.map_err(|what| format!("node {node}, partition {partition}: {what}"))
    }
}
