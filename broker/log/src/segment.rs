//! One segment: what the log knows of a `.log` file and its two indexes.

mod search;

use std::io;
use std::sync::{Arc, OnceLock};

use klamm_records::{BatchHeader, NO_TIMESTAMP};

use crate::check::Ending;
use crate::disk::OpenMode;
use crate::files::SegmentFiles;
use crate::index::{IndexEntry, OffsetEntry, SparseIndex, TimeEntry};
use crate::{Damage, LogConfig};

pub(crate) use search::{is_max, is_true};

/// A segment without any timestamp.
const NO_TIME: TimeEntry = TimeEntry { timestamp: NO_TIMESTAMP, offset: -1 };

/// One segment. The last one of a log grows, the others only wait to be read and deleted.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) files: Arc<SegmentFiles>,
    /// Bytes appended, in the file or on their way.
    pub(crate) size: u64,
    /// Bytes in the file.
    pub(crate) written: u64,
    pub(crate) offsets: SparseIndex<OffsetEntry>,
    pub(crate) times: SparseIndex<TimeEntry>,
    bytes_since_entry: u64,
    /// What an entry for the last batch would say, if it has none.
    unindexed: Option<OffsetEntry>,
    pub(crate) ending: Ending,
    /// The largest timestamp and the end of its batch; `None` in a segment that was closed before the process.
    max: Option<TimeEntry>,
    /// The same of such a segment, once somebody has asked: nothing is appended to it, and a truncation makes it anew.
    looked_up_max: OnceLock<Option<TimeEntry>>,
    /// A batch with a wrong checksum, and what is wrong with it: nothing that rests on all batches is known.
    pub(crate) damage: Option<(u64, Damage)>,
    /// Timestamp of the last entry in the time index.
    indexed_timestamp: i64,
    /// Largest timestamp of the first batch, from which `segment.ms` counts.
    first_timestamp: Option<i64>,
    /// Whether the `.log` file exists.
    pub(crate) created: bool,
    /// Whether a job tried to create it: it may exist after a failure, too.
    pub(crate) attempted: bool,
    /// Closed, and its indexes are not complete on disk.
    pub(crate) unfinished: bool,
    /// Written since the last sync.
    pub(crate) unsynced: bool,
    /// Its index files must be part of the next sync.
    pub(crate) indexes_unsynced: bool,
}

impl Segment {
    /// A segment without any bytes, not on disk yet.
    pub(crate) fn empty(files: Arc<SegmentFiles>) -> Self {
        Self {
            files,
            size: 0,
            written: 0,
            offsets: SparseIndex::new(0),
            times: SparseIndex::new(0),
            bytes_since_entry: 0,
            unindexed: None,
            ending: Ending::OPEN,
            max: Some(NO_TIME),
            looked_up_max: OnceLock::new(),
            damage: None,
            indexed_timestamp: NO_TIMESTAMP,
            first_timestamp: None,
            created: false,
            attempted: false,
            unfinished: false,
            unsynced: false,
            indexes_unsynced: false,
        }
    }

    /// A segment on disk whose indexes are complete and trusted; the next one begins at `end_offset`.
    pub(crate) fn closed(files: Arc<SegmentFiles>, size: u64, end_offset: i64) -> io::Result<Self> {
        let offsets = SparseIndex::new(stored_entries::<OffsetEntry>(&files)?);
        let times = SparseIndex::new(stored_entries::<TimeEntry>(&files)?);
        files.trust().believe(size);
        files.trust().believe_indexes(offsets.len(), times.len());
        let ending = Ending::of(&files, end_offset);
        let empty = Self::empty(files);
        Ok(Self { size, written: size, offsets, times, ending, max: None, created: true, ..empty })
    }

    pub(crate) fn base_offset(&self) -> i64 {
        self.files.base_offset()
    }

    /// A segment on disk of which `kept` bytes and the index entries up to there are known; more batches are noted
    /// with [`note`](Self::note) as they are found in the file.
    pub(crate) fn resumed(
        files: Arc<SegmentFiles>,
        kept: u64,
        offsets: usize,
        times: usize,
        max: Option<TimeEntry>,
    ) -> Self {
        files.trust().believe(kept);
        files.trust().believe_indexes(offsets, times);
        let (offsets, times) = (SparseIndex::new(offsets), SparseIndex::new(times));
        let max = max.unwrap_or(NO_TIME);
        let indexed_timestamp = max.timestamp;
        let max = Some(max);
        Self {
            size: kept,
            written: kept,
            offsets,
            times,
            max,
            indexed_timestamp,
            created: true,
            ..Self::empty(files)
        }
    }

    /// Sets the timestamp that `segment.ms` counts from.
    pub(crate) fn set_first_timestamp(&mut self, timestamp: i64) {
        self.first_timestamp = Some(timestamp);
    }

    /// Accounts for a batch appended at the end, and indexes it if the last entry is far enough away.
    pub(crate) fn append(&mut self, header: &BatchHeader, index_interval: u64) {
        self.note(header, index_interval, true);
    }

    /// Like [`append`](Self::append); `index` is false for a batch whose entry is stored already.
    pub(crate) fn note(&mut self, header: &BatchHeader, index_interval: u64, index: bool) {
        let max = self.max.get_or_insert(NO_TIME);
        if header.max_timestamp > max.timestamp {
            *max = TimeEntry { timestamp: header.max_timestamp, offset: header.last_offset() };
        }
        if self.size == 0 {
            self.first_timestamp = Some(header.max_timestamp);
        }
        let entry = OffsetEntry { offset: header.last_offset(), position: self.size };
        self.unindexed = Some(entry).filter(|entry| index && entry.position <= u64::from(u32::MAX >> 1));
        if !index {
            self.bytes_since_entry = 0;
        } else if self.bytes_since_entry > index_interval
            && let Some(entry) = self.unindexed.take()
        {
            self.offsets.push(entry);
            self.push_max_timestamp();
            self.bytes_since_entry = 0;
        }
        let size = header.size_in_bytes() as u64;
        self.size += size;
        self.bytes_since_entry += size;
    }

    /// Whether the batch, which would end at `last_offset`, must go to a new segment.
    pub(crate) fn is_full_for(&self, header: &BatchHeader, config: &LogConfig) -> bool {
        if self.size == 0 {
            return false;
        }
        let size = header.size_in_bytes() as u64;
        let limit = config.segment_ms.saturating_sub(config.jitter(self.base_offset()));
        let age = self.first_timestamp.map_or(0, |first| header.max_timestamp.saturating_sub(first));
        let full = |entries: usize, entry: usize| ((entries + 1) * entry) as u64 > config.segment_index_bytes;
        self.size.saturating_add(size) > config.segment_bytes
            || age > limit
            || full(self.offsets.len() + 1, OffsetEntry::SIZE)
            || full(self.times.len() + 1, TimeEntry::SIZE)
            || header.last_offset().saturating_sub(self.base_offset()) > i64::from(i32::MAX)
    }

    /// Completes the indexes: nothing follows in this segment.
    pub(crate) fn close(&mut self) {
        self.complete_indexes();
        self.unfinished = true;
    }

    /// The last entry of a closed segment's offset index is its last batch, so that a file that has lost it can be told from one
    /// that never had more; that of its time index is its largest timestamp.
    pub(crate) fn complete_indexes(&mut self) {
        if let Some(entry) = self.unindexed.take() {
            self.offsets.push(entry);
        }
        self.push_max_timestamp();
    }

    /// Adds the largest timestamp to the time index unless it is there.
    fn push_max_timestamp(&mut self) {
        if let Some(max) = self.max.filter(|max| max.timestamp > self.indexed_timestamp) {
            self.indexed_timestamp = max.timestamp;
            self.times.push(max);
        }
    }

    /// Whether index entries wait in memory.
    pub(crate) fn has_waiting_entries(&self) -> bool {
        self.offsets.has_waiting() || self.times.has_waiting()
    }
}

/// How many whole entries the index file of a segment holds; an error if there is no such file.
pub(crate) fn stored_entries<E: IndexEntry>(files: &SegmentFiles) -> io::Result<usize> {
    let length = files.open(E::EXTENSION, OpenMode::Read)?.len()?;
    Ok(usize::try_from(length).unwrap_or(usize::MAX) / E::SIZE)
}
