//! P19: changes of the metadata happen in an order that agrees with real time: one that was proposed when another had been
//! answered as committed is behind it, whether or not it was answered itself.

use std::collections::BTreeMap;

use super::{Invariant, Verdict};
use crate::history::{ClientEvent, ServerEvent};

#[derive(Default)]
pub(super) struct OrderOfChanges {
    /// The highest offset that anybody was told of.
    told: i64,
    /// That offset as it was when a value was proposed.
    before: BTreeMap<u64, i64>,
}

impl OrderOfChanges {
    fn check(&self, value: u64, offset: i64) -> Verdict {
        match self.before.get(&value) {
            Some(before) if *before >= offset => Err(format!(
                "value {value} was proposed when offset {before} was answered as committed, and is at offset {offset}"
            )),
            _ => Ok(()),
        }
    }
}

impl Invariant for OrderOfChanges {
    fn name(&self) -> &'static str {
        "P19 order of changes"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        match event {
            ClientEvent::Proposed { value } => {
                self.before.insert(*value, self.told);
            }
            ClientEvent::ProposalCommitted { value, offset, .. } => {
                self.check(*value, *offset)?;
                self.told = self.told.max(*offset);
            }
            _ => {}
        }
        Ok(())
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        let ServerEvent::FinalRecords { records, .. } = event else { return Ok(()) };
        records.iter().try_for_each(|(offset, value)| self.check(*value, *offset))
    }
}
