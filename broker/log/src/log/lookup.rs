//! Answering for timestamps (`ListOffsets`), the only reads that look at records.

use klamm_records::{Batch, BatchError, BatchHeader, Record};

use super::Log;
use crate::LogError;
use crate::check::{Check, Progress, reads_are_checked};
use crate::disk::{Wait, read_exact_at};
use crate::index::TimeEntry;
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
            let max = segment.max_timestamp()?;
            if max.is_none_or(|max| max.timestamp < timestamp) {
                continue;
            }
            let wanted = |header: &BatchHeader| header.max_timestamp >= timestamp;
            let record = |record: &Record| record.timestamp >= timestamp;
            let from = segment.first_candidate(timestamp)?.max(self.start_offset);
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
            let max = segment.max_timestamp()?;
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
        if let Some(found) = self.search_file(segment, from, &wanted, &matches)? {
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

    fn search_file(
        &self,
        segment: &Segment,
        from: i64,
        wanted: &impl Fn(&BatchHeader) -> bool,
        matches: &impl Fn(&Record) -> bool,
    ) -> Result<Option<TimestampOffset>, LogError> {
        if segment.written == 0 {
            return Ok(None);
        }
        let Some(first) = segment.find(from)? else { return Ok(None) };
        let path = segment.files.log_path();
        let file = segment.files.log().map_err(LogError::io("open", &path))?;
        let mut scan = Scan::headers(&**file, first.position, segment.written, Wait::Allowed);
        while let Some(found) = scan.next().map_err(|error| segment.failure(error))? {
            if !wanted(&found.header) {
                continue;
            }
            let mut bytes = vec![0; found.header.size_in_bytes()];
            read_exact_at(&**file, &mut bytes, found.position)
                .map_err(|error| segment.failure(ScanError::Io(error)))?;
            let batch = Batch { header: found.header.clone(), bytes: bytes.into() };
            if let Some(record) = first_record(&batch, matches, segment, found.position)? {
                self.vouch(segment, first.position, found.end())?;
                return Ok(Some(record));
            }
        }
        self.vouch(segment, first.position, segment.written)?;
        Ok(None)
    }

    /// Checks batches that nobody in this process has seen before an answer is given that rests on them.
    fn vouch(&self, segment: &Segment, position: u64, end: u64) -> Result<(), LogError> {
        let trust = segment.files.trust();
        if !trust.is_doubtful(position, end) || !reads_are_checked() {
            return Ok(());
        }
        let file = segment.files.log().map_err(LogError::io("open", &segment.files.log_path()))?;
        let frame = self.frame(segment, self.segment_end(self.segment_index(segment.base_offset())));
        let mut progress = Progress::at(position, segment.base_offset());
        let checked = Check::new(&**file, &frame, &mut progress).run_to(end, |_| {});
        checked.map_err(|error| segment.failure(error))?;
        trust.note(position, end);
        Ok(())
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
