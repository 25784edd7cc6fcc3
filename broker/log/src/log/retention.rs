//! Giving up old segments: by age, by size, and those that lie before the start of the log.

use std::path::PathBuf;

use super::Log;
use crate::disk::{Disk, remove_if_exists};
use crate::names::{DELETED_SUFFIX, with_suffix};
use crate::segment::Segment;
use crate::{LogError, names};

/// Files that the log has given up, renamed to `.deleted`. Readers may hold them open; they are to be removed after
/// `file.delete.delay.ms`, or by the next start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedFiles {
    /// The renamed files.
    pub paths: Vec<PathBuf>,
    /// Bytes of records in them.
    pub bytes: u64,
}

impl DeletedFiles {
    /// Removes the files.
    pub fn remove(&self, disk: &dyn Disk) -> Result<(), LogError> {
        for path in &self.paths {
            remove_if_exists(disk, path).map_err(LogError::io("remove", path))?;
        }
        Ok(())
    }
}

impl Log {
    /// Moves the start of the log forward (`DeleteRecords`, or a follower that learns its leader's start). Segments that
    /// lie before it go with the next [`apply_retention`](Self::apply_retention).
    pub fn advance_start_offset(&mut self, offset: i64) -> Result<(), LogError> {
        self.require_online()?;
        if offset > self.end_offset {
            let (start, end) = (self.start_offset, self.end_offset);
            return Err(LogError::OffsetOutOfRange { offset, start, end });
        }
        if offset > self.start_offset {
            self.start_offset = offset;
            self.epochs.truncate_from_start(offset);
            self.tail.drop_before(offset);
        }
        Ok(())
    }

    /// Gives up whole segments that `retention.ms`, `retention.bytes` or the start of the log allow to go; none that
    /// reaches beyond `high_watermark`, none that a write job works on.
    pub fn apply_retention(
        &mut self,
        now_ms: i64,
        high_watermark: i64,
    ) -> Result<Vec<DeletedFiles>, LogError> {
        self.require_online()?;
        let mut count = self.count_before_start();
        if self.config.cleanup_delete {
            count = count.max(self.count_expired(now_ms)?).max(self.count_oversized());
        }
        let count = count.min(self.count_deletable(high_watermark));
        if count == self.segments.len() {
            self.roll(self.end_offset);
        }
        // The name of a segment's file is what keeps the offsets when the others are gone.
        if count > 0 && !self.segments.iter().skip(count).any(|segment| segment.created) {
            self.create_active()?;
        }
        let given_up: Vec<Segment> = self.segments.drain(..count).collect();
        let start = self.segments.first().map_or(self.start_offset, Segment::base_offset);
        self.advance_start_offset(start)?;
        given_up.iter().map(|segment| self.give_up(segment)).collect()
    }

    /// Creates the file of the last segment, durably, before anything is written to it.
    pub(super) fn create_active(&mut self) -> Result<(), LogError> {
        let Some(active) = self.segments.last_mut() else { return Ok(()) };
        active.attempted = true;
        let created = active.files.log_or_create().map(drop).and_then(|()| self.disk.sync_dir(&self.dir));
        created.map_err(LogError::io("create", &active.files.log_path()))?;
        active.created = true;
        Ok(())
    }

    fn count_before_start(&self) -> usize {
        let before = |index: &usize| self.segment_end(*index) <= self.start_offset;
        (0..self.segments.len().saturating_sub(1)).take_while(before).count()
    }

    fn count_expired(&self, now_ms: i64) -> Result<usize, LogError> {
        if self.config.retention_ms < 0 {
            return Ok(0);
        }
        let mut count = 0;
        for segment in self.segments.iter().filter(|segment| segment.size > 0) {
            let max = match segment.max_timestamp() {
                // What is damaged is kept until it is repaired.
                Err(error) if error.is_damage() => break,
                max => max?,
            };
            // Without any timestamp a segment has no age.
            if max.is_none_or(|max| now_ms.saturating_sub(max.timestamp) <= self.config.retention_ms) {
                break;
            }
            count += 1;
        }
        Ok(count)
    }

    fn count_oversized(&self) -> usize {
        let Ok(limit) = u64::try_from(self.config.retention_bytes) else { return 0 };
        let mut excess = self.size_bytes().saturating_sub(limit);
        let fits = |segment: &&Segment| {
            let fits = segment.size > 0 && segment.size <= excess;
            excess = excess.saturating_sub(segment.size);
            fits
        };
        self.segments.iter().take_while(fits).count()
    }

    fn count_deletable(&self, high_watermark: i64) -> usize {
        let busy_from = self.in_flight.map_or(i64::MAX, |in_flight| in_flight.oldest_segment);
        let deletable = |(index, segment): &(usize, &Segment)| {
            segment.written == segment.size
                && segment.created
                && segment.base_offset() < busy_from
                && self.segment_end(*index) <= high_watermark
        };
        self.segments.iter().enumerate().take_while(deletable).count()
    }

    /// Renames the files of a segment that is no longer part of the log.
    fn give_up(&mut self, segment: &Segment) -> Result<DeletedFiles, LogError> {
        let base = segment.base_offset();
        let mut extensions = names::SEGMENT_EXTENSIONS.to_vec();
        if self.snapshots.contains(&base) {
            extensions.push(names::SNAPSHOT);
            self.snapshots.retain(|offset| *offset != base);
        }
        self.waiting_snapshots.retain(|(offset, _)| *offset != base);
        let mut paths = Vec::new();
        for extension in extensions {
            let path = segment.files.path(extension);
            let renamed = with_suffix(&path, DELETED_SUFFIX);
            match self.disk.rename(&path, &renamed) {
                Ok(()) => paths.push(renamed),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(LogError::io("rename", &path)(error)),
            }
        }
        self.unsynced_names.inside = true;
        Ok(DeletedFiles { paths, bytes: segment.size })
    }
}
