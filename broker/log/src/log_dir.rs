//! A data directory (`log.dirs`): its lock, its identity, its checkpoints, and the partitions in it.

mod checkpoint;
mod clean_shutdown;
mod meta_properties;
mod partitions;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::LogError;
use crate::disk::{Disk, DiskSpace};
use crate::sums::Seal;

pub use checkpoint::{Checkpoint, Checkpoints, StoredOffsets};
use meta_properties::MetaProperties;
pub use partitions::{PartitionDir, PartitionDirState, TopicPartition};

const LOCK: &str = ".lock";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogDirError {
    /// The file system said no.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error("data directory {} is locked: another broker uses it", .0.display())]
    Locked(PathBuf),
    /// The directory belongs to another cluster.
    #[error("data directory {} belongs to cluster id {found}, but this broker's cluster id is {expected}", path.display())]
    WrongCluster {
        /// The directory.
        path: PathBuf,
        /// Cluster id in `meta.properties`.
        found: String,
        /// Cluster id of this broker.
        expected: String,
    },
    /// The directory belongs to another node.
    #[error("data directory {} belongs to node id {found}, but this broker's node id is {expected}", path.display())]
    WrongNode {
        /// The directory.
        path: PathBuf,
        /// Node id in `meta.properties`.
        found: i32,
        /// Node id of this broker.
        expected: i32,
    },
    /// The directory is new and nobody said which cluster it is for.
    #[error("data directory {} is empty and no cluster id is given", .0.display())]
    NoClusterId(PathBuf),
    /// The directory holds partitions, but nothing says whose.
    #[error("data directory {} holds partition {partition} but has no meta.properties", path.display())]
    MissingMetaProperties {
        /// The directory.
        path: PathBuf,
        /// One of the partitions.
        partition: String,
    },
    /// A file does not have the contents that its name promises.
    #[error("{} is malformed: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl LogDirError {
    fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_path_buf(), source }
    }
}

impl From<LogError> for LogDirError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Io { operation, path, source } => Self::Io { operation, path, source },
            other => Self::Malformed { path: PathBuf::new(), reason: other.to_string() },
        }
    }
}

/// Whose directory it must be.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// The cluster; `None` takes what the directory says.
    pub cluster_id: Option<&'a str>,
    /// The node.
    pub node_id: i32,
    /// A random id for the directory, used only if it has none yet.
    pub new_directory_id: Uuid,
}

/// A data directory, locked as long as this lives.
pub struct LogDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    identity: MetaProperties,
    identity_seal: Seal,
    created: bool,
    previous_broker_epoch: Option<i64>,
    _lock: Box<dyn Send + Sync>,
}

impl std::fmt::Debug for LogDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogDir")
            .field("path", &self.path)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl LogDir {
    /// Creates or opens a directory, locks it, checks that it belongs to `owner`, and takes its clean-shutdown marker.
    pub fn open(disk: Arc<dyn Disk>, path: &Path, owner: Owner<'_>) -> Result<Self, LogDirError> {
        disk.create_dir_all(path).map_err(LogDirError::io("create", path))?;
        let lock = lock(&*disk, path)?;
        let found = meta_properties::read(&*disk, path)?;
        let created = found.is_none();
        let (identity, identity_seal) = match found {
            Some((found, seal)) => (found.check(path, &owner)?.confirm(&*disk, path)?, seal),
            None => (meta_properties::create(&*disk, path, &owner)?, Seal::Sound),
        };
        let previous_broker_epoch = clean_shutdown::take(&*disk, path)?;
        let path = path.to_path_buf();
        Ok(Self { disk, path, identity, identity_seal, created, previous_broker_epoch, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The cluster that the directory belongs to.
    pub fn cluster_id(&self) -> &str {
        &self.identity.cluster_id
    }

    /// The directory's own id.
    pub fn directory_id(&self) -> Uuid {
        self.identity.directory_id
    }

    /// What the checksum of `meta.properties` said: a broken one is an error of [`open`](Self::open).
    pub fn identity_seal(&self) -> Seal {
        self.identity_seal
    }

    /// Whether the directory was new: this broker has no data from before.
    pub fn is_new(&self) -> bool {
        self.created
    }

    /// Whether the last broker shut down cleanly, so that its logs need no recovery.
    pub fn was_clean_shutdown(&self) -> bool {
        self.previous_broker_epoch.is_some()
    }

    /// The broker epoch at the last clean shutdown; `None` after any other end (KIP-966).
    pub fn previous_broker_epoch(&self) -> Option<i64> {
        self.previous_broker_epoch
    }

    /// Says that every log was closed. The last thing before the process ends.
    pub fn mark_clean_shutdown(&self, broker_epoch: i64) -> Result<(), LogDirError> {
        clean_shutdown::write(&*self.disk, &self.path, broker_epoch)
    }

    /// The space on the directory's volume.
    pub fn space(&self) -> Result<DiskSpace, LogDirError> {
        self.disk.space(&self.path).map_err(LogDirError::io("look at", &self.path))
    }

    /// Reads one of the checkpoints; empty if it was never written, or is not what was written.
    pub fn read_checkpoint(&self, checkpoint: Checkpoint) -> Result<StoredOffsets, LogDirError> {
        checkpoint::read(&*self.disk, &self.path, checkpoint)
    }

    /// Replaces one of the checkpoints durably.
    pub fn write_checkpoint(&self, checkpoint: Checkpoint, offsets: &Checkpoints) -> Result<(), LogDirError> {
        checkpoint::write(&*self.disk, &self.path, checkpoint, offsets)
    }

    /// The partition directories, those on their way out included.
    pub fn partitions(&self) -> Result<Vec<PartitionDir>, LogDirError> {
        partitions::list(&*self.disk, &self.path)
    }

    /// Where a partition's log lies or will lie.
    pub fn partition_dir(&self, topic: &str, partition: i32) -> PathBuf {
        self.path.join(format!("{topic}-{partition}"))
    }

    /// Takes a partition out of service by renaming its directory; `unique` is random. Returns the new path, which
    /// [`remove`](Self::remove) deletes when no reader needs it any more.
    pub fn rename_for_delete(
        &self,
        topic: &str,
        partition: i32,
        unique: Uuid,
    ) -> Result<PathBuf, LogDirError> {
        partitions::rename_for_delete(&*self.disk, &self.path, topic, partition, unique)
    }

    /// Deletes a directory inside this one with everything in it; one that is gone already is no error.
    pub fn remove(&self, dir: &Path) -> Result<(), LogDirError> {
        match self.disk.remove_dir_all(dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(LogDirError::io("remove", dir)(error)),
            _ => Ok(()),
        }
    }
}

fn lock(disk: &dyn Disk, path: &Path) -> Result<Box<dyn Send + Sync>, LogDirError> {
    let file = path.join(LOCK);
    disk.lock(&file).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => LogDirError::Locked(path.to_path_buf()),
        _ => LogDirError::io("lock", &file)(error),
    })
}

#[cfg(test)]
mod tests;
