//! The committed batches of each partition: what some leader's high watermark has passed.

use crate::history::Digest;

/// What is committed, by partition.
#[derive(Default)]
pub(super) struct Ledger {
    partitions: Vec<Vec<Digest>>,
}

impl Ledger {
    /// The committed batches of a partition.
    pub(super) fn of(&self, partition: usize) -> &[Digest] {
        self.partitions.get(partition).map_or(&[], Vec::as_slice)
    }

    /// Offset behind the last committed batch.
    pub(super) fn end(&self, partition: usize) -> i64 {
        self.of(partition).last().map_or(0, |last| last.next)
    }

    /// Adds what lies behind the end; returns the first batch that contradicts what is there.
    pub(super) fn extend(&mut self, partition: usize, batches: &[Digest]) -> Result<(), String> {
        if self.partitions.len() <= partition {
            self.partitions.resize_with(partition + 1, Vec::new);
        }
        let end = self.end(partition);
        let known = batches.partition_point(|batch| batch.base < end);
        let (old, new) = batches.split_at(known);
        self.compare(partition, old)?;
        if let Some(first) = new.first().filter(|first| first.base != end) {
            return Err(format!("offset {} is committed, but nothing between {end} and it", first.base));
        }
        self.partitions[partition].extend_from_slice(new);
        Ok(())
    }

    /// Compares batches with what is committed at their offsets.
    pub(super) fn compare(&self, partition: usize, batches: &[Digest]) -> Result<(), String> {
        let ledger = self.of(partition);
        let Some(first) = batches.first() else { return Ok(()) };
        let at = ledger.partition_point(|batch| batch.base < first.base);
        for (index, batch) in batches.iter().enumerate() {
            match ledger.get(at + index) {
                Some(committed) if committed == batch => {}
                Some(committed) => return Err(format!("{batch:?} lies where {committed:?} is committed")),
                None => return Ok(()),
            }
        }
        Ok(())
    }
}
