//! The log itself: appends in memory, writes and flushes by the flusher, reads by everybody.

use std::io;

use bytes::Bytes;
use klamm_log::LogError;

use super::{Shared, entry, state_files};
use crate::types::{Entry, LogId, Vote, offset_of};

/// Bytes of the log's newest batches that stay in memory.
pub(super) const TAIL_CACHE: usize = 1024 * 1024;

impl Shared {
    pub(super) fn entry_at(&self, offset: i64) -> io::Result<Option<Entry>> {
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

    /// As [`Shared::flush_to`], when there is room for it; and notes that it is done up to `last`, the entry before `end`.
    pub(super) fn flush_entries(&self, end: i64, last: Option<LogId>) -> io::Result<()> {
        self.room.wait_for("the metadata log", || {
            self.flush_to(end)?;
            self.voter.change(|state| state.synced = last)
        })
    }

    /// Makes a vote durable, when there is room for it.
    pub(super) fn save_vote(&self, vote: &Vote) -> io::Result<()> {
        self.room.wait_for("a vote", || state_files::save_vote(self, vote))
    }

    fn flush_all(&self) -> io::Result<()> {
        let end = self.log.lock().end_offset();
        self.room.wait_for("the metadata log", || self.flush_to(end))
    }

    /// Before entries from `from` on go: none of them counts as synced any more.
    fn give_up_synced(&self, from: i64) -> io::Result<()> {
        let is_behind = |id: LogId| offset_of(id.index) >= from;
        if !self.voter.state().synced.is_some_and(is_behind) {
            return Ok(());
        }
        let purged = self.state.lock().purged.filter(|id| !is_behind(*id));
        let last = self.entry_at(from.saturating_sub(1))?.map(|entry| entry.log_id).or(purged);
        self.room.wait_for("the metadata log", || self.voter.save(|state| state.synced = last))
    }

    /// Removes the entries from `from` on. Only the flusher calls this, so no write is under way.
    pub(super) fn truncate(&self, from: i64) -> io::Result<()> {
        self.flush_all()?;
        let from = from.max(self.bounds().0);
        self.give_up_synced(from)?;
        self.log.lock().truncate_to(from).map_err(log_error)
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
        self.give_up_synced(at)?;
        self.log.lock().reset_to(at).map_err(log_error)
    }

    pub(super) fn close(&self) -> io::Result<()> {
        self.flush_all()?;
        self.log.lock().close().map_err(log_error)?;
        self.voter.save(|_| {})
    }

    /// Entries of `first..end` that the log has, about `max_bytes` of them and at least one.
    pub(super) fn read(&self, first: u64, end: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        // The lock is held until the bytes are read, so that no truncation comes between.
        let log = self.log.lock();
        let end = offset_of(end).min(log.end_offset());
        let mut next = offset_of(first).max(log.start_offset());
        let (mut entries, mut left) = (Vec::new(), max_bytes);
        while next < end && (left > 0 || entries.is_empty()) {
            let read = log.read(next, left.clamp(1, TAIL_CACHE), end);
            let bytes = read.and_then(|read| read.to_bytes());
            let bytes = bytes.map_err(|error| io::Error::other(error.to_string()))?;
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

pub(super) fn log_error(error: LogError) -> io::Error {
    match &error {
        LogError::Io { source, .. } => io::Error::new(source.kind(), error.to_string()),
        LogError::Damaged { .. } => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
        _ => io::Error::other(error.to_string()),
    }
}
