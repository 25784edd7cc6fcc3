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

pub use checkpoint::{Checkpoint, Checkpoints};
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
        let identity = match found {
            Some(found) => found.check(path, &owner)?,
            None => meta_properties::create(&*disk, path, &owner)?,
        };
        let previous_broker_epoch = clean_shutdown::take(&*disk, path)?;
        Ok(Self { disk, path: path.to_path_buf(), identity, created, previous_broker_epoch, _lock: lock })
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

    /// Reads one of the checkpoints; empty if it was never written.
    pub fn read_checkpoint(&self, checkpoint: Checkpoint) -> Result<Checkpoints, LogDirError> {
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
mod tests {
    use super::*;
    use crate::SimDisk;
    use crate::disk::{OpenMode, read_file, write_all_at};

    const PATH: &str = "/data";

    fn owner(cluster_id: Option<&str>, node_id: i32) -> Owner<'_> {
        Owner { cluster_id, node_id, new_directory_id: Uuid::from_u128(7) }
    }

    fn open(disk: &SimDisk, owner: Owner<'_>) -> Result<LogDir, LogDirError> {
        LogDir::open(Arc::new(disk.clone()), Path::new(PATH), owner)
    }

    #[test]
    fn an_identity_is_written_once_and_survives_power_loss() {
        let disk = SimDisk::new(3);
        let first = open(&disk, owner(Some("cluster-a"), 4)).expect("new");
        assert!(first.is_new() && !first.was_clean_shutdown());
        let text = read_file(&disk, Path::new("/data/meta.properties")).expect("there");
        let text = String::from_utf8(text).expect("text");
        assert_eq!(text, "cluster.id=cluster-a\ndirectory.id=AAAAAAAAAAAAAAAAAAAABw\nnode.id=4\nversion=1\n");
        disk.power_loss();
        let again = Owner { new_directory_id: Uuid::from_u128(9), ..owner(None, 4) };
        let again = open(&disk, again).expect("same");
        assert_eq!(
            (again.cluster_id(), again.directory_id(), again.is_new()),
            ("cluster-a", Uuid::from_u128(7), false)
        );
    }

    #[test]
    fn a_directory_whose_creation_failed_half_way_is_durable_once_it_opens() {
        for failing in 0..3 {
            let disk = SimDisk::new(failing);
            disk.fail_syncs_after(failing as u32, 1);
            drop(open(&disk, owner(Some("cluster-a"), 4)).expect_err("a sync fails"));
            let dir = open(&disk, owner(Some("cluster-a"), 4)).expect("works again");
            dir.write_checkpoint(Checkpoint::LogStart, &Checkpoints::new()).expect("writes");
            disk.power_loss();
            assert!(!open(&disk, owner(None, 4)).expect("there").is_new(), "after {failing} syncs");
        }
    }

    #[test]
    fn a_directory_of_another_cluster_or_node_is_refused_with_both_ids() {
        let disk = SimDisk::new(3);
        drop(open(&disk, owner(Some("cluster-a"), 4)).expect("new"));
        let cluster = open(&disk, owner(Some("cluster-b"), 4)).expect_err("other cluster").to_string();
        assert!(
            cluster.contains("cluster-a") && cluster.contains("cluster-b") && cluster.contains(PATH),
            "{cluster}"
        );
        let node = open(&disk, owner(Some("cluster-a"), 5)).expect_err("other node").to_string();
        assert!(node.contains("node id 4") && node.contains("is 5") && node.contains(PATH), "{node}");
    }

    #[test]
    fn two_brokers_cannot_share_a_directory() {
        let disk = SimDisk::new(3);
        let first = open(&disk, owner(Some("cluster-a"), 4)).expect("new");
        assert!(matches!(open(&disk, owner(Some("cluster-a"), 4)), Err(LogDirError::Locked(_))));
        drop(first);
        assert!(open(&disk, owner(Some("cluster-a"), 4)).is_ok());
    }

    #[test]
    fn data_without_an_owner_is_not_taken_over() {
        let disk = SimDisk::new(3);
        disk.create_dir_all(Path::new("/data/topic-0")).expect("creates");
        disk.create_dir_all(Path::new("/data/lost+found")).expect("creates");
        let refused = open(&disk, owner(Some("cluster-a"), 4));
        assert!(matches!(refused, Err(LogDirError::MissingMetaProperties { .. })));
        assert!(matches!(open(&SimDisk::new(1), owner(None, 4)), Err(LogDirError::NoClusterId(_))));
    }

    #[test]
    fn the_clean_shutdown_marker_is_used_once() {
        let disk = SimDisk::new(3);
        let dir = open(&disk, owner(Some("cluster-a"), 4)).expect("new");
        dir.mark_clean_shutdown(42).expect("writes");
        let marker = read_file(&disk, Path::new("/data/.kafka_cleanshutdown")).expect("there");
        assert_eq!(marker, br#"{"version":0,"brokerEpoch":42}"#);
        disk.power_loss();
        let dir = open(&disk, owner(None, 4)).expect("same");
        assert_eq!(dir.previous_broker_epoch(), Some(42));
        disk.power_loss();
        assert!(!open(&disk, owner(None, 4)).expect("same").was_clean_shutdown());
    }

    #[test]
    fn checkpoints_are_kafkas_text_and_damage_is_an_error() {
        let disk = SimDisk::new(3);
        let dir = open(&disk, owner(Some("cluster-a"), 4)).expect("new");
        let offsets =
            Checkpoints::from([(TopicPartition::new("a.b", 1), 10), (TopicPartition::new("a", 0), 7)]);
        assert_eq!(dir.read_checkpoint(Checkpoint::RecoveryPoint).expect("reads"), Checkpoints::new());
        dir.write_checkpoint(Checkpoint::RecoveryPoint, &offsets).expect("writes");
        let path = Path::new("/data/recovery-point-offset-checkpoint");
        assert_eq!(read_file(&disk, path).expect("there"), b"0\n2\na 0 7\na.b 1 10\n");
        assert_eq!(dir.read_checkpoint(Checkpoint::RecoveryPoint).expect("reads"), offsets);
        let file = disk.open(path, OpenMode::Replace).expect("opens");
        write_all_at(&*file, &[b"0\n3\na 0 7\n"], 0).expect("writes");
        let damaged = dir.read_checkpoint(Checkpoint::RecoveryPoint);
        assert!(matches!(damaged, Err(LogDirError::Malformed { .. })));
    }

    #[test]
    fn deleted_partitions_are_told_from_live_ones() {
        let disk = SimDisk::new(3);
        let dir = open(&disk, owner(Some("cluster-a"), 4)).expect("new");
        for name in
            ["orders-0", "orders-12", "with-dash-3", "__cluster_metadata-0", "lost+found", "no-partition-x"]
        {
            disk.create_dir_all(&dir.path().join(name)).expect("creates");
        }
        let renamed = dir.rename_for_delete("orders", 12, Uuid::from_u128(5)).expect("renames");
        assert_eq!(renamed, Path::new("/data/orders-12.00000000000000000000000000000005-delete"));
        let mut found: Vec<_> =
            dir.partitions().expect("lists").into_iter().map(|p| (p.partition, p.state)).collect();
        found.sort();
        let expected = [
            (TopicPartition::new("__cluster_metadata", 0), PartitionDirState::Live),
            (TopicPartition::new("orders", 0), PartitionDirState::Live),
            (TopicPartition::new("orders", 12), PartitionDirState::Deleting),
            (TopicPartition::new("with-dash", 3), PartitionDirState::Live),
        ];
        assert_eq!(found, expected);
        dir.remove(&renamed).expect("removes");
        dir.remove(&renamed).expect("gone already");
        assert_eq!(dir.partitions().expect("lists").len(), 3);
    }
}
