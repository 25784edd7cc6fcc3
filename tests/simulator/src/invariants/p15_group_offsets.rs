//! P15: what a group has committed does not go back by itself.

use std::collections::BTreeMap;

use super::{Invariant, Verdict};
use crate::history::ClientEvent;

#[derive(Default)]
pub(super) struct GroupOffsets {
    committed: BTreeMap<(usize, usize), i64>,
}

impl Invariant for GroupOffsets {
    fn name(&self) -> &'static str {
        "P15 group offsets"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        match event {
            ClientEvent::Committed { group, partition, offset } => {
                let known = self.committed.entry((*group, *partition)).or_insert(-1);
                *known = (*known).max(*offset);
                Ok(())
            }
            ClientEvent::CommittedFetched { group, partition, offset } => {
                let known = self.committed.get(&(*group, *partition)).copied().unwrap_or(-1);
                match *offset >= known {
                    true => Ok(()),
                    false => Err(format!(
                        "group {group} had committed {known} for partition {partition} and finds {offset}"
                    )),
                }
            }
            _ => Ok(()),
        }
    }
}
