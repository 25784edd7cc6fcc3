//! The log itself: appends in memory, writes and flushes by the flusher, reads by everybody.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use klamm_log::{Checked, CorruptionPolicy, Disk, Log, LogConfig, LogError, OpenOptions};
use parking_lot::Mutex;

use super::{Shared, State, entry, state_files};
use crate::room::Room;
use crate::types::{Entry, LogId, Vote, offset_of};

/// Bytes of the log's newest batches that stay in memory.
const TAIL_CACHE: usize = 1024 * 1024;
/// Bytes that are checked at a time.
const PIECE: u64 = 1024 * 1024;

impl Shared {
    pub(super) fn open(disk: Arc<dyn Disk>, dir: &Path, segment_bytes: u64) -> io::Result<Shared> {
        let purged = state_files::read_purged(&*disk, dir)?;
        let committed = state_files::read_committed(&*disk, dir)?;
        let behind = |id: Option<LogId>| id.map_or(0, |id| offset_of(id.index.saturating_add(1)));
        let options = OpenOptions {
            log_start_offset: behind(purged),
            // Saved after the entries were durable: damage before it is not a torn write.
            recovery_point: behind(committed),
            corruption: CorruptionPolicy::Refuse,
            ..OpenOptions::default()
        };
        let (mut log, report) =
            Log::open(disk.clone(), dir.to_owned(), log_config(segment_bytes), options).map_err(log_error)?;
        tracing::info!(
            ?report,
            start = log.start_offset(),
            end = log.end_offset(),
            "opened the metadata log"
        );
        for file in &report.broken {
            tracing::warn!(file = %file.display(), "not what was written; built anew");
        }
        check(&mut log)?;
        log.set_tail_cache_limit(TAIL_CACHE);
        // openraft takes what it finds for durable; after a crash it may be in the page cache only.
        log.flush().map_err(log_error)?;
        let state = State { vote: state_files::read_vote(&*disk, dir)?, committed, purged, last: purged };
        let committed = state_files::open_committed(&*disk, dir)?;
        let dir = dir.to_owned();
        Ok(Shared {
            disk,
            dir,
            committed,
            log: Mutex::new(log),
            state: Mutex::new(state),
            room: Room::default(),
        })
    }

    /// The last entry from the log, and the committed position, which the log must confirm: it was saved after the
    /// entries that it names were durable.
    pub(super) fn recover_positions(&self, snapshot: Option<LogId>) -> io::Result<()> {
        let (start, end) = self.bounds();
        if start < end {
            let last = self.entry_at(end - 1)?.map(|entry| entry.log_id);
            self.state.lock().last = last;
        }
        let State { committed, purged, .. } = self.state.lock().clone();
        let Some(committed) = committed else { return Ok(()) };
        // An entry of the same index and term is the same entry, and so is all before it.
        if self.entry_at(offset_of(committed.index))?.is_some_and(|entry| entry.log_id == committed) {
            return Ok(());
        }
        if snapshot.max(purged) < Some(committed) {
            let (at, end) = (committed.index, self.bounds().1);
            let why =
                format!("the entry at offset {at} was committed, but the log that ends at {end} has lost it");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        self.state.lock().committed = None;
        Ok(())
    }

    fn entry_at(&self, offset: i64) -> io::Result<Option<Entry>> {
        let Ok(index) = u64::try_from(offset) else { return Ok(None) };
        Ok(self.read(index, index.saturating_add(1), 1)?.pop())
    }

    pub(super) fn bounds(&self) -> (i64, i64) {
        let log = self.log.lock();
        (log.start_offset(), log.end_offset())
    }

    /// Appends batches in memory, without a hole, and returns the new end of the log.
    pub(super) fn append(&self, first: i64, batches: Bytes, last: LogId) -> io::Result<i64> {
        let mut log = self.log.lock();
        if log.end_offset() != first {
            let why = format!(
                "offset {first} does not continue the metadata log, which ends at {}",
                log.end_offset()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        log.append_as_follower(batches).map_err(|error| io::Error::other(error.to_string()))?;
        self.state.lock().last = Some(last);
        Ok(log.end_offset())
    }

    /// Writes and flushes until everything before `end` is durable. Only the flusher calls this.
    pub(super) fn flush_to(&self, end: i64) -> io::Result<()> {
        loop {
            let job = {
                let mut log = self.log.lock();
                if log.durable_end() >= end {
                    return Ok(());
                }
                log.force_flush();
                log.start_write()
            };
            let Some(job) = job else {
                return Err(io::Error::other("the metadata log has nothing to write, but is not durable"));
            };
            let outcome = job.run();
            self.log.lock().finish_write(outcome).map_err(log_error)?;
        }
    }

    /// As [`Shared::flush_to`], when there is room for it.
    pub(super) fn flush_when_there_is_room(&self, end: i64) -> io::Result<()> {
        self.room.wait_for("the metadata log", || self.flush_to(end))
    }

    /// Makes a vote durable, when there is room for it.
    pub(super) fn save_vote(&self, vote: &Vote) -> io::Result<()> {
        self.room.wait_for("a vote", || state_files::save_vote(self, vote))
    }

    fn flush_all(&self) -> io::Result<()> {
        let end = self.log.lock().end_offset();
        self.flush_when_there_is_room(end)
    }

    /// Removes the entries from `from` on. Only the flusher calls this, so no write is under way.
    pub(super) fn truncate(&self, from: i64) -> io::Result<()> {
        self.flush_all()?;
        let mut log = self.log.lock();
        let from = from.max(log.start_offset());
        log.truncate_to(from).map_err(log_error)
    }

    /// Forgets the entries up to `upto`: first the position is made durable, then segments go.
    pub(super) fn purge(&self, upto: &LogId) -> io::Result<()> {
        self.flush_all()?;
        self.room.wait_for("what is purged of the metadata log", || state_files::save_purged(self, upto))?;
        let start = offset_of(upto.index.saturating_add(1));
        let mut log = self.log.lock();
        if start >= log.end_offset() {
            log.reset_to(start).map_err(log_error)?;
        } else {
            log.advance_start_offset(start).map_err(log_error)?;
        }
        let given_up = log.apply_retention(0, start).map_err(log_error)?;
        drop(log);
        given_up.iter().try_for_each(|files| files.remove(&*self.disk)).map_err(log_error)?;
        let mut state = self.state.lock();
        state.purged = Some(*upto);
        state.last = state.last.max(state.purged);
        Ok(())
    }

    /// Lets an empty log start at `at`.
    pub(super) fn restart(&self, at: i64) -> io::Result<()> {
        self.log.lock().reset_to(at).map_err(log_error)
    }

    pub(super) fn close(&self) -> io::Result<()> {
        self.flush_all()?;
        self.log.lock().close().map_err(log_error)
    }

    /// Entries of `first..end` that the log has, about `max_bytes` of them and at least one.
    pub(super) fn read(&self, first: u64, end: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        // The lock is held until the bytes are read, so that no truncation comes between.
        let log = self.log.lock();
        let end = offset_of(end).min(log.end_offset());
        let mut next = offset_of(first).max(log.start_offset());
        let (mut entries, mut left) = (Vec::new(), max_bytes);
        while next < end && (left > 0 || entries.is_empty()) {
            let read = log
                .read(next, left.clamp(1, TAIL_CACHE), end)
                .map_err(|error| io::Error::other(error.to_string()))?;
            let bytes = read.to_bytes()?;
            left = left.saturating_sub(bytes.len());
            let before = entries.len();
            for batch in klamm_records::batches(bytes) {
                let batch =
                    batch.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
                // A read may begin before the offset that was asked for, and end behind the last one.
                if batch.header.base_offset == next && next < end {
                    next = batch.header.next_offset();
                    entries.push(entry::from_batch(&batch)?);
                }
            }
            if entries.len() == before {
                let why = format!("the metadata log has a hole at offset {next}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
        Ok(entries)
    }
}

/// Checks what the walk of a start has left out, before anything is read from it. The log is short.
fn check(log: &mut Log) -> io::Result<()> {
    while let Some(mut check) = log.plan_check() {
        loop {
            match check.run(PIECE).map_err(log_error)? {
                Checked::More => {}
                Checked::Done => break,
                Checked::Damaged { path, position, reason, .. } => {
                    return Err(log_error(LogError::Damaged { path, position, reason }));
                }
            }
        }
        for file in log.mend(&check).map_err(log_error)? {
            tracing::warn!(file = %file.display(), "not what was written; put right from the entries");
        }
    }
    Ok(())
}

/// Only purging removes segments; a segment is rolled by size alone.
fn log_config(segment_bytes: u64) -> LogConfig {
    LogConfig { segment_bytes, segment_ms: i64::MAX, cleanup_delete: false, ..LogConfig::default() }
}

fn log_error(error: LogError) -> io::Error {
    match &error {
        LogError::Io { source, .. } => io::Error::new(source.kind(), error.to_string()),
        _ => io::Error::other(error.to_string()),
    }
}
