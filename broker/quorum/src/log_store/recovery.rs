//! Opening the log after any end of the process before: what is damaged is told from what a loss of power leaves.
//!
//! A write that nobody was told of may be torn, or not there. All before it was acknowledged, so it must be there, as it was:
//! [`voter_state`] and `committed` say how far that goes. Up to there the log must not end, have a hole or a bad checksum.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use klamm_log::{Checked, CorruptionPolicy, Disk, Log, LogConfig, LogError, OpenOptions, is_full};
use parking_lot::Mutex;

use super::segments::{TAIL_CACHE, log_error};
use super::voter_state::{VoterFile, VoterState};
use super::{READ_BYTES, Shared, State, state_files};
use crate::mutation::{self, Mutation};
use crate::room::Room;
use crate::types::{LogId, offset_of, term_of};

/// Bytes that are checked at a time.
const PIECE: u64 = 1024 * 1024;

/// The log in `dir`, all of it read and checked. `snapshot` is the last entry that the newest snapshot holds.
///
/// # Errors
/// `InvalidData` when something is lost; what says so stays as it is, so that the next start finds it, too.
pub(super) fn open(
    disk: Arc<dyn Disk>,
    dir: &Path,
    segment_bytes: u64,
    snapshot: Option<LogId>,
) -> io::Result<Shared> {
    let mut stored = state_files::recover(&*disk, dir, VoterState::read(&*disk, dir)?)?;
    if mutation::is_active(Mutation::LostEndIgnored) {
        stored.synced = None;
    }
    let VoterState { vote, purged, .. } = stored;
    let committed = state_files::read_committed(&*disk, dir)?;
    let log = open_log(&disk, dir, log_config(segment_bytes), [committed, stored.synced], purged)?;
    let shared = Shared {
        committed: state_files::open_committed(&*disk, dir)?,
        voter: VoterFile::open(&*disk, dir, stored)?,
        disk,
        dir: dir.to_owned(),
        log: Mutex::new(log),
        state: Mutex::new(State { vote, committed, purged, last: purged }),
        room: Room::default(),
    };
    shared.require_start(snapshot)?;
    shared.read_through()?;
    shared.require_acknowledged(stored.synced, snapshot)?;
    shared.require_vote(snapshot)?;
    shared.note_all_synced()?;
    Ok(shared)
}

/// The offset behind an entry; 0 if there is none.
fn behind(id: Option<LogId>) -> i64 {
    id.map_or(0, |id| offset_of(id.index.saturating_add(1)))
}

/// Opens the log: damage before what was `acknowledged` is an error, and behind it the end of the log.
fn open_log(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    config: LogConfig,
    acknowledged: [Option<LogId>; 2],
    purged: Option<LogId>,
) -> io::Result<Log> {
    let options = OpenOptions {
        log_start_offset: behind(purged),
        recovery_point: acknowledged.into_iter().map(behind).max().unwrap_or(0),
        corruption: CorruptionPolicy::Refuse,
        ..OpenOptions::default()
    };
    let (mut log, report) =
        Log::open(Arc::clone(disk), dir.to_owned(), config, options).map_err(log_error)?;
    tracing::info!(?report, start = log.start_offset(), end = log.end_offset(), "opened the metadata log");
    for file in &report.broken {
        tracing::warn!(file = %file.display(), "not what was written; built anew");
    }
    check(&mut log)?;
    log.set_tail_cache_limit(TAIL_CACHE);
    // openraft takes what it finds for durable; after a crash it may be in the page cache only.
    log.flush().map_err(log_error)?;
    Ok(log)
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

impl Shared {
    /// Entries are purged once a snapshot holds them, and removed once that they are purged is durable.
    fn require_start(&self, snapshot: Option<LogId>) -> io::Result<()> {
        let (start, purged) = (self.bounds().0, self.state.lock().purged);
        if start > behind(purged) {
            let why = format!(
                "begins at offset {start}, and purged are only the entries before {}",
                behind(purged)
            );
            return Err(self.lost(&why));
        }
        if behind(purged) > behind(snapshot) {
            let why = format!(
                "is purged before offset {}, and the newest snapshot ends at {}",
                behind(purged),
                behind(snapshot)
            );
            return Err(self.lost(&why));
        }
        Ok(())
    }

    /// Every entry decodes and follows the one before. Finds the last one.
    fn read_through(&self) -> io::Result<()> {
        let (start, end) = self.bounds();
        let (mut next, end) = (start.unsigned_abs(), end.unsigned_abs());
        while next < end {
            for entry in self.read(next, end, READ_BYTES)? {
                let before = self.state.lock().last.replace(entry.log_id);
                if before.is_some_and(|before| term_of(&before) > term_of(&entry.log_id)) {
                    return Err(self.lost(&format!("goes back to an older epoch at offset {next}")));
                }
                next = entry.log_id.index.saturating_add(1);
            }
        }
        Ok(())
    }

    /// What was acknowledged or known to be committed is in the log, or in the snapshot. What openraft is told of the committed
    /// position the log must confirm.
    fn require_acknowledged(&self, synced: Option<LogId>, snapshot: Option<LogId>) -> io::Result<()> {
        let State { committed, purged, .. } = self.state.lock().clone();
        for id in [committed, synced].into_iter().flatten() {
            // An entry of the same index and term is the same entry, and so is all before it.
            let entry = self.entry_at(offset_of(id.index))?;
            if entry.is_none_or(|entry| entry.log_id != id) && snapshot.max(purged) < Some(id) {
                let end = self.bounds().1;
                let why = format!(
                    "ends at offset {end} and has lost the entry at {} of epoch {}",
                    id.index,
                    term_of(&id)
                );
                return Err(self.lost(&why));
            }
        }
        let is_there =
            |id: LogId| Ok(self.entry_at(offset_of(id.index))?.is_some_and(|entry| entry.log_id == id));
        if !committed.map_or(Ok::<_, io::Error>(true), is_there)? {
            self.state.lock().committed = None;
        }
        Ok(())
    }

    /// Nobody has an entry of an epoch without having voted in it, or followed who was elected.
    fn require_vote(&self, snapshot: Option<LogId>) -> io::Result<()> {
        let State { vote, last, .. } = self.state.lock().clone();
        let epoch = last.max(snapshot).map_or(0, |id| term_of(&id));
        let voted = vote.map_or(0, |vote| vote.leader_id.term);
        if voted < epoch {
            return Err(
                self.lost(&format!("has entries of epoch {epoch}, and the last vote is of epoch {voted}"))
            );
        }
        Ok(())
    }

    fn lost(&self, why: &str) -> io::Error {
        io::Error::new(ErrorKind::InvalidData, format!("the metadata log in {} {why}", self.dir.display()))
    }

    /// All that was found is synced. On a full disk that is written down with the next entry.
    fn note_all_synced(&self) -> io::Result<()> {
        let last = self.state.lock().last;
        let noted = self.voter.save(|state| state.synced = last).and_then(|()| self.disk.sync_dir(&self.dir));
        if noted.as_ref().is_err_and(is_full) { Ok(()) } else { noted }
    }
}
