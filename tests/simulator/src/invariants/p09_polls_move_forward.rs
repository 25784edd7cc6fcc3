//! P9: the offsets that a consumer gets never go back, unless it starts anew.

use std::collections::BTreeMap;

use super::{Invariant, Verdict};
use crate::history::ClientEvent;

#[derive(Default)]
pub(super) struct PollsMoveForward {
    last: BTreeMap<(usize, usize), i64>,
}

impl Invariant for PollsMoveForward {
    fn name(&self) -> &'static str {
        "P9 polls move forward"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        match event {
            ClientEvent::Sought { consumer, partition, position } => {
                self.last.insert((*consumer, *partition), position - 1);
                Ok(())
            }
            ClientEvent::Polled { consumer, partition, records, .. } => {
                let last = self.last.entry((*consumer, *partition)).or_insert(-1);
                for (offset, _) in records {
                    if *offset <= *last {
                        return Err(format!(
                            "consumer {consumer} gets offset {offset} of partition {partition} after {last}"
                        ));
                    }
                    *last = *offset;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
