//! P5: a record that certainly failed is never seen.

use std::collections::BTreeSet;

use super::{Invariant, Verdict};
use crate::history::{ClientEvent, ServerEvent};

#[derive(Default)]
pub(super) struct NoFailedValue {
    failed: BTreeSet<u64>,
}

impl NoFailedValue {
    fn check(&self, records: &[(i64, u64)]) -> Verdict {
        match records.iter().find(|(_, value)| self.failed.contains(value)) {
            Some((offset, value)) => Err(format!("value {value} failed and is at offset {offset}")),
            None => Ok(()),
        }
    }
}

impl Invariant for NoFailedValue {
    fn name(&self) -> &'static str {
        "P5 no failed value"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        match event {
            ClientEvent::Failed { value, .. } => {
                self.failed.insert(*value);
                Ok(())
            }
            ClientEvent::Polled { records, .. } => self.check(records),
            _ => Ok(()),
        }
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        match event {
            ServerEvent::FinalRecords { records, .. } => self.check(records),
            _ => Ok(()),
        }
    }
}
