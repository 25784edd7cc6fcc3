//! P18: in the committed log a producer's epochs never go back, and within one its sequence numbers follow each other; and of
//! what producers are told is committed nothing of an older epoch lies behind something of a newer one. A log that began behind
//! what was deleted knows nothing of its producers, as in Kafka, and takes any sequence number of them.

use std::collections::BTreeMap;

use klamm_records::next_sequence;

use super::{Invariant, Verdict};
use crate::history::{ClientEvent, Digest, ServerEvent};

#[derive(Default)]
pub(super) struct Fencing {
    /// By partition and producer: epoch, next sequence number, and the offset behind the batch.
    producers: BTreeMap<(usize, i64), (i16, i32, i64)>,
    ends: BTreeMap<usize, i64>,
    /// By partition and producer: first and last offset that was acknowledged in each epoch.
    acked: BTreeMap<(usize, i64), BTreeMap<i16, (i64, i64)>>,
}

impl Fencing {
    fn follow(&mut self, partition: usize, batches: &[Digest]) -> Verdict {
        let end = self.ends.get(&partition).copied().unwrap_or(0);
        for batch in batches.iter().filter(|batch| batch.base >= end) {
            if self.ends.get(&partition).is_some_and(|end| batch.base > *end) {
                // What lies between could not be read.
                self.forget(partition);
            }
            self.note(partition, batch)?;
            self.ends.insert(partition, batch.next);
        }
        Ok(())
    }

    fn forget(&mut self, partition: usize) {
        self.producers.retain(|(known, _), _| *known != partition);
    }

    fn note(&mut self, partition: usize, batch: &Digest) -> Verdict {
        if batch.producer < 0 {
            return Ok(());
        }
        let records = i32::try_from(batch.next - batch.base).unwrap_or(0);
        let last = batch.sequence + records - 1;
        let new = (batch.producer_epoch, next_sequence(last), batch.next);
        let Some((epoch, next, _)) = self.producers.insert((partition, batch.producer), new) else {
            return Ok(());
        };
        let follows =
            if batch.producer_epoch == epoch { batch.sequence == next } else { batch.sequence == 0 };
        if batch.producer_epoch < epoch || !follows {
            return Err(format!(
                "{batch:?} of partition {partition} comes after epoch {epoch}, where {next} was next"
            ));
        }
        Ok(())
    }
}

impl Invariant for Fencing {
    fn name(&self) -> &'static str {
        "P18 fencing"
    }

    fn client(&mut self, event: &ClientEvent) -> Verdict {
        let ClientEvent::Acked { producer, epoch, partition, offset, .. } = event else { return Ok(()) };
        let epochs = self.acked.entry((*partition, *producer)).or_default();
        let (first, last) = epochs.entry(*epoch).or_insert((*offset, *offset));
        (*first, *last) = ((*first).min(*offset), (*last).max(*offset));
        let newer_before = epochs.range(epoch + 1..).find(|(_, (first, _))| first < offset);
        let older_behind = || epochs.range(..*epoch).find(|(_, (_, last))| last > offset);
        match newer_before.or_else(older_behind) {
            Some(other) => Err(format!(
                "offset {offset} of partition {partition} is of epoch {epoch} of producer {producer}; epoch, first and last offset {other:?}"
            )),
            None => Ok(()),
        }
    }

    fn server(&mut self, event: &ServerEvent) -> Verdict {
        match event {
            ServerEvent::Visible { partition, leads: true, batches, .. } => self.follow(*partition, batches),
            ServerEvent::StartMoved { partition, start } => {
                self.producers.retain(|(known, _), (.., next)| known != partition || *next > *start);
                Ok(())
            }
            // Everything once more, as a leader may not have been able to read some of it.
            ServerEvent::FinalLog { partition, batches, .. } => {
                self.forget(*partition);
                self.ends.remove(partition);
                self.follow(*partition, batches)
            }
            _ => Ok(()),
        }
    }
}
