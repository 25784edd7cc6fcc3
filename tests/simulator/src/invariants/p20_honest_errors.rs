//! P20: a batch that follows what was acknowledged is never refused as out of order, and who was taken for dead, which cannot
//! know what was acknowledged since, says so of none.

use super::{Invariant, Verdict};
use crate::history::{ClientEvent, ServerEvent};

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

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        match event {
            ServerEvent::SequenceRefused { node, partition, counts_as_dead: true } => Err(format!(
                "node {node} counts as dead and says that a batch of partition {partition} is out of order"
            )),
            _ => Ok(()),
        }
    }
}
