//! Reading: the tail answers at once, older offsets become a read of one segment file.

use std::path::PathBuf;
use std::sync::Arc;

use super::Log;
use crate::check::{Frame, SegmentCheck};
use crate::disk::{Wait, remove_if_exists};
use crate::read::{Chunk, DiskRead, LogRead, ReadPlan};
use crate::segment::Segment;
use crate::{LogError, ReadError, names};

impl Log {
    /// Reads whole batches from the one that contains `from` on: up to `max_bytes` but at least one, none that reaches
    /// beyond `upper_exclusive`. May wait for the disk; see [`plan_read`](Self::plan_read) for a read that does not.
    pub fn read(&self, from: i64, max_bytes: usize, upper_exclusive: i64) -> Result<LogRead, ReadError> {
        let mut at = from;
        loop {
            let read = match self.plan_read(at, max_bytes, upper_exclusive)? {
                ReadPlan::Ready(read) => read,
                ReadPlan::Disk(disk) => disk.run(Wait::Allowed)?,
            };
            if !read.chunks.is_empty() || read.next_offset <= at {
                return Ok(read);
            }
            at = read.next_offset;
        }
    }

    /// The part of a read that needs the log. Touches no file; what is left runs without the log's lock.
    ///
    /// A result without chunks whose next offset lies behind `from` says that there is a gap: plan again from there.
    pub fn plan_read(
        &self,
        from: i64,
        max_bytes: usize,
        upper_exclusive: i64,
    ) -> Result<ReadPlan, ReadError> {
        if let Some(reason) = &self.offline {
            return Err(ReadError::Offline(reason.clone()));
        }
        if from < self.start_offset || from > self.end_offset {
            return Err(ReadError::OutOfRange {
                offset: from,
                start: self.start_offset,
                end: self.end_offset,
            });
        }
        let upper = upper_exclusive.min(self.end_offset);
        if from >= upper {
            return Ok(ReadPlan::Ready(LogRead::empty(from)));
        }
        if self.tail.start().is_some_and(|start| start <= from) {
            let read = self.tail.read(from, max_bytes, upper);
            let next_offset = read.next_offset.unwrap_or(from);
            let chunks = read.chunks.into_iter().map(Chunk::Bytes).collect();
            return Ok(ReadPlan::Ready(LogRead { chunks, next_offset }));
        }
        Ok(self.plan_disk_read(from, max_bytes, upper))
    }

    fn plan_disk_read(&self, from: i64, max_bytes: usize, upper: i64) -> ReadPlan {
        let index = self.segment_index(from);
        let end_offset = self.segment_end(index).min(self.written_end.max(from));
        let holds_any = |segment: &&Segment| segment.written > 0 || segment.ending.missing(from).is_some();
        match self.segments.get(index).filter(holds_any) {
            None => ReadPlan::Ready(LogRead::empty(self.first_behind(from))),
            Some(_) if end_offset <= from => ReadPlan::Ready(LogRead::empty(self.first_behind(from))),
            Some(segment) => ReadPlan::Disk(DiskRead {
                files: Arc::clone(&segment.files),
                index: segment.offsets.view(),
                frame: self.frame(segment, end_offset),
                from,
                max_bytes,
                upper,
            }),
        }
    }

    /// A check of the oldest segment that holds data of which nobody knows whether they are sound; `None` if there is none.
    pub fn plan_check(&self) -> Option<SegmentCheck> {
        self.segments.iter().enumerate().find_map(|(index, segment)| {
            let end_offset = self.segment_end(index).min(self.written_end.max(segment.base_offset()));
            let is_closed = index + 1 < self.segments.len();
            let snapshots = self.doubtful_snapshots.iter().copied();
            let is_here =
                |offset: &i64| self.snapshots.contains(offset) && self.segment_index(*offset) == index;
            let snapshots = snapshots.filter(is_here).collect();
            SegmentCheck::new(&segment.files, self.frame(segment, end_offset), is_closed, snapshots)
        })
    }

    /// Puts right what a finished check found wrong beside the records, unless it is gone meanwhile: entries of indexes are
    /// overwritten, broken producer snapshots removed. Returns the files. Writes little, but may wait for the disk.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn mend(&mut self, check: &SegmentCheck) -> Result<Vec<PathBuf>, LogError> {
        let is_checked = |segment: &&mut Segment| Arc::ptr_eq(&segment.files, check.files());
        let Some(segment) = self.segments.iter_mut().find(is_checked) else { return Ok(Vec::new()) };
        self.doubtful_snapshots.retain(|offset| !check.snapshots().contains(offset));
        let mut mended = check.mend_indexes()?;
        segment.indexes_unsynced |= !mended.is_empty();
        for offset in check.broken_snapshots() {
            let path = self.path(*offset, names::SNAPSHOT);
            if self.snapshots.contains(offset) {
                remove_if_exists(&*self.disk, &path).map_err(LogError::io("remove", &path))?;
                self.snapshots.retain(|other| other != offset);
                mended.push(path);
            }
        }
        Ok(mended)
    }

    pub(super) fn frame(&self, segment: &Segment, end_offset: i64) -> Frame {
        let epochs = match segment.files.trust().is_complete() {
            true => Vec::new(),
            false => self.epochs.entries().to_vec(),
        };
        Frame { end: segment.written, end_offset, ending: segment.ending, epochs }
    }

    /// Where data may go on when there is none at `from`.
    fn first_behind(&self, from: i64) -> i64 {
        let next_segment =
            self.segments.get(self.segment_index(from) + 1).map(|segment| segment.base_offset());
        let behind = |offset: &i64| *offset > from;
        next_segment.into_iter().chain(self.tail.start()).filter(behind).min().unwrap_or(from)
    }
}
