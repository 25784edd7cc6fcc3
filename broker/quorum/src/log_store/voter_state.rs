//! The file `voter-state`: the vote and the purged position once more, and how far the log is synced.
//!
//! A vote that goes back is given twice, and an entry that was acknowledged and is gone may have been committed with its help.
//! Neither shows in the file that lost it: a disk may give back an older block, which is sound in itself, and a log that is damaged
//! at its end looks as if power had been lost over a write. So both are written down in a second place.
//!
//! It is overwritten in place. With a vote or a purged position it is synced, before the file that is replaced for it is; so what
//! is newer of the two is never older than what was acknowledged, and each may be damaged while the other is whole. How far the
//! log goes is written after each of its syncs without another one: a process that dies leaves it in the page cache, and only a
//! loss of power may take the last of it. Before entries are removed it is set back and synced.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use klamm_log::{Disk, DiskFile, OpenMode};
use parking_lot::Mutex;

use crate::QuorumError;
use crate::codec::{Reader, put_log_id, put_vote};
use crate::mutation::{self, Mutation};
use crate::types::{LogId, Vote, log_id};
use crate::{files, sealed};

const FILE: &str = "voter-state";

/// What the file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct VoterState {
    pub(super) vote: Option<Vote>,
    pub(super) purged: Option<LogId>,
    /// The last entry that was synced.
    pub(super) synced: Option<LogId>,
}

/// The file of a running voter.
pub(super) struct VoterFile {
    file: Arc<dyn DiskFile>,
    state: Mutex<VoterState>,
}

impl VoterState {
    /// What the file says; nothing if there is none, or it is damaged: then the others are whole, or a write of it was torn, which
    /// nobody has heard of.
    pub(super) fn read(disk: &dyn Disk, dir: &Path) -> io::Result<VoterState> {
        match sealed::read(disk, &dir.join(FILE), VoterState::take) {
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                tracing::warn!(%error, "written anew from the files beside it");
                Ok(VoterState::default())
            }
            read => Ok(read?.unwrap_or_default()),
        }
    }

    fn take(reader: &mut Reader) -> Result<VoterState, QuorumError> {
        let mut flags = [false; 3];
        for flag in &mut flags {
            *flag = reader.bool()?;
        }
        let (vote, purged, synced) = (reader.vote()?, reader.log_id()?, reader.log_id()?);
        let [votes, has_purged, has_synced] = flags;
        Ok(VoterState {
            vote: votes.then_some(vote),
            purged: has_purged.then_some(purged),
            synced: has_synced.then_some(synced),
        })
    }

    /// What there is not takes room, too: all states have the same length, so that nothing of an older one shows behind it.
    fn put(&self, out: &mut BytesMut) {
        for flag in [self.vote.is_some(), self.purged.is_some(), self.synced.is_some()] {
            out.put_u8(u8::from(flag));
        }
        put_vote(out, &self.vote.unwrap_or_else(|| Vote::new(0, 0)));
        put_log_id(out, &self.purged.unwrap_or_else(|| log_id(0, 0)));
        put_log_id(out, &self.synced.unwrap_or_else(|| log_id(0, 0)));
    }
}

impl VoterFile {
    /// Opens the file, and changes nothing of it.
    pub(super) fn open(disk: &dyn Disk, dir: &Path, state: VoterState) -> io::Result<VoterFile> {
        Ok(VoterFile { file: disk.open(&dir.join(FILE), OpenMode::Create)?, state: Mutex::new(state) })
    }

    pub(super) fn state(&self) -> VoterState {
        *self.state.lock()
    }

    /// Changes what the file says, durably.
    pub(super) fn save(&self, change: impl FnOnce(&mut VoterState)) -> io::Result<()> {
        self.change(change)?;
        if mutation::is_active(Mutation::VoteNotSynced) { Ok(()) } else { self.file.sync_data() }
    }

    /// Changes what the file says; a loss of power may undo it.
    pub(super) fn change(&self, change: impl FnOnce(&mut VoterState)) -> io::Result<()> {
        let mut state = self.state();
        change(&mut state);
        write(&*self.file, &state)?;
        *self.state.lock() = state;
        Ok(())
    }
}

fn write(file: &dyn DiskFile, state: &VoterState) -> io::Result<()> {
    files::write_all_at(file, &sealed::seal(|out| state.put(out)), 0)
}
