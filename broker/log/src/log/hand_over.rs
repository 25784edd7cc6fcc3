//! Producers whose last batches were deleted: a log that begins behind those learns of them from its leader.
//!
//! What a log knows of its producers comes from the batches that it holds. A follower that starts over where its leader's log
//! begins never sees the batches before; as a leader later it would take any sequence number of their producers for the first,
//! and refuse the batch that comes before it for ever.

use bytes::Bytes;

use super::Log;
use crate::disk::remove_if_exists;
use crate::producer::snapshot;
use crate::{LogError, names};

impl Log {
    /// Whether the log is empty, records came before it, and nothing in it says who produced those. It stays so, over
    /// restarts too, until it is told or holds records.
    pub fn lacks_producers(&self) -> bool {
        let end = self.end_offset;
        let is_told = || {
            self.snapshots.contains(&end) || self.waiting_snapshots.iter().any(|(offset, _)| *offset == end)
        };
        self.start_offset == end && end > 0 && !is_told()
    }

    /// What is known of the producers by their batches before `offset`, as the contents of a `.snapshot` file.
    pub fn producers_before(&self, offset: i64) -> Bytes {
        snapshot::encode(&self.producers.before(offset)).into()
    }

    /// Takes over the producers that this log does not know. They become durable with the next records. Returns false, and
    /// changes nothing, when the contents are not those of a sound `.snapshot` file.
    pub fn adopt_producers(&mut self, contents: &[u8]) -> bool {
        let Some(producers) = snapshot::decode(contents) else { return false };
        self.producers.adopt(producers);
        self.snapshot_producers(self.end_offset);
        true
    }

    /// Stores what is known of the producers at the end, unless that is still to be asked for.
    pub(super) fn snapshot_known_producers(&mut self) {
        if !self.lacks_producers() {
            self.snapshot_producers(self.end_offset);
        }
    }

    /// A log without segments knows what the snapshot at its start tells. Others are of a log that is gone.
    pub(super) fn restore_producers(&mut self, snapshots: &[i64]) -> Result<(), LogError> {
        for offset in snapshots.iter().copied() {
            let path = self.path(offset, names::SNAPSHOT);
            let read = snapshot::read(&*self.disk, &path).map_err(LogError::io("read", &path))?;
            match read.filter(|_| offset == self.start_offset) {
                Some(producers) => (self.producers, self.snapshots) = (producers, vec![offset]),
                None => remove_if_exists(&*self.disk, &path).map_err(LogError::io("remove", &path))?,
            }
        }
        Ok(())
    }
}
