//! P10: a later record of a producer is at a larger offset.

use std::collections::BTreeMap;

use super::{Invariant, Verdict};
use crate::history::ClientEvent;

#[derive(Default)]
pub(super) struct SendsMoveForward {
    /// By producer, epoch and partition: offsets by sequence number.
    offsets: BTreeMap<(i64, i16, usize), BTreeMap<i32, i64>>,
}

impl Invariant for SendsMoveForward {
    fn name(&self) -> &'static str {
        "P10 sends move forward"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        let ClientEvent::Acked { producer, epoch, partition, sequence, offset, .. } = event else {
            return Ok(());
        };
        let offsets = self.offsets.entry((*producer, *epoch, *partition)).or_default();
        offsets.insert(*sequence, *offset);
        let before = offsets.range(..*sequence).next_back().filter(|(_, before)| *before >= offset);
        let behind = offsets.range(sequence + 1..).next().filter(|(_, behind)| *behind <= offset);
        match before.or(behind) {
            Some(other) => Err(format!(
                "producer {producer} in partition {partition}: sequence {sequence} is at {offset}, (sequence, offset) {other:?}"
            )),
            None => Ok(()),
        }
    }
}
