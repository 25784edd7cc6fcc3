//! Group commit: one write job at a time takes everything that waits.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{InFlight, Log, UnsyncedNames};
use crate::segment::Segment;
use crate::write::{SegmentWork, WriteFailure, WriteJob, WriteOutcome, Written};
use crate::{LogError, names};

/// Most bytes of records in one job.
const MAX_JOB_BYTES: usize = 8 << 20;

/// How far the log is on disk after a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrittenEnds {
    /// Everything before this offset is in the files.
    pub written_end: i64,
    /// Everything before this offset survives a power loss.
    pub durable_end: i64,
}

impl Log {
    /// The work that waits, or `None` if there is none or a job is outstanding already.
    ///
    /// The job must be run and its outcome given to [`finish_write`](Self::finish_write).
    pub fn start_write(&mut self) -> Option<WriteJob> {
        if self.in_flight.is_some() || self.offline.is_some() {
            return None;
        }
        let data = self.data_work();
        let end_offset = data.as_ref().map_or(self.written_end, |(_, end)| *end);
        let sync = self.sync_is_due(end_offset);
        if data.is_none() && !sync {
            self.flush_to = None;
            return None;
        }
        let mut job = self.empty_job(end_offset, sync);
        let own = data.as_ref().map(|(work, _)| work.files.base_offset());
        job.segments = self.other_work(own, &job);
        if let Some((mut work, _)) = data {
            self.complete_own(&mut work, &job);
            job.segments.push(work);
        }
        job.segments.sort_by_key(|work| work.files.base_offset());
        let names = self.note_names(&mut job);
        let oldest_segment = job.segments.first().map_or(end_offset, |work| work.files.base_offset());
        self.in_flight = Some(InFlight { oldest_segment, names });
        Some(job)
    }

    /// Folds the outcome of a job back in.
    ///
    /// A full disk is an [`LogError::Io`] of kind `StorageFull`: nothing is lost, the next job writes the same again. Any
    /// other failure takes the log offline for good, because nobody knows what is on disk then.
    pub fn finish_write(&mut self, outcome: WriteOutcome) -> Result<WrittenEnds, LogError> {
        let in_flight = self.in_flight.take();
        self.require_online()?;
        match outcome.result {
            Ok(()) => {}
            Err(WriteFailure::DiskFull(error)) => {
                self.take_back(in_flight);
                return Err(LogError::io("write to", &self.dir)(error));
            }
            Err(WriteFailure::Fatal(error)) => return Err(self.poison(error.to_string())),
        }
        for written in &outcome.segments {
            self.fold_segment(written, outcome.synced);
        }
        self.fold_snapshots(&outcome.snapshots, &outcome.obsolete);
        self.written_end = self.written_end.max(outcome.end_offset);
        self.tail.mark_written(outcome.end_offset);
        if outcome.synced {
            self.durable_end = self.durable_end.max(outcome.end_offset);
            self.flush_to = self.flush_to.filter(|target| self.durable_end < *target);
        }
        Ok(WrittenEnds { written_end: self.written_end, durable_end: self.durable_end })
    }

    /// Makes the next jobs sync until everything appended so far is durable, even if there is nothing to write.
    pub fn force_flush(&mut self) {
        self.flush_to = Some(self.end_offset);
    }

    /// Writes and syncs everything on the caller's thread.
    pub fn flush(&mut self) -> Result<WrittenEnds, LogError> {
        self.require_idle()?;
        self.force_flush();
        while let Some(job) = self.start_write() {
            self.finish_write(job.run())?;
        }
        Ok(WrittenEnds { written_end: self.written_end, durable_end: self.durable_end })
    }

    /// Writes everything, with indexes and producers, so that the next start has nothing to walk, and syncs it.
    pub fn close(&mut self) -> Result<(), LogError> {
        self.require_idle()?;
        if self.changed {
            self.snapshot_known_producers();
            if let Some(active) = self.segments.last_mut().filter(|active| active.size > 0) {
                active.close();
            }
            self.flush()?;
        }
        self.offline = Some("closed".to_string());
        Ok(())
    }

    fn sync_is_due(&self, end_offset: i64) -> bool {
        let waiting = u64::try_from(end_offset.saturating_sub(self.durable_end)).unwrap_or(0);
        let flush_due = waiting > 0 && waiting >= self.config.flush_messages;
        flush_due || (self.flush_to.is_some() && (waiting > 0 || self.has_unsynced_state()))
    }

    /// Whether a forced flush has anything to do although all records are durable.
    fn has_unsynced_state(&self) -> bool {
        let UnsyncedNames { inside, directory, partition_metadata, epochs } = self.unsynced_names;
        let names = inside || directory || partition_metadata || epochs;
        let segments =
            self.segments.iter().any(|s| s.created && (s.unsynced || s.indexes_unsynced || s.unfinished));
        names || segments || self.epochs.is_dirty() || !self.waiting_snapshots.is_empty()
    }

    /// The pending batches of one segment, and the offset behind them.
    fn data_work(&self) -> Option<(SegmentWork, i64)> {
        let first = self.tail.pending().next()?;
        let index = self.segment_index(first.base_offset);
        let segment = self.segments.get(index)?;
        let segment_end = self.segment_end(index);
        let (mut buffers, mut bytes, mut end_offset) = (Vec::new(), 0, first.base_offset);
        for chunk in self.tail.pending() {
            let too_much = bytes > 0 && bytes + chunk.bytes.len() > MAX_JOB_BYTES;
            if too_much || chunk.base_offset >= segment_end {
                break;
            }
            bytes += chunk.bytes.len();
            end_offset = chunk.next_offset;
            buffers.push(chunk.bytes.clone());
        }
        let work = SegmentWork { position: segment.written, buffers, ..idle_work(segment) };
        Some((work, end_offset))
    }

    fn empty_job(&mut self, end_offset: i64, sync: bool) -> WriteJob {
        let ready = self.waiting_snapshots.iter().take_while(|(offset, _)| *offset <= end_offset);
        let snapshots =
            ready.map(|(offset, contents)| (self.path(*offset, names::SNAPSHOT), contents.clone()));
        let snapshots: Vec<_> = snapshots.collect();
        let store_epochs = self.epochs.is_dirty() || (sync && self.unsynced_names.epochs);
        let epochs = store_epochs.then(|| (self.dir.join(names::LEADER_EPOCHS), self.epochs.format()));
        // An epoch assigned from now on makes the cache dirty again; a failed job does so too.
        self.epochs.mark_stored();
        WriteJob {
            disk: Arc::clone(&self.disk),
            segments: Vec::new(),
            obsolete: if sync { self.obsolete_snapshots(&snapshots) } else { Vec::new() },
            snapshots,
            epochs,
            unsynced_file: None,
            dirs: Vec::new(),
            sync,
            end_offset,
        }
    }

    /// Snapshots on disk that do not begin a segment, and that the new ones outdo.
    fn obsolete_snapshots(&self, new: &[(PathBuf, Bytes)]) -> Vec<PathBuf> {
        let begins_segment =
            |offset: &i64| self.segments.iter().any(|segment| segment.base_offset() == *offset);
        let old = self.snapshots.iter().filter(|offset| !begins_segment(offset));
        let paths = old.map(|offset| self.path(*offset, names::SNAPSHOT));
        paths.filter(|path| !new.is_empty() && new.iter().all(|(written, _)| written != path)).collect()
    }

    /// What other segments need: indexes of closed ones, syncs of those written without one.
    fn other_work(&self, own: Option<i64>, job: &WriteJob) -> Vec<SegmentWork> {
        let complete = |segment: &&Segment| segment.written == segment.size && segment.created;
        let others = self.segments.iter().filter(|segment| Some(segment.base_offset()) != own);
        let work = others.filter(complete).map(|segment| {
            let mut work = idle_work(segment);
            let snapshot = !job.snapshots.is_empty() && segment.has_waiting_entries();
            if segment.unfinished || snapshot {
                store_indexes(segment, &mut work, i64::MAX);
                (work.finishes, work.checkpoints) = (segment.unfinished, true);
            }
            work.sync_log = job.sync && segment.unsynced;
            work.sync_indexes = job.sync && (segment.indexes_unsynced || work.checkpoints);
            work
        });
        work.filter(|work| work.checkpoints || work.sync_log || work.sync_indexes).collect()
    }

    /// Adds index entries and syncs to the work on the segment that gets data.
    fn complete_own(&mut self, work: &mut SegmentWork, job: &WriteJob) {
        let index = self.segment_index(work.files.base_offset());
        let Some(segment) = self.segments.get_mut(index) else { return };
        segment.attempted = true;
        let written_out =
            segment.written + work.buffers.iter().map(|b| b.len() as u64).sum::<u64>() == segment.size;
        work.finishes = segment.unfinished && written_out;
        work.checkpoints = work.finishes || !job.snapshots.is_empty();
        if work.checkpoints || segment.offsets.wants_store() || segment.times.wants_store() {
            store_indexes(segment, work, job.end_offset);
        }
        work.sync_log = job.sync;
        work.sync_indexes = job.sync && (work.checkpoints || segment.indexes_unsynced);
    }

    /// Lets a job that syncs also sync the names that wait for it; returns those.
    fn note_names(&mut self, job: &mut WriteJob) -> UnsyncedNames {
        let creates = |work: &SegmentWork| work.position == 0 || work.offsets.is_some() || work.finishes;
        let inside = job.segments.iter().any(creates) || !job.snapshots.is_empty() || job.epochs.is_some();
        self.unsynced_names.inside |= inside;
        self.unsynced_names.epochs |= job.epochs.is_some();
        if !job.sync {
            return UnsyncedNames::default();
        }
        let names = std::mem::take(&mut self.unsynced_names);
        if names.inside {
            job.dirs.push(self.dir.to_path_buf());
        }
        if let Some(parent) = self.dir.parent().filter(|_| names.directory) {
            job.dirs.push(parent.to_path_buf());
        }
        if names.partition_metadata {
            job.unsynced_file = Some(self.dir.join(names::PARTITION_METADATA));
        }
        names
    }

    /// Makes a job that found the disk full as if it had never been handed out.
    fn take_back(&mut self, in_flight: Option<InFlight>) {
        let names = in_flight.map(|in_flight| in_flight.names).unwrap_or_default();
        self.unsynced_names.inside = true;
        self.unsynced_names.directory |= names.directory;
        self.unsynced_names.partition_metadata |= names.partition_metadata;
        self.unsynced_names.epochs = true;
        self.epochs.mark_dirty();
    }

    fn fold_segment(&mut self, written: &Written, synced: bool) {
        let index = self.segment_index(written.base_offset);
        let Some(segment) = self.segments.get_mut(index).filter(|s| s.base_offset() == written.base_offset)
        else {
            return;
        };
        segment.created = true;
        segment.written += written.bytes;
        segment.offsets.stored(written.offsets);
        segment.times.stored(written.times);
        segment.unfinished &= !written.finished;
        segment.unsynced = !synced && (segment.unsynced || written.bytes > 0);
        segment.indexes_unsynced =
            !written.indexes_synced && (segment.indexes_unsynced || written.checkpointed);
    }

    fn fold_snapshots(&mut self, stored: &[PathBuf], removed: &[PathBuf]) {
        let removed: Vec<i64> = removed.iter().filter_map(|path| snapshot_offset(path)).collect();
        self.snapshots.retain(|offset| !removed.contains(offset));
        for offset in stored.iter().filter_map(|path| snapshot_offset(path)) {
            self.waiting_snapshots.retain(|(waiting, _)| *waiting != offset);
            self.snapshots.push(offset);
        }
        self.snapshots.sort_unstable();
        self.snapshots.dedup();
    }
}

fn snapshot_offset(path: &Path) -> Option<i64> {
    names::parse_segment_file(path.file_name()?.to_str()?).map(|(offset, _)| offset)
}

/// Work on a segment that does nothing yet.
fn idle_work(segment: &Segment) -> SegmentWork {
    SegmentWork {
        files: Arc::clone(&segment.files),
        position: segment.written,
        buffers: Vec::new(),
        offsets: None,
        times: None,
        finishes: false,
        checkpoints: false,
        sync_log: false,
        sync_indexes: false,
    }
}

fn store_indexes(segment: &Segment, work: &mut SegmentWork, end_offset: i64) {
    work.offsets = segment.offsets.store(segment.base_offset(), end_offset);
    work.times = segment.times.store(segment.base_offset(), end_offset);
}
