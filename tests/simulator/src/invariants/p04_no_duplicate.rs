//! P4: a value of an idempotent producer is at one offset only. What was deleted may come again: who begins behind it knows
//! nothing of it, as in Kafka.

use std::collections::BTreeMap;

use super::{Invariant, Verdict};
use crate::history::{ClientEvent, ServerEvent};

#[derive(Default)]
pub(super) struct NoDuplicate {
    places: BTreeMap<u64, (usize, i64)>,
    /// How far some leader has deleted.
    deleted: BTreeMap<usize, i64>,
}

impl NoDuplicate {
    fn note(&mut self, value: u64, partition: usize, offset: i64) -> Verdict {
        let place = (partition, offset);
        let deleted = self.deleted.get(&partition).copied().unwrap_or(0);
        let known = self.places.entry(value).or_insert(place);
        if known.0 == partition && known.1 < deleted.min(offset) {
            *known = place;
        }
        let known = *known;
        match known == place || (known.0 == partition && offset < deleted.min(known.1)) {
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
            ServerEvent::StartMoved { partition, start } => {
                let deleted = self.deleted.entry(*partition).or_default();
                *deleted = (*deleted).max(*start);
                Ok(())
            }
            ServerEvent::FinalRecords { partition, records } => {
                records.iter().try_for_each(|(offset, value)| self.note(*value, *partition, *offset))
            }
            _ => Ok(()),
        }
    }
}
