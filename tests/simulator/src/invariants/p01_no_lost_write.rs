//! P1: every acknowledged record is in the log at the end, where it was acknowledged, unless a leader began to delete it; no two
//! were acknowledged at one place.

use std::collections::BTreeMap;

use super::{Invariant, Verdict};
use crate::history::{ClientEvent, ServerEvent};

#[derive(Default)]
pub(super) struct NoLostWrite {
    acked: BTreeMap<usize, BTreeMap<i64, u64>>,
    /// How far some leader has deleted.
    deleted: BTreeMap<usize, i64>,
}

impl Invariant for NoLostWrite {
    fn name(&self) -> &'static str {
        "P1 no lost write"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        if let ClientEvent::Acked { partition, value, offset, .. } = event {
            let known = self.acked.entry(*partition).or_default().insert(*offset, *value);
            if let Some(known) = known.filter(|known| known != value) {
                return Err(format!(
                    "values {known} and {value} were acknowledged at offset {offset} of partition {partition}"
                ));
            }
        }
        Ok(())
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        if let ServerEvent::StartMoved { partition, start } = event {
            let deleted = self.deleted.entry(*partition).or_default();
            *deleted = (*deleted).max(*start);
        }
        let ServerEvent::FinalRecords { partition, records } = event else { return Ok(()) };
        let acked = self.acked.remove(partition).unwrap_or_default();
        let found: BTreeMap<i64, u64> = records.iter().copied().collect();
        let deleted = self.deleted.get(partition).copied().unwrap_or(0);
        let is_lost = |offset: &i64, value: &u64| match found.get(offset) {
            None => *offset >= deleted,
            Some(found) => found != value,
        };
        match acked.iter().find(|(offset, value)| is_lost(offset, value)) {
            Some((offset, value)) => Err(format!(
                "value {value} was acknowledged at offset {offset} of partition {partition}; there is {:?}",
                found.get(offset)
            )),
            None => Ok(()),
        }
    }
}
