//! Committed entries for brokers that follow the metadata log.

use std::io;

use bytes::Bytes;

use crate::QuorumError;
use crate::log_store::LogStore;
use crate::messages::payload_parts;
use crate::snapshot_store::SnapshotStore;
use crate::types::{Entry, Payload, epoch_of, offset_of, term_of};

/// What a broker gets for an offset.
#[derive(Clone, Debug, PartialEq)]
pub enum Fetched {
    /// Entries in order, without a hole: offset, leader epoch and encoded records. Entries that only the quorum needs
    /// come with empty records, so that every image has the same offset.
    Batches(Vec<(i64, i32, Bytes)>),
    /// The offset is no longer in the log; this image replaces it. The next offset is `offset + 1`.
    Snapshot {
        /// The last entry that the image holds.
        offset: i64,
        /// Its leader epoch.
        epoch: i32,
        /// `Image::to_snapshot`.
        bytes: Bytes,
    },
}

/// Reads entries in `from..end`, or the newest snapshot.
pub(crate) fn read(
    log: &LogStore,
    snapshots: &SnapshotStore,
    from: i64,
    end: i64,
    max_bytes: usize,
) -> Result<Fetched, QuorumError> {
    let (Ok(first), Ok(last)) = (u64::try_from(from), u64::try_from(end)) else {
        return Err(QuorumError::OffsetOutOfRange { offset: from, end });
    };
    if first > last {
        return Err(QuorumError::OffsetOutOfRange { offset: from, end });
    }
    let entries = log.read(first, last, max_bytes).map_err(|error| QuorumError::storage("log", error))?;
    match entries.first() {
        Some(entry) if entry.log_id.index == first => {
            Ok(Fetched::Batches(entries.into_iter().map(batch).collect()))
        }
        None if first == last => Ok(Fetched::Batches(Vec::new())),
        _ => newest_snapshot(snapshots),
    }
}

/// The epoch of the entry at `offset`, if the log has it and it is among those that are `applied`: what is not committed may
/// yet give way to an entry of another epoch.
pub(crate) fn epoch_at(log: &LogStore, offset: i64, applied: i64) -> Result<Option<i32>, QuorumError> {
    match u64::try_from(offset) {
        Ok(index) if offset <= applied => {
            log.epoch_at(index).map_err(|error| QuorumError::storage("log", error))
        }
        _ => Ok(None),
    }
}

fn batch(entry: Entry) -> (i64, i32, Bytes) {
    let records = match entry.payload {
        Payload::Normal(_) => payload_parts(&entry.payload).1,
        Payload::Blank | Payload::Membership(_) => Bytes::new(),
    };
    (offset_of(entry.log_id.index), epoch_of(term_of(&entry.log_id)), records)
}

fn newest_snapshot(snapshots: &SnapshotStore) -> Result<Fetched, QuorumError> {
    let read = |error| QuorumError::storage("snapshot", error);
    let missing =
        || read(io::Error::new(io::ErrorKind::NotFound, "entries are purged, but there is no snapshot"));
    let snapshot = snapshots.read().map_err(read)?.ok_or_else(missing)?;
    let last = snapshot.meta.last_log_id.ok_or_else(missing)?;
    Ok(Fetched::Snapshot {
        offset: offset_of(last.index),
        epoch: epoch_of(term_of(&last)),
        bytes: snapshot.snapshot,
    })
}
