//! Compaction: of each key the last record stays, in the order and at the offsets that the records have.
//!
//! Pure: which records of a batch stay, and the batch rewritten without the others. No gaps arise between batches: where
//! nothing stays, an empty batch keeps the offsets.

mod job;

use std::collections::HashMap;

use bytes::Bytes;
use klamm_records::{Batch, BatchBuilder, BatchError, Record};

pub use job::{CompactionJob, CompactionOutcome};
pub(crate) use job::{Source, Target};

/// Most bytes that one batch may take once decompressed.
const MAX_DECOMPRESSED: usize = 256 << 20;
/// What an entry of the map costs beside its key.
const ENTRY_BYTES: usize = 64;

/// The last offset of each key in a range of offsets, in bounded memory.
#[derive(Debug, Default)]
pub(crate) struct LastOffsets {
    offsets: HashMap<Bytes, i64>,
    bytes: usize,
    limit: usize,
}

impl LastOffsets {
    /// A map that takes at most about `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Notes the keys of a batch; false if the map was full before, so that the batch must wait for another round.
    pub(crate) fn add(&mut self, batch: &Batch) -> Result<bool, BatchError> {
        if batch.header.attributes.is_control() {
            return Ok(true);
        }
        if self.bytes >= self.limit {
            return Ok(false);
        }
        for record in batch.records(MAX_DECOMPRESSED)? {
            let record = record?;
            let Some(key) = record.key else { continue };
            if let Some(offset) = self.offsets.get_mut(&key) {
                *offset = record.offset;
            } else {
                // A key of its own, so that the map does not keep whole batches alive.
                self.bytes += key.len() + ENTRY_BYTES;
                self.offsets.insert(Bytes::copy_from_slice(&key), record.offset);
            }
        }
        Ok(true)
    }

    fn is_superseded(&self, record: &Record) -> bool {
        // A compacted topic takes no records without a key; one from another time has no successor to wait for.
        record.key.as_ref().is_none_or(|key| self.offsets.get(key).is_some_and(|last| record.offset < *last))
    }
}

/// What is left of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Compacted {
    /// Everything, as it is.
    Unchanged,
    /// Some records, or all with a delete horizon.
    Rewritten(Bytes),
    /// No record.
    Nothing,
}

/// Removes from a batch what later records of the same keys supersede, and tombstones whose time has passed.
///
/// A tombstone's time begins when compaction first meets it: the batch then gets a delete horizon (KIP-534).
pub(crate) fn compact(
    batch: &Batch,
    last: &LastOffsets,
    now_ms: i64,
    delete_retention_ms: i64,
) -> Result<Compacted, BatchError> {
    let header = &batch.header;
    if header.attributes.is_control() {
        return Ok(Compacted::Unchanged);
    }
    let horizon = header.attributes.has_delete_horizon().then_some(header.base_timestamp);
    let expired = horizon.is_some_and(|horizon| horizon <= now_ms);
    let mut kept = Vec::new();
    for record in batch.records(MAX_DECOMPRESSED)? {
        let record = record?;
        let has_expired = expired && record.value.is_none();
        if !has_expired && !last.is_superseded(&record) {
            kept.push(record);
        }
    }
    if kept.is_empty() {
        return Ok(Compacted::Nothing);
    }
    let has_tombstones = kept.iter().any(|record| record.value.is_none());
    let new_horizon =
        has_tombstones.then(|| horizon.unwrap_or_else(|| now_ms.saturating_add(delete_retention_ms)));
    if kept.len() == usize::try_from(header.record_count).unwrap_or(0) && new_horizon == horizon {
        return Ok(Compacted::Unchanged);
    }
    rebuild(batch, &kept, new_horizon).map(Compacted::Rewritten)
}

fn rebuild(batch: &Batch, kept: &[Record], horizon: Option<i64>) -> Result<Bytes, BatchError> {
    let header = &batch.header;
    let mut builder = BatchBuilder::new(header.base_offset)
        .leader_epoch(header.leader_epoch)
        .last_offset(header.last_offset())
        .producer(header.producer_id, header.producer_epoch, header.base_sequence)
        .compression(header.attributes.compression()?);
    if header.attributes.is_transactional() {
        builder = builder.transactional();
    }
    if header.attributes.timestamp_type() == klamm_records::TimestampType::LogAppendTime {
        builder = builder.log_append_time();
    }
    if let Some(horizon) = horizon {
        builder = builder.delete_horizon(horizon);
    }
    for record in kept {
        builder.push_record(record)?;
    }
    Ok(builder.finish()?.freeze())
}

/// An empty batch that keeps a range of offsets.
pub(crate) fn placeholder(
    base_offset: i64,
    last_offset: i64,
    leader_epoch: i32,
) -> Result<Bytes, BatchError> {
    Ok(BatchBuilder::new(base_offset).leader_epoch(leader_epoch).last_offset(last_offset).finish()?.freeze())
}

#[cfg(test)]
mod tests {
    use klamm_records::{Compression, stamp};

    use super::*;

    fn batch(base: i64, records: &[(&str, Option<&str>)]) -> Batch {
        let mut builder = BatchBuilder::new(0).compression(Compression::Lz4).producer(4, 0, 0);
        for (key, value) in records {
            builder.push(100, Some(key.as_bytes()), value.map(str::as_bytes), &[]).expect("fits");
        }
        let mut bytes = builder.finish().expect("builds");
        stamp(&mut bytes, base, 2).expect("whole batch");
        Batch::parse(&bytes.freeze()).expect("parses")
    }

    fn map(batches: &[&Batch]) -> LastOffsets {
        let mut last = LastOffsets::new(1 << 20);
        for batch in batches {
            assert!(last.add(batch).expect("sound"));
        }
        last
    }

    fn rewritten(compacted: Compacted) -> Batch {
        let Compacted::Rewritten(bytes) = compacted else { panic!("{compacted:?}") };
        let batch = Batch::parse(&bytes).expect("parses");
        batch.verify_crc().expect("sound");
        batch
    }

    fn offsets(batch: &Batch) -> Vec<i64> {
        batch.records(1 << 20).expect("decompresses").map(|record| record.expect("sound").offset).collect()
    }

    #[test]
    fn the_last_record_of_each_key_stays_at_its_offset() {
        let first = batch(10, &[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]);
        let second = batch(13, &[("b", Some("2"))]);
        let last = map(&[&first, &second]);
        let kept = rewritten(compact(&first, &last, 0, 100).expect("sound"));
        assert_eq!(offsets(&kept), [12]);
        let (old, new) = (&first.header, &kept.header);
        assert_eq!((new.base_offset, new.last_offset(), new.leader_epoch), (10, 12, 2));
        assert_eq!((new.producer_id, new.last_sequence(), new.max_timestamp), (4, old.last_sequence(), 100));
        assert_eq!(compact(&second, &last, 0, 100), Ok(Compacted::Unchanged));
        let third = batch(14, &[("a", Some("3"))]);
        assert_eq!(compact(&first, &map(&[&first, &second, &third]), 0, 100), Ok(Compacted::Nothing));
    }

    #[test]
    fn a_tombstone_stays_for_its_time_counted_from_the_first_compaction() {
        let first = batch(0, &[("a", None), ("b", Some("1"))]);
        let last = map(&[&first]);
        let marked = rewritten(compact(&first, &last, 1_000, 100).expect("sound"));
        assert_eq!((offsets(&marked).len(), marked.header.base_timestamp), (2, 1_100));
        assert!(marked.header.attributes.has_delete_horizon());
        assert_eq!(compact(&marked, &last, 1_099, 100), Ok(Compacted::Unchanged));
        let after = rewritten(compact(&marked, &last, 1_100, 100).expect("sound"));
        assert_eq!(offsets(&after), [1]);
        assert!(!after.header.attributes.has_delete_horizon());
    }

    #[test]
    fn a_full_map_takes_no_further_batch() {
        let first = batch(0, &[("a", Some("1"))]);
        let mut last = LastOffsets::new(1);
        assert_eq!(last.add(&first), Ok(true));
        assert_eq!(last.add(&batch(1, &[("b", Some("1"))])), Ok(false));
    }
}
