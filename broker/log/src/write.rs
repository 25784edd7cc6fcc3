//! The work that a log hands out: writes and syncs that some thread runs without the log's lock.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::atomic_file::rename_into_place;
use crate::disk::{Disk, OpenMode, is_full, remove_if_exists, write_all_at};
use crate::files::SegmentFiles;
use crate::index::{IndexEntry, IndexWrite, OffsetEntry, TimeEntry};
use crate::mutation::{Mutation, is_active};
use crate::sums;

/// Everything that one round of group commit does for one log.
#[derive(Debug)]
pub struct WriteJob {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) segments: Vec<SegmentWork>,
    /// Producer snapshots: path and contents.
    pub(crate) snapshots: Vec<(PathBuf, Bytes)>,
    /// `leader-epoch-checkpoint`: path and contents.
    pub(crate) epochs: Option<(PathBuf, String)>,
    /// A small file written without a sync when the directory was created.
    pub(crate) unsynced_file: Option<PathBuf>,
    /// Directories whose names changed.
    pub(crate) dirs: Vec<PathBuf>,
    /// Files that a job that syncs makes superfluous.
    pub(crate) obsolete: Vec<PathBuf>,
    pub(crate) sync: bool,
    pub(crate) end_offset: i64,
}

/// What a job does to the files of one segment.
#[derive(Debug)]
pub(crate) struct SegmentWork {
    pub(crate) files: Arc<SegmentFiles>,
    pub(crate) position: u64,
    pub(crate) buffers: Vec<Bytes>,
    pub(crate) offsets: Option<IndexWrite>,
    pub(crate) times: Option<IndexWrite>,
    /// The segment is closed and this completes its indexes.
    pub(crate) finishes: bool,
    /// A start may rely on the indexes up to here once they are synced.
    pub(crate) checkpoints: bool,
    pub(crate) sync_log: bool,
    pub(crate) sync_indexes: bool,
}

/// What came of a [`WriteJob`]; goes back into the log with `finish_write`.
#[derive(Debug)]
pub struct WriteOutcome {
    pub(crate) result: Result<(), WriteFailure>,
    pub(crate) segments: Vec<Written>,
    pub(crate) snapshots: Vec<PathBuf>,
    pub(crate) obsolete: Vec<PathBuf>,
    pub(crate) synced: bool,
    pub(crate) end_offset: i64,
}

/// What was written to one segment.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) base_offset: i64,
    pub(crate) bytes: u64,
    pub(crate) offsets: usize,
    pub(crate) times: usize,
    pub(crate) finished: bool,
    pub(crate) checkpointed: bool,
    pub(crate) indexes_synced: bool,
}

/// Why a job failed.
#[derive(Debug)]
pub(crate) enum WriteFailure {
    /// The disk is full. Nothing is acknowledged and nothing lost: the same bytes go into the next job.
    DiskFull(io::Error),
    /// What is on disk is unknown.
    Fatal(io::Error),
}

impl WriteJob {
    /// Bytes of records that the job writes.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(SegmentWork::bytes).sum()
    }

    /// Whether the job makes everything written so far durable.
    pub fn syncs(&self) -> bool {
        self.sync
    }

    /// Does the work. Blocks.
    pub fn run(self) -> WriteOutcome {
        let result = match self.write() {
            Err(error) if is_full(&error) => Err(WriteFailure::DiskFull(error)),
            // A failed sync is final whatever its reason: the kernel may have dropped the dirty pages.
            other => other.and_then(|()| self.sync_or_retry()).map_err(WriteFailure::Fatal),
        };
        WriteOutcome {
            result,
            segments: self.segments.iter().map(SegmentWork::written).collect(),
            snapshots: self.snapshots.into_iter().map(|(path, _)| path).collect(),
            obsolete: self.obsolete,
            synced: self.sync,
            end_offset: self.end_offset,
        }
    }

    fn write(&self) -> io::Result<()> {
        self.segments.iter().try_for_each(SegmentWork::write)?;
        for (path, contents) in &self.snapshots {
            rename_into_place(&*self.disk, path, contents, false)?;
        }
        match &self.epochs {
            // Synced before the rename, so that no power loss leaves a torn file under the name.
            Some((path, text)) => {
                sums::announce(&*self.disk, path, text.as_bytes())?;
                rename_into_place(&*self.disk, path, text.as_bytes(), self.sync)
            }
            None => Ok(()),
        }
    }

    fn sync_or_retry(&self) -> io::Result<()> {
        match self.sync() {
            Err(_) if is_active(Mutation::SyncRetriedAfterError) => self.sync(),
            result => result,
        }
    }

    fn sync(&self) -> io::Result<()> {
        if !self.sync {
            return Ok(());
        }
        self.segments.iter().try_for_each(SegmentWork::sync)?;
        let snapshots = self.snapshots.iter().map(|(path, _)| path);
        for path in snapshots.chain(&self.unsynced_file) {
            self.disk.open(path, OpenMode::Write)?.sync_data()?;
        }
        // With the names, not after them: a snapshot that came back would vouch for what is no longer true.
        self.obsolete.iter().try_for_each(|path| remove_if_exists(&*self.disk, path))?;
        if is_active(Mutation::DirectoryNotSynced) {
            return Ok(());
        }
        self.dirs.iter().try_for_each(|dir| self.disk.sync_dir(dir))
    }
}

impl SegmentWork {
    fn bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.len() as u64).sum()
    }

    fn write(&self) -> io::Result<()> {
        if !self.buffers.is_empty() {
            let buffers: Vec<&[u8]> = self.buffers.iter().map(|buffer| &**buffer).collect();
            write_all_at(&**self.files.log_or_create()?, &buffers, self.position)?;
        }
        self.write_index::<OffsetEntry>(self.offsets.as_ref())?;
        self.write_index::<TimeEntry>(self.times.as_ref())
    }

    fn write_index<E: IndexEntry>(&self, write: Option<&IndexWrite>) -> io::Result<()> {
        if write.is_none() && !self.finishes {
            return Ok(());
        }
        // A finished segment has both files, though one of them may be empty.
        let file = self.files.open(E::EXTENSION, OpenMode::Create)?;
        match write {
            Some(write) => write_all_at(&*file, &[&write.bytes], write.position),
            None => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        if self.sync_log {
            self.files.log()?.sync_data()?;
        }
        if self.sync_indexes {
            self.sync_index(OffsetEntry::EXTENSION)?;
            self.sync_index(TimeEntry::EXTENSION)?;
        }
        Ok(())
    }

    fn sync_index(&self, extension: &str) -> io::Result<()> {
        match self.files.open(extension, OpenMode::Write) {
            Ok(file) => file.sync_data(),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn written(&self) -> Written {
        Written {
            base_offset: self.files.base_offset(),
            bytes: self.bytes(),
            offsets: self.offsets.as_ref().map_or(0, |write| write.count),
            times: self.times.as_ref().map_or(0, |write| write.count),
            finished: self.finishes,
            checkpointed: self.checkpoints,
            indexes_synced: self.sync_indexes,
        }
    }
}
