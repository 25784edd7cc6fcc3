//! Finding batches of a segment by offset and by time.
//!
//! Indexes are hints until a check has compared them with the batches: an entry counts only if the batch that it names says so.

use std::io;

use klamm_records::NO_TIMESTAMP;

use super::Segment;
use crate::LogError;
use crate::disk::{OpenMode, Wait, is_unreadable};
use crate::files::SegmentFiles;
use crate::index::{IndexView, OffsetEntry, TimeEntry, read_entries};
use crate::names;
use crate::scan::{Found, Scan, ScanError};

impl Segment {
    /// The batch in the file that contains an offset, or the first one behind it.
    pub(crate) fn find(&self, offset: i64) -> Result<Option<Found>, LogError> {
        find(&self.files, &self.offsets.view(), self.written, offset).map_err(|error| self.failure(error))
    }

    /// The largest timestamp of the segment and the last offset of its batch; `None` if no batch has one.
    ///
    /// # Errors
    /// A batch on which the answer rests is damaged.
    pub(crate) fn max_timestamp(&self) -> Result<Option<TimeEntry>, LogError> {
        if let Some((position, reason)) = self.damage.clone() {
            return Err(LogError::Damaged { path: self.files.log_path(), position, reason });
        }
        let max = match (self.max, self.looked_up_max.get()) {
            (Some(max), _) => Some(max),
            (None, Some(max)) => *max,
            (None, None) => {
                let max = self.stored_max().map_err(|error| self.failure(error))?;
                *self.looked_up_max.get_or_init(|| max)
            }
        };
        Ok(max.filter(|max| max.timestamp > NO_TIMESTAMP))
    }

    /// An offset before which no batch has a timestamp as large as this.
    pub(crate) fn first_candidate(&self, timestamp: i64) -> Result<i64, LogError> {
        let base = self.base_offset();
        let file = self.files.open(names::TIME_INDEX, OpenMode::Read).ok();
        let open = || file.as_deref().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
        let entry =
            self.times.view().last_where(base, Wait::Allowed, open, |entry| entry.timestamp < timestamp);
        let path = self.files.path(names::TIME_INDEX);
        match entry.map_err(LogError::io("read", &path))? {
            Some(entry) if self.is_true(entry).map_err(|error| self.failure(error.into()))? => {
                Ok(entry.offset)
            }
            _ => Ok(base),
        }
    }

    /// What an error of a walk through the segment's file means. Damage leaves nothing of it trusted until it is checked.
    pub(crate) fn failure(&self, error: ScanError) -> LogError {
        let path = self.files.log_path();
        match error {
            ScanError::Io(error) => {
                if is_unreadable(&error) {
                    self.files.trust().doubt(self.written);
                }
                LogError::io("read", &path)(error)
            }
            ScanError::Damaged { position, reason } => {
                self.files.trust().disbelieve(self.written);
                LogError::Damaged { path, position, reason }
            }
        }
    }

    fn is_true(&self, entry: TimeEntry) -> io::Result<bool> {
        if !self.files.trust().doubts_indexes() {
            return Ok(true);
        }
        is_true(&self.files, &self.offsets.view(), self.written, entry)
    }

    /// The last entry of a closed segment's time index; if that is not true, or not the largest, what the batches say.
    fn stored_max(&self) -> Result<Option<TimeEntry>, ScanError> {
        let last = self.times.len().checked_sub(1);
        let file = self.files.open(names::TIME_INDEX, OpenMode::Read)?;
        let read = |last| read_entries::<TimeEntry>(&*file, self.base_offset(), last, 1, Wait::Allowed);
        let entry = last.map(read).transpose()?.and_then(|read| read.first().copied());
        let doubts = self.files.trust().doubts_indexes();
        let (view, end) = (self.offsets.view(), self.written);
        if let Some(entry) = entry
            && (!doubts || is_max(&self.files, &view, (self.written, end), Some(entry))?)
        {
            return Ok(Some(entry));
        }
        let (log, mut max) = (self.files.log()?, None::<TimeEntry>);
        let mut next_offset = self.base_offset();
        let mut scan = Scan::verifying(&**log, 0, self.written);
        while let Some(found) = scan.next()? {
            scan.verify(&found)?;
            next_offset = found.header.next_offset();
            let (timestamp, offset) = (found.header.max_timestamp, found.header.last_offset());
            if max.is_none_or(|max| timestamp > max.timestamp) {
                max = Some(TimeEntry { timestamp, offset });
            }
        }
        match self.ending.missing(next_offset) {
            Some(reason) => Err(ScanError::Damaged { position: self.written, reason }),
            None => Ok(max),
        }
    }
}

/// Whether a time is true, and no batch that begins behind it and before `end` has a larger one: an index that has lost its end
/// names only true ones. `None` is that of a segment without any timestamp before `end`.
pub(crate) fn is_max(
    files: &SegmentFiles,
    index: &IndexView<OffsetEntry>,
    (written, end): (u64, u64),
    max: Option<TimeEntry>,
) -> io::Result<bool> {
    let from = match max {
        Some(max) if is_true(files, index, written, max)? => max.offset,
        Some(_) => return Ok(false),
        None => files.base_offset(),
    };
    let largest = max.map_or(NO_TIMESTAMP, |max| max.timestamp);
    match first_larger(files, index, (written, end), from, largest) {
        Ok(first) => Ok(first.is_none()),
        Err(ScanError::Damaged { .. }) => Ok(false),
        Err(ScanError::Io(error)) => Err(error),
    }
}

/// The first batch from that of the offset on, but before `end`, with a larger timestamp.
fn first_larger(
    files: &SegmentFiles,
    index: &IndexView<OffsetEntry>,
    (written, end): (u64, u64),
    offset: i64,
    largest: i64,
) -> Result<Option<Found>, ScanError> {
    let Some(mut found) = find(files, index, written, offset)? else { return Ok(None) };
    let log = files.log()?;
    let mut scan = Scan::headers(&**log, found.end(), written, Wait::Allowed);
    while found.position < end {
        if found.header.max_timestamp > largest {
            return Ok(Some(found));
        }
        match scan.next()? {
            Some(next) => found = next,
            None => break,
        }
    }
    Ok(None)
}

/// Whether the batch that contains the entry's offset has the entry's timestamp.
pub(crate) fn is_true(
    files: &SegmentFiles,
    index: &IndexView<OffsetEntry>,
    written: u64,
    entry: TimeEntry,
) -> io::Result<bool> {
    match find(files, index, written, entry.offset) {
        Ok(Some(found)) => {
            let is_there = found.header.base_offset <= entry.offset;
            Ok(is_there && found.header.max_timestamp == entry.timestamp)
        }
        Ok(None) | Err(ScanError::Damaged { .. }) => Ok(false),
        Err(ScanError::Io(error)) => Err(error),
    }
}

fn find(
    files: &SegmentFiles,
    index: &IndexView<OffsetEntry>,
    written: u64,
    offset: i64,
) -> Result<Option<Found>, ScanError> {
    let log = files.log()?;
    let open = || files.offset_index().map(|file| &**file);
    let before = |entry: &OffsetEntry| entry.offset <= offset;
    let entry = index.last_where(files.base_offset(), Wait::Allowed, open, before)?;
    let mut position = 0;
    if let Some(entry) = entry {
        match Scan::headers(&**log, entry.position, written, Wait::Allowed).next() {
            Ok(Some(found)) if found.header.last_offset() == entry.offset => position = entry.position,
            Ok(_) | Err(ScanError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let mut scan = Scan::headers(&**log, position, written, Wait::Allowed);
    while let Some(found) = scan.next()? {
        if found.header.last_offset() >= offset {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
