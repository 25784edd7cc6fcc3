//! P2: after the final catch-up every consumer has seen every acknowledged record that was not deleted.

use std::collections::{BTreeMap, BTreeSet};

use super::{Invariant, Verdict};
use crate::history::ClientEvent;

#[derive(Default)]
pub(super) struct EverythingSeen {
    acked: BTreeSet<(usize, i64)>,
    /// Offsets that a consumer has seen, as ranges that grow: it may skip none (P8).
    seen: BTreeMap<(usize, usize), i64>,
}

impl EverythingSeen {
    fn is_at(&mut self, consumer: usize, partition: usize, position: i64) {
        let seen = self.seen.entry((consumer, partition)).or_default();
        *seen = (*seen).max(position);
    }
}

impl Invariant for EverythingSeen {
    fn name(&self) -> &'static str {
        "P2 everything seen"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        match event {
            ClientEvent::Acked { partition, offset, .. } => {
                self.acked.insert((*partition, *offset));
            }
            ClientEvent::Polled { consumer, partition, records, .. } => {
                let end = records.last().map_or(0, |(offset, _)| offset + 1);
                self.is_at(*consumer, *partition, end);
            }
            // That somebody wanted this deleted is P21.
            ClientEvent::Skipped { consumer, partition, start } => self.is_at(*consumer, *partition, *start),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) -> Verdict {
        for ((consumer, partition), end) in &self.seen {
            let behind = self.acked.range((*partition, *end)..(*partition + 1, 0)).next();
            if let Some((_, offset)) = behind {
                return Err(format!(
                    "consumer {consumer} has not seen offset {offset} of partition {partition}"
                ));
            }
        }
        Ok(())
    }
}
