//! What is committed of each partition: how far some leader's high watermark has come, and the batches below it, of whoever
//! could read them. A batch that nobody has shown yet is known by its offsets' place only, and compared when it is shown.

use std::collections::BTreeMap;

use crate::history::Digest;

/// What is committed, by partition.
#[derive(Default)]
pub(super) struct Ledger {
    partitions: BTreeMap<usize, Committed>,
}

#[derive(Default)]
struct Committed {
    end: i64,
    batches: BTreeMap<i64, Digest>,
}

impl Ledger {
    /// Offset behind the last that is committed.
    pub(super) fn end(&self, partition: usize) -> i64 {
        self.partitions.get(&partition).map_or(0, |committed| committed.end)
    }

    /// A leader has committed what lies below `end`.
    pub(super) fn advance(&mut self, partition: usize, end: i64) {
        let committed = self.partitions.entry(partition).or_default();
        committed.end = committed.end.max(end);
    }

    /// Compares batches with what is committed where they lie, and adds what nobody has shown yet.
    pub(super) fn show(&mut self, partition: usize, batches: &[Digest]) -> Result<(), String> {
        let committed = self.partitions.entry(partition).or_default();
        for batch in batches.iter().take_while(|batch| batch.next <= committed.end) {
            let before = committed.batches.range(..batch.next).next_back().map(|(_, before)| *before);
            match before.filter(|before| before.next > batch.base) {
                None => drop(committed.batches.insert(batch.base, *batch)),
                Some(known) if known == *batch => {}
                Some(known) => return Err(format!("{batch:?} lies where {known:?} is committed")),
            }
        }
        Ok(())
    }
}
