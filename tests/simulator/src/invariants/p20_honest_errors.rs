//! P20: a batch that follows what was acknowledged is never refused as out of order.

use super::{Invariant, Verdict};
use crate::history::ClientEvent;

#[derive(Default)]
pub(super) struct HonestErrors;

impl Invariant for HonestErrors {
    fn name(&self) -> &'static str {
        "P20 honest errors"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        match event {
            ClientEvent::SequenceRefused { producer, partition, sequence, .. } => Err(format!(
                "sequence {sequence} of producer {producer} in partition {partition} follows what was acknowledged and is refused"
            )),
            _ => Ok(()),
        }
    }
}
