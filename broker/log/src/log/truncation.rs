//! Cutting the log at its end, as a follower does, and starting it anew.

use super::Log;
use crate::disk::remove_if_exists;
use crate::load::{LoadLimits, Loader};
use crate::segment::Segment;
use crate::{LogError, names};

impl Log {
    /// Removes everything at and behind `offset`, durably. A batch that contains the offset goes as a whole, so the log
    /// may end before it. Needs the outcome of an outstanding job first; waits for the disk. A failure takes the log
    /// offline.
    pub fn truncate_to(&mut self, offset: i64) -> Result<(), LogError> {
        self.require_idle()?;
        if offset >= self.end_offset {
            // An epoch may have been assigned at the end without any data yet.
            self.epochs.truncate_from_end(offset);
            return Ok(());
        }
        if self.segments.first().is_none_or(|first| offset <= first.base_offset()) {
            return self.reset_to(offset);
        }
        self.tail.truncate(offset);
        self.write_out()?;
        self.tail.clear();
        self.reload(offset.min(self.written_end))
    }

    /// Removes everything; the log starts and ends at `start` from now on.
    pub fn reset_to(&mut self, start: i64) -> Result<(), LogError> {
        self.require_idle()?;
        self.tail.clear();
        self.waiting_snapshots.clear();
        let segments = std::mem::take(&mut self.segments);
        self.segments = vec![self.new_segment(start)];
        self.remove_all(&segments)?;
        self.create_active().map_err(|error| self.poison(error.to_string()))?;
        self.epochs.clear();
        self.producers.clear();
        (self.start_offset, self.end_offset, self.written_end, self.durable_end) =
            (start, start, start, start);
        self.note_rewritten();
        Ok(())
    }

    /// Removes all segments and snapshots, durably: none may come back beside what is appended next.
    fn remove_all(&mut self, segments: &[Segment]) -> Result<(), LogError> {
        let snapshots = std::mem::take(&mut self.snapshots);
        for offset in &snapshots {
            let path = self.path(*offset, names::SNAPSHOT);
            remove_if_exists(&*self.disk, &path).map_err(|error| self.poison(error.to_string()))?;
        }
        self.remove_segments(segments)?;
        if snapshots.is_empty() {
            return Ok(());
        }
        self.disk.sync_dir(&self.dir).map_err(|error| self.poison(error.to_string()))
    }

    fn remove_segments(&mut self, segments: &[Segment]) -> Result<(), LogError> {
        let extensions = names::SEGMENT_EXTENSIONS;
        let on_disk = segments.iter().filter(|segment| segment.created || segment.attempted);
        let mut paths = on_disk.flat_map(|s| extensions.map(|extension| s.files.path(extension))).peekable();
        if paths.peek().is_none() {
            return Ok(());
        }
        let removed = paths.try_for_each(|path| remove_if_exists(&*self.disk, &path));
        let synced = removed.and_then(|()| self.disk.sync_dir(&self.dir));
        synced.map_err(|error| self.poison(error.to_string()))
    }

    /// Puts what is left in memory into the files. A full disk is not a failure here: what cannot be written is cut.
    fn write_out(&mut self) -> Result<(), LogError> {
        while self.tail.has_pending()
            && let Some(job) = self.start_write()
        {
            match self.finish_write(job.run()) {
                Ok(_) => {}
                Err(LogError::Io { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Cuts the files at `end` and learns anew what they hold.
    fn reload(&mut self, end: i64) -> Result<(), LogError> {
        // Segments that only exist in memory hold nothing that was kept.
        let (created, others) = std::mem::take(&mut self.segments).into_iter().partition(|s| s.created);
        self.segments = created;
        self.remove_segments(&others)?;
        self.cut_unfinished_writes().map_err(|error| self.poison(error.to_string()))?;
        self.waiting_snapshots.clear();
        let bases: Vec<i64> = self.segments.iter().map(Segment::base_offset).collect();
        let limits = LoadLimits {
            trusted: end,
            stop_at: end,
            recovery_point: i64::MAX,
            rewrites: false,
            cuts: true,
            refuse_damage: true,
        };
        let loader = Loader {
            disk: &self.disk,
            dir: &self.dir,
            config: &self.config,
            stored_epochs: self.epochs.entries().to_vec(),
            epochs: &mut self.epochs,
            limits,
            removed: false,
        };
        let loaded = match loader.load(&bases, std::mem::take(&mut self.snapshots)) {
            Ok(loaded) => loaded,
            Err(error) => return Err(self.poison(error.to_string())),
        };
        let old = std::mem::replace(&mut self.segments, loaded.segments);
        for segment in &mut self.segments {
            if let Some(old) = old.iter().find(|old| old.base_offset() == segment.base_offset()) {
                segment.unsynced |= old.unsynced;
                segment.indexes_unsynced |= old.indexes_unsynced;
            }
        }
        self.producers = loaded.producers;
        self.snapshots = loaded.snapshots;
        self.end_offset = loaded.end_offset;
        self.written_end = loaded.end_offset;
        self.durable_end = self.durable_end.min(loaded.end_offset);
        self.start_offset = self.start_offset.min(loaded.end_offset);
        // The walk has met what was deleted but still lies in the files.
        self.epochs.truncate_from_start(self.start_offset);
        self.note_rewritten();
        self.bytes_since_snapshot = loaded.scanned_bytes;
        Ok(())
    }

    /// Removes what a full disk took of a write that was never acknowledged.
    fn cut_unfinished_writes(&self) -> std::io::Result<()> {
        let Some(last) = self.segments.last() else { return Ok(()) };
        let file = last.files.log()?;
        if file.len()? > last.written { file.set_len(last.written) } else { Ok(()) }
    }

    fn note_rewritten(&mut self) {
        self.unsynced_names.inside = true;
        self.epochs.mark_dirty();
        self.bytes_since_snapshot = 0;
        self.flush_to = None;
        self.changed = true;
    }
}
