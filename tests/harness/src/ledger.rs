//! What was acknowledged, held against what can be read.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, ensure};

use crate::client::Client;

/// Acknowledged records by topic partition: offset to value.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    acknowledged: BTreeMap<(String, i32), BTreeMap<i64, String>>,
    /// Values whose outcome the producer never learnt: they may be there or not.
    pub unknown: usize,
}

impl Ledger {
    /// Notes records that were acknowledged at consecutive offsets.
    pub fn acknowledge(&mut self, topic: &str, partition: i32, base_offset: i64, values: &[String]) {
        let records = self.acknowledged.entry((topic.to_owned(), partition)).or_default();
        records.extend((base_offset..).zip(values.iter().cloned()));
    }

    /// Number of acknowledged records.
    pub fn len(&self) -> usize {
        self.acknowledged.values().map(BTreeMap::len).sum()
    }

    /// Whether nothing was acknowledged.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds what another ledger holds.
    pub fn merge(&mut self, other: Self) {
        for (partition, records) in other.acknowledged {
            self.acknowledged.entry(partition).or_default().extend(records);
        }
        self.unknown += other.unknown;
    }

    /// Reads every partition and asserts that each acknowledged record is there, at its offset, with its value; that no
    /// value is there twice; and that offsets have no gap, so that order within the partition is the acknowledged order.
    ///
    /// # Errors
    /// The first thing that is lost, changed or doubled.
    pub fn verify(&self, client: &mut Client) -> Result<()> {
        for ((topic, partition), acknowledged) in &self.acknowledged {
            let read = client.read_all(topic, *partition)?;
            let mut by_offset = HashMap::new();
            let mut values = HashMap::new();
            for record in &read {
                let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
                let before = values.insert(value.clone(), record.offset);
                ensure!(
                    before.is_none(),
                    "{topic}-{partition}: {value:?} at {before:?} and again at {}",
                    record.offset
                );
                by_offset.insert(record.offset, value);
            }
            for pair in read.windows(2) {
                if let [before, after] = pair {
                    let (before, after) = (before.offset, after.offset);
                    ensure!(after == before + 1, "{topic}-{partition}: {after} follows {before}");
                }
            }
            for (offset, value) in acknowledged {
                let found = by_offset.get(offset);
                ensure!(
                    found == Some(value),
                    "{topic}-{partition}: {value:?} was acknowledged at {offset}, where {found:?} is now ({} records)",
                    read.len()
                );
            }
        }
        Ok(())
    }
}
