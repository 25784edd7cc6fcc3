//! The small files beside the log: `quorum-state` (the vote), `purged` and `committed`.
//!
//! Each holds a format byte, its value and a CRC-32C. The first two are replaced atomically, and [`super::voter_state`] has them a
//! second time. `committed` is a cache: it is overwritten in place without a flush, after the entries that it names are durable,
//! and ignored when it is damaged.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use klamm_log::{Disk, DiskFile, OpenMode};

use super::Shared;
use super::voter_state::VoterState;
use crate::codec::{Reader, put_log_id, put_vote};
use crate::files;
use crate::mutation::{self, Mutation};
use crate::sealed::{read, seal};
use crate::types::{LogId, Vote};

const VOTE: &str = "quorum-state";
const PURGED: &str = "purged";
const COMMITTED: &str = "committed";

pub(super) fn save_vote(shared: &Shared, vote: &Vote) -> io::Result<()> {
    shared.voter.save(|state| state.vote = Some(*vote))?;
    write_vote(&*shared.disk, &shared.dir, vote)?;
    shared.state.lock().vote = Some(*vote);
    Ok(())
}

fn write_vote(disk: &dyn Disk, dir: &Path, vote: &Vote) -> io::Result<()> {
    let (path, bytes) = (dir.join(VOTE), seal(|out| put_vote(out, vote)));
    if mutation::is_active(Mutation::VoteNotSynced) {
        files::write_unsynced(disk, &path, &bytes)
    } else {
        files::write_atomic(disk, &path, &bytes)
    }
}

pub(super) fn save_purged(shared: &Shared, id: &LogId) -> io::Result<()> {
    shared.voter.save(|state| state.purged = Some(*id))?;
    write_purged(&*shared.disk, &shared.dir, id)
}

fn write_purged(disk: &dyn Disk, dir: &Path, id: &LogId) -> io::Result<()> {
    files::write_atomic(disk, &dir.join(PURGED), &seal(|out| put_log_id(out, id)))
}

/// Vote and purged position, each the newer one of `quorum-state` and `purged` on the one hand and of `twice` on the other.
/// A file that has another is put right.
///
/// # Errors
/// A file is damaged, and what it held is nowhere else.
pub(super) fn recover(disk: &dyn Disk, dir: &Path, twice: VoterState) -> io::Result<VoterState> {
    if mutation::is_active(Mutation::OldVoteBelieved) {
        let vote = read(disk, &dir.join(VOTE), Reader::vote)?;
        return recover_purged(disk, dir, VoterState { vote, ..twice });
    }
    let stored = read(disk, &dir.join(VOTE), Reader::vote);
    // The second copy is written first. If it is the older one, a version wrote last that does not know it, or the disk gave back an
    // old block: what was synced then may have been truncated since.
    let is_stale = |vote: &Vote| twice.vote.as_ref().map(age_of_vote) < Some(age_of_vote(vote));
    let is_stale = matches!(&stored, Ok(Some(vote)) if is_stale(vote));
    let twice = VoterState { synced: twice.synced.filter(|_| !is_stale), ..twice };
    let vote = newest(stored, twice.vote, age_of_vote)?;
    if let Some(vote) = vote.to_write {
        write_vote(disk, dir, &vote)?;
    }
    recover_purged(disk, dir, VoterState { vote: vote.value, ..twice })
}

fn recover_purged(disk: &dyn Disk, dir: &Path, known: VoterState) -> io::Result<VoterState> {
    let purged = newest(read(disk, &dir.join(PURGED), Reader::log_id), known.purged, |id| *id)?;
    if let Some(purged) = purged.to_write {
        write_purged(disk, dir, &purged)?;
    }
    Ok(VoterState { purged: purged.value, ..known })
}

/// A value that is stored twice.
struct Newest<V> {
    value: Option<V>,
    /// The same, if its file has another one.
    to_write: Option<V>,
}

fn newest<V: Copy, A: Ord>(
    file: io::Result<Option<V>>,
    twice: Option<V>,
    age: impl Fn(&V) -> A,
) -> io::Result<Newest<V>> {
    let stored = match file {
        Err(error) if error.kind() == ErrorKind::InvalidData && twice.is_some() => {
            tracing::warn!(%error, "put right from what is stored a second time");
            None
        }
        stored => stored?,
    };
    let to_write = twice.filter(|twice| stored.as_ref().map(&age) < Some(age(twice)));
    Ok(Newest { value: to_write.or(stored), to_write })
}

/// In one term a voter that has voted for one may hear that another was elected; nothing follows that.
fn age_of_vote(vote: &Vote) -> (u64, bool) {
    (vote.leader_id.term, vote.committed)
}

pub(super) fn save_committed(shared: &Shared, id: &LogId) -> io::Result<()> {
    files::write_all_at(&*shared.committed, &seal(|out| put_log_id(out, id)), 0)
}

/// Opens the file that [`save_committed`] overwrites.
pub(super) fn open_committed(disk: &dyn Disk, dir: &Path) -> io::Result<Arc<dyn DiskFile>> {
    disk.open(&dir.join(COMMITTED), OpenMode::Create)
}

pub(super) fn read_committed(disk: &dyn Disk, dir: &Path) -> io::Result<Option<LogId>> {
    match read(disk, &dir.join(COMMITTED), Reader::log_id) {
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            tracing::warn!(%error, "what is committed is learned anew");
            Ok(None)
        }
        other => other,
    }
}
