//! Compaction's two ends: choosing the segments, and putting their replacements in place.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use super::Log;
use crate::compaction::{CompactionJob, CompactionOutcome, Source, Target};
use crate::disk::{Disk, OpenMode, Wait, remove_if_exists};
use crate::files::SegmentFiles;
use crate::index::TimeEntry;
use crate::names::{
    CLEANED_SUFFIX, DELETED_SUFFIX, LOG, OFFSET_INDEX, SEGMENT_EXTENSIONS, SWAP_SUFFIX, TIME_INDEX,
    segment_file, with_suffix,
};
use crate::scan::{Scan, ScanError};
use crate::segment::Segment;
use crate::{DeletedFiles, LogError};

/// Memory for the last offset of each key.
const MAP_BYTES: usize = 64 << 20;

impl Log {
    /// A compaction of the closed segments below `high_watermark`, if `cleanup.policy` says so and at least `min_dirty`
    /// (`min.cleanable.dirty.ratio`) of their bytes lie at or behind `first_dirty`, up to which they were compacted before.
    ///
    /// The job runs without the log's lock; one at a time. Its outcome goes to
    /// [`finish_compaction`](Self::finish_compaction).
    pub fn plan_compaction(
        &self,
        first_dirty: i64,
        high_watermark: i64,
        min_dirty: f64,
        now_ms: i64,
    ) -> Option<CompactionJob> {
        if !self.config.cleanup_compact || self.offline.is_some() {
            return None;
        }
        let busy_from = self.in_flight.map_or(i64::MAX, |in_flight| in_flight.oldest_segment);
        let closed = self.segments.iter().enumerate().take(self.segments.len().saturating_sub(1));
        let ready = closed.take_while(|(index, segment)| {
            let end = self.segment_end(*index);
            segment.written == segment.size
                && !segment.unfinished
                && end <= high_watermark
                && end <= busy_from
                && self.is_older_than(segment, self.config.min_compaction_lag_ms, now_ms)
        });
        let sources: Vec<Source> = ready.map(|(index, segment)| self.source(index, segment)).collect();
        let bytes =
            |sources: &mut dyn Iterator<Item = &Source>| sources.map(|source| source.size).sum::<u64>();
        let total = bytes(&mut sources.iter());
        let dirty = bytes(&mut sources.iter().filter(|source| source.end_offset > first_dirty));
        let is_overdue = || self.is_overdue(first_dirty, now_ms);
        if dirty == 0 || ((dirty as f64) < min_dirty * total as f64 && !is_overdue()) {
            return None;
        }
        Some(CompactionJob {
            disk: Arc::clone(&self.disk),
            dir: Arc::clone(&self.dir),
            config: self.config.clone(),
            sources,
            first_dirty,
            now_ms,
            map_bytes: MAP_BYTES,
            cancelled: Arc::default(),
        })
    }

    /// Whether the oldest segment that was not compacted yet is older than `max.compaction.lag.ms`.
    fn is_overdue(&self, first_dirty: i64, now_ms: i64) -> bool {
        let limit = self.config.max_compaction_lag_ms;
        let oldest = self.segments.get(self.segment_index(first_dirty.max(self.start_offset)));
        limit < i64::MAX && oldest.is_some_and(|segment| self.is_older_than(segment, limit, now_ms))
    }

    /// Whether all records of a segment are older than this. Without any timestamp they have no age to wait for.
    fn is_older_than(&self, segment: &Segment, age_ms: i64, now_ms: i64) -> bool {
        let is_old = |max: TimeEntry| now_ms.saturating_sub(max.timestamp) >= age_ms;
        age_ms <= 0 || segment.max_timestamp().is_ok_and(|max| max.is_none_or(is_old))
    }

    fn source(&self, index: usize, segment: &Segment) -> Source {
        Source {
            files: Arc::clone(&segment.files),
            size: segment.size,
            end_offset: self.segment_end(index),
            ending: segment.ending,
        }
    }

    /// Puts the replacements in place of the segments they were made from. If the log has changed in the meantime (a
    /// truncation, retention), nothing is replaced and `None` returned.
    pub fn finish_compaction(
        &mut self,
        outcome: CompactionOutcome,
    ) -> Result<Option<DeletedFiles>, LogError> {
        self.require_online()?;
        let Some(first) = self.position_of(&outcome.sources) else {
            let discarded = outcome.targets.iter().try_for_each(|target| self.discard(target));
            return discarded.map(|()| None).map_err(LogError::io("remove a replacement in", &self.dir));
        };
        let targets = outcome.targets.iter().map(|target| self.target_segment(target)).collect::<Vec<_>>();
        let result = self.swap(&outcome);
        let paths = result.map_err(|error| self.poison(error.to_string()))?;
        let end = first + outcome.sources.len();
        // Nobody shall find in memory what is gone from the files.
        self.tail.drop_before(outcome.sources.last().map_or(0, |source| source.end_offset));
        let bytes = outcome.sources.iter().map(|source| source.size).sum();
        let mut replaced = Vec::with_capacity(targets.len());
        for (files, size) in targets {
            let segment = Segment::closed(Arc::clone(&files), size, -1);
            let segment = segment.map_err(|error| self.poison(error.to_string()))?;
            // This process has just written it.
            files.trust().accept();
            replaced.push(segment);
        }
        self.segments.splice(first..end, replaced);
        Ok(Some(DeletedFiles { paths, bytes }))
    }

    /// Where the sources stand in the log, if all of them still do.
    fn position_of(&self, sources: &[Source]) -> Option<usize> {
        let first = sources.first()?;
        let start = self.segments.iter().position(|segment| Arc::ptr_eq(&segment.files, &first.files))?;
        let found = self.segments.get(start..start + sources.len())?;
        let same = |(segment, source): (&Segment, &Source)| Arc::ptr_eq(&segment.files, &source.files);
        found.iter().zip(sources).all(same).then_some(start)
    }

    fn target_segment(&self, target: &Target) -> (Arc<SegmentFiles>, u64) {
        let files = SegmentFiles::new(Arc::clone(&self.disk), Arc::clone(&self.dir), target.base_offset);
        (Arc::new(files), target.size)
    }

    /// Renames the old files away and the new ones into place; each step is durable before the next one. From the first
    /// step on, a start completes what was begun.
    fn swap(&self, outcome: &CompactionOutcome) -> io::Result<Vec<PathBuf>> {
        let mut deleted = Vec::new();
        self.rename_targets(outcome, CLEANED_SUFFIX, SWAP_SUFFIX)?;
        for source in &outcome.sources {
            for extension in SEGMENT_EXTENSIONS {
                let path = source.files.path(extension);
                let renamed = with_suffix(&path, DELETED_SUFFIX);
                match self.disk.rename(&path, &renamed) {
                    Ok(()) => deleted.push(renamed),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.disk.sync_dir(&self.dir)?;
        self.rename_targets(outcome, SWAP_SUFFIX, "")?;
        Ok(deleted)
    }

    /// The log goes last: a start that finds it builds the indexes anew.
    fn rename_targets(&self, outcome: &CompactionOutcome, from: &str, to: &str) -> io::Result<()> {
        for target in &outcome.targets {
            for extension in [OFFSET_INDEX, TIME_INDEX, LOG] {
                let path = self.dir.join(segment_file(target.base_offset, extension));
                self.disk.rename(&with_suffix(&path, from), &with_suffix(&path, to))?;
            }
        }
        self.disk.sync_dir(&self.dir)
    }

    fn discard(&self, target: &Target) -> io::Result<()> {
        for extension in [LOG, OFFSET_INDEX, TIME_INDEX] {
            let path = self.dir.join(segment_file(target.base_offset, extension));
            remove_if_exists(&*self.disk, &with_suffix(&path, CLEANED_SUFFIX))?;
        }
        Ok(())
    }
}

/// Completes, at a start, the replacement of segments that was under way: the finished log at `base_offset` takes the
/// place of all segments whose offsets it covers. Returns the base offsets that are gone.
pub(super) fn complete_swap(
    disk: &Arc<dyn Disk>,
    dir: &Arc<std::path::Path>,
    base_offset: i64,
    bases: &[i64],
) -> Result<Vec<i64>, LogError> {
    let path = dir.join(segment_file(base_offset, LOG));
    let swap = with_suffix(&path, SWAP_SUFFIX);
    let end = end_of(&**disk, &swap).map_err(LogError::io("read", &swap))?;
    let covered: Vec<i64> = bases.iter().copied().filter(|base| (base_offset..end).contains(base)).collect();
    for base in covered.iter().copied().chain([base_offset]) {
        for extension in SEGMENT_EXTENSIONS {
            let path = dir.join(segment_file(base, extension));
            remove_if_exists(&**disk, &path).map_err(LogError::io("remove", &path))?;
        }
    }
    disk.sync_dir(dir).map_err(LogError::io("sync", dir))?;
    disk.rename(&swap, &path).map_err(LogError::io("rename", &swap))?;
    disk.sync_dir(dir).map_err(LogError::io("sync", dir))?;
    Ok(covered)
}

/// The offset behind the last batch of a finished log.
fn end_of(disk: &dyn Disk, path: &std::path::Path) -> io::Result<i64> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut scan = Scan::headers(&*file, 0, file.len()?, Wait::Allowed);
    let mut end = 0;
    loop {
        match scan.next() {
            Ok(Some(found)) => end = found.header.next_offset(),
            Ok(None) => return Ok(end),
            Err(ScanError::Io(error)) => return Err(error),
            Err(ScanError::Damaged { reason, .. }) => {
                return Err(io::Error::new(ErrorKind::InvalidData, reason));
            }
        }
    }
}
