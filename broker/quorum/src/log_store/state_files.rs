//! The small files beside the log: `quorum-state` (the vote), `purged` and `committed`.
//!
//! Each holds a format byte, its value and a CRC-32C. The first two are replaced atomically. `committed` is a cache: it
//! is overwritten in place without a flush, after the entries that it names are durable, and ignored when it is damaged.

use std::io;
use std::path::Path;
use std::sync::Arc;

use klamm_log::{Disk, DiskFile, OpenMode};

use super::Shared;
use crate::codec::{Reader, put_log_id, put_vote};
use crate::files;
use crate::mutation::{self, Mutation};
use crate::sealed::{read, seal};
use crate::types::{LogId, Vote};

const VOTE: &str = "quorum-state";
const PURGED: &str = "purged";
const COMMITTED: &str = "committed";

pub(super) fn save_vote(shared: &Shared, vote: &Vote) -> io::Result<()> {
    let bytes = seal(|out| put_vote(out, vote));
    if mutation::is_active(Mutation::VoteNotSynced) {
        files::write_unsynced(&*shared.disk, &shared.dir.join(VOTE), &bytes)?;
    } else {
        files::write_atomic(&*shared.disk, &shared.dir.join(VOTE), &bytes)?;
    }
    shared.state.lock().vote = Some(*vote);
    Ok(())
}

pub(super) fn read_vote(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Vote>> {
    read(disk, &dir.join(VOTE), Reader::vote)
}

pub(super) fn save_purged(shared: &Shared, id: &LogId) -> io::Result<()> {
    let bytes = seal(|out| put_log_id(out, id));
    files::write_atomic(&*shared.disk, &shared.dir.join(PURGED), &bytes)
}

pub(super) fn read_purged(disk: &dyn Disk, dir: &Path) -> io::Result<Option<LogId>> {
    read(disk, &dir.join(PURGED), Reader::log_id)
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
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::warn!(%error, "what is committed is learned anew");
            Ok(None)
        }
        other => other,
    }
}
