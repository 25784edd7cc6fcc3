//! P4: a value of an idempotent producer is at one offset only.

use std::collections::BTreeMap;

use super::{Invariant, Verdict};
use crate::history::{ClientEvent, ServerEvent};

#[derive(Default)]
pub(super) struct NoDuplicate {
    places: BTreeMap<u64, (usize, i64)>,
}

impl NoDuplicate {
    fn note(&mut self, value: u64, partition: usize, offset: i64) -> Verdict {
        let place = (partition, offset);
        let known = *self.places.entry(value).or_insert(place);
        match known == place {
            true => Ok(()),
            false => Err(format!("value {value} is at {known:?} and at {place:?} (partition, offset)")),
        }
    }
}

impl Invariant for NoDuplicate {
    fn name(&self) -> &'static str {
        "P4 no duplicate"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        match event {
            ClientEvent::Acked { partition, value, offset, .. } => self.note(*value, *partition, *offset),
            ClientEvent::Polled { partition, records, .. } => {
                records.iter().try_for_each(|(offset, value)| self.note(*value, *partition, *offset))
            }
            _ => Ok(()),
        }
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        match event {
            ServerEvent::FinalRecords { partition, records } => {
                records.iter().try_for_each(|(offset, value)| self.note(*value, *partition, *offset))
            }
            _ => Ok(()),
        }
    }
}
