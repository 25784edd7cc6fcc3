//! Answering for timestamps (`ListOffsets`), the only reads that look at records.

use klamm_records::{Batch, BatchError, BatchHeader, Record};

use super::Log;
use crate::LogError;
use crate::disk::{OpenMode, Wait, read_exact_at};
use crate::index::{OffsetEntry, TimeEntry};
use crate::names;
use crate::scan::{Scan, ScanError};
use crate::segment::Segment;

/// Most bytes that one batch may take once decompressed.
const MAX_DECOMPRESSED: usize = 256 << 20;

/// A record found by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The record's timestamp, Unix ms.
    pub timestamp: i64,
    /// Its offset.
    pub offset: i64,
    /// Leader epoch of its batch.
    pub leader_epoch: i32,
}

impl Log {
    /// The first record, not before the start of the log, whose timestamp is at least `timestamp`.
    pub fn offset_for_timestamp(&self, timestamp: i64) -> Result<Option<TimestampOffset>, LogError> {
        self.require_online()?;
        for segment in &self.segments {
            let max = segment.max_timestamp().map_err(LogError::io("read", &segment.files.log_path()))?;
            if max.is_none_or(|max| max.timestamp < timestamp) {
                continue;
            }
            let wanted = |header: &BatchHeader| header.max_timestamp >= timestamp;
            let record = |record: &Record| record.timestamp >= timestamp;
            let from = first_candidate(segment, timestamp)?.max(self.start_offset);
            if let Some(found) = self.search(segment, from, wanted, record)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp of the log (`ListOffsets` timestamp −3).
    pub fn max_timestamp_offset(&self) -> Result<Option<TimestampOffset>, LogError> {
        self.require_online()?;
        let mut best: Option<(&Segment, TimeEntry)> = None;
        for segment in &self.segments {
            let max = segment.max_timestamp().map_err(LogError::io("read", &segment.files.log_path()))?;
            let better = |max: &TimeEntry| best.is_none_or(|(_, best)| max.timestamp > best.timestamp);
            best = max.filter(better).map(|max| (segment, max)).or(best);
        }
        let Some((segment, max)) = best else { return Ok(None) };
        let wanted = |header: &BatchHeader| header.max_timestamp >= max.timestamp;
        let record = |record: &Record| record.timestamp >= max.timestamp;
        self.search(segment, max.offset.max(self.start_offset), wanted, record)
    }

    /// The first record of a segment at or behind `from` that matches, in its file and then in memory.
    fn search(
        &self,
        segment: &Segment,
        from: i64,
        wanted: impl Fn(&BatchHeader) -> bool,
        record: impl Fn(&Record) -> bool,
    ) -> Result<Option<TimestampOffset>, LogError> {
        let matches = |record_: &Record| record_.offset >= self.start_offset && record(record_);
        if let Some(found) = search_file(segment, from, &wanted, &matches)? {
            return Ok(Some(found));
        }
        let end = self.segment_end(self.segment_index(segment.base_offset()));
        for (bytes, header) in self.tail.batches(from).take_while(|(_, header)| header.base_offset < end) {
            if wanted(&header)
                && let Some(found) = first_record(&Batch { header, bytes }, &matches, segment, 0)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// An offset before which no batch of the segment has the timestamp.
fn first_candidate(segment: &Segment, timestamp: i64) -> Result<i64, LogError> {
    let base = segment.base_offset();
    let file = segment.files.open(names::TIME_INDEX, OpenMode::Read).ok();
    let earlier = |entry: &TimeEntry| entry.timestamp < timestamp;
    let no_file = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let open = || file.as_deref().ok_or_else(no_file);
    let entry = segment.times.view().last_where(base, Wait::Allowed, open, earlier);
    let path = segment.files.path(names::TIME_INDEX);
    Ok(entry.map_err(LogError::io("read", &path))?.map_or(base, |entry| entry.offset))
}

fn search_file(
    segment: &Segment,
    from: i64,
    wanted: &impl Fn(&BatchHeader) -> bool,
    matches: &impl Fn(&Record) -> bool,
) -> Result<Option<TimestampOffset>, LogError> {
    if segment.written == 0 {
        return Ok(None);
    }
    let path = segment.files.log_path();
    let (base, index) = (segment.base_offset(), segment.offsets.view());
    let open = || segment.files.offset_index().map(|file| &**file);
    let before = |entry: &OffsetEntry| entry.offset <= from;
    let entry = index.last_where(base, Wait::Allowed, open, before).map_err(LogError::io("read", &path))?;
    let file = segment.files.log().map_err(LogError::io("open", &path))?;
    let position = entry.filter(|entry| entry.position < segment.written).map_or(0, |entry| entry.position);
    let mut scan = Scan::headers(&**file, position, segment.written, Wait::Allowed);
    loop {
        let found = match scan.next() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(ScanError::Io(error)) => return Err(LogError::io("read", &path)(error)),
            Err(ScanError::Damaged { position, reason }) => {
                return Err(LogError::Damaged { path, position, reason });
            }
        };
        if found.header.last_offset() < from || !wanted(&found.header) {
            continue;
        }
        let mut bytes = vec![0; found.header.size_in_bytes()];
        read_exact_at(&**file, &mut bytes, found.position).map_err(LogError::io("read", &path))?;
        let batch = Batch { header: found.header, bytes: bytes.into() };
        if let Some(found) = first_record(&batch, matches, segment, found.position)? {
            return Ok(Some(found));
        }
    }
}

fn first_record(
    batch: &Batch,
    matches: &impl Fn(&Record) -> bool,
    segment: &Segment,
    position: u64,
) -> Result<Option<TimestampOffset>, LogError> {
    let damaged = |reason: BatchError| {
        let path = segment.files.log_path();
        LogError::Damaged { path, position, reason: reason.into() }
    };
    let leader_epoch = batch.header.leader_epoch;
    for record in batch.records(MAX_DECOMPRESSED).map_err(damaged)? {
        let record = record.map_err(damaged)?;
        if matches(&record) {
            let (timestamp, offset) = (record.timestamp, record.offset);
            return Ok(Some(TimestampOffset { timestamp, offset, leader_epoch }));
        }
    }
    Ok(None)
}
