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
    if is_replaced(log, snapshots, first)? {
        return newest_snapshot(snapshots);
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
pub(crate) fn epoch_at(
    log: &LogStore,
    snapshots: &SnapshotStore,
    offset: i64,
    applied: i64,
) -> Result<Option<i32>, QuorumError> {
    match u64::try_from(offset) {
        Ok(index) if offset <= applied && !is_replaced(log, snapshots, index)? => {
            log.epoch_at(index).map_err(|error| QuorumError::storage("log", error))
        }
        _ => Ok(None),
    }
}

/// Whether what the log has at `first` is not what was applied there. When a snapshot of the leader's is installed the image
/// is the snapshot's at once, and until the log is purged it still has what this node had instead: entries that no other
/// node may know. A log that has the snapshot's last entry has all before it, too.
fn is_replaced(log: &LogStore, snapshots: &SnapshotStore, first: u64) -> Result<bool, QuorumError> {
    let Some(last) = snapshots.last_log_id().filter(|last| first <= last.index) else { return Ok(false) };
    let epoch = log.epoch_at(last.index).map_err(|error| QuorumError::storage("log", error))?;
    Ok(epoch != Some(epoch_of(term_of(&last))))
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use klamm_log::SimDisk;
    use openraft::storage::RaftLogStorageExt as _;

    use super::*;
    use crate::types::{Proposal, SnapshotMeta, log_id};

    fn entry(term: u64, index: u64) -> Entry {
        Entry { log_id: log_id(term, index), payload: Payload::Normal(Proposal(Bytes::from_static(b"x"))) }
    }

    async fn stores(entries: Vec<Entry>, snapshot: crate::types::LogId) -> (LogStore, SnapshotStore) {
        let (disk, dir) = (Arc::new(SimDisk::new(1)), Path::new("/metadata"));
        crate::files::create_dir(&*disk, dir).expect("a directory");
        let snapshots = SnapshotStore::open(disk.clone(), dir).expect("opens");
        let mut log = LogStore::open(disk, dir, 1 << 20, None).expect("opens");
        log.blocking_append(entries).await.expect("appended");
        let meta = SnapshotMeta { last_log_id: Some(snapshot), ..SnapshotMeta::default() };
        snapshots.save(&meta, b"image").expect("saved");
        (log, snapshots)
    }

    #[tokio::test]
    async fn what_an_installed_snapshot_replaces_is_not_served_while_it_is_still_in_the_log() {
        // A leader of epoch 1 wrote these, and nobody had them; the snapshot is of epoch 2. Nothing is purged yet.
        let replaced = (0..8).map(|index| entry(1, index)).collect();
        let (log, snapshots) = stores(replaced, log_id(2, 11)).await;
        let fetched = read(&log, &snapshots, 4, 12, 1 << 20).expect("read");
        assert!(matches!(fetched, Fetched::Snapshot { offset: 11, epoch: 2, .. }), "{fetched:?}");
        assert_eq!(epoch_at(&log, &snapshots, 5, 11).expect("read"), None);

        let longer = (0..20).map(|index| entry(1, index)).collect();
        let (log, snapshots) = stores(longer, log_id(2, 11)).await;
        let fetched = read(&log, &snapshots, 4, 12, 1 << 20).expect("read");
        assert!(matches!(fetched, Fetched::Snapshot { offset: 11, epoch: 2, .. }), "{fetched:?}");
        assert_eq!(epoch_at(&log, &snapshots, 5, 11).expect("read"), None);
    }

    #[tokio::test]
    async fn entries_behind_and_before_a_snapshot_of_the_same_log_are_served() {
        let entries = (0..20).map(|index| entry(1, index)).collect();
        let (log, snapshots) = stores(entries, log_id(1, 11)).await;
        for (from, count) in [(4, 16), (12, 8), (19, 1), (20, 0)] {
            match read(&log, &snapshots, from, 20, 1 << 20).expect("read") {
                Fetched::Batches(batches) => assert_eq!(batches.len(), count, "from {from}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(epoch_at(&log, &snapshots, 5, 19).expect("read"), Some(1));
    }
}
