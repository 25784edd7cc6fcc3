//! P8: a consumer gets every offset from its position on, within a poll and from one to the next.

use super::{Invariant, Verdict};
use crate::history::ClientEvent;

#[derive(Default)]
pub(super) struct NoSkip;

impl Invariant for NoSkip {
    fn name(&self) -> &'static str {
        "P8 no skip"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        let ClientEvent::Polled { consumer, partition, position, records } = event else { return Ok(()) };
        for ((offset, _), expected) in records.iter().zip(*position..) {
            if *offset != expected {
                return Err(format!(
                    "consumer {consumer} expects offset {expected} of partition {partition} and gets {offset}"
                ));
            }
        }
        Ok(())
    }
}
