//! P3: nobody sees two values at one offset, over acknowledgements and polls.

use std::collections::BTreeMap;

use super::{Invariant, Verdict};
use crate::history::ClientEvent;

#[derive(Default)]
pub(super) struct OneValueAnOffset {
    values: BTreeMap<(usize, i64), u64>,
}

impl OneValueAnOffset {
    fn note(&mut self, partition: usize, offset: i64, value: u64) -> Verdict {
        let known = *self.values.entry((partition, offset)).or_insert(value);
        match known == value {
            true => Ok(()),
            false => Err(format!("offset {offset} of partition {partition} holds {known} and {value}")),
        }
    }
}

impl Invariant for OneValueAnOffset {
    fn name(&self) -> &'static str {
        "P3 one value an offset"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        match event {
            ClientEvent::Acked { partition, value, offset, .. } => self.note(*partition, *offset, *value),
            ClientEvent::Polled { partition, records, .. } => {
                records.iter().try_for_each(|(offset, value)| self.note(*partition, *offset, *value))
            }
            _ => Ok(()),
        }
    }
}
