//! `meta.properties`: which cluster, node and directory the data belongs to.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::{LogDirError, Owner, PartitionDirState, partitions};
use crate::atomic_file;
use crate::disk::Disk;
use crate::sums::{self, Seal};

const NAME: &str = "meta.properties";

/// The contents of version 1 of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MetaProperties {
    pub(super) cluster_id: String,
    pub(super) node_id: i32,
    pub(super) directory_id: Uuid,
}

/// Reads the file and what its checksum says; `None` if there is none.
pub(super) fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<(MetaProperties, Seal)>, LogDirError> {
    let path = dir.join(NAME);
    let Some(file) = sums::read(disk, &path).map_err(LogDirError::io("read", &path))? else {
        return Ok(None);
    };
    let malformed = |reason: &str| LogDirError::Malformed { path: path.clone(), reason: reason.to_string() };
    if file.seal == Seal::Broken {
        return Err(malformed(
            "it is not what was written; if it was changed on purpose, remove meta.properties.crc32c",
        ));
    }
    let text = std::str::from_utf8(&file.contents).map_err(|_| malformed("not UTF-8"))?;
    if property(text, "version") != Some("1") {
        return Err(malformed("version is not 1"));
    }
    let cluster_id = property(text, "cluster.id").ok_or_else(|| malformed("no cluster.id"))?.to_string();
    let node_id = property(text, "node.id").and_then(|id| id.parse().ok());
    let node_id = node_id.ok_or_else(|| malformed("no node.id"))?;
    let directory_id = property(text, "directory.id").and_then(|id| URL_SAFE_NO_PAD.decode(id).ok());
    let directory_id = directory_id.and_then(|bytes| Uuid::from_slice(&bytes).ok());
    let directory_id = directory_id.ok_or_else(|| malformed("no directory.id"))?;
    Ok(Some((MetaProperties { cluster_id, node_id, directory_id }, file.seal)))
}

/// Writes the file into a directory that has none.
pub(super) fn create(disk: &dyn Disk, dir: &Path, owner: &Owner<'_>) -> Result<MetaProperties, LogDirError> {
    let partitions = partitions::list(disk, dir)?;
    if let Some(one) = partitions.iter().find(|partition| partition.state == PartitionDirState::Live) {
        let partition = one.partition.to_string();
        return Err(LogDirError::MissingMetaProperties { path: dir.to_path_buf(), partition });
    }
    let cluster_id = owner.cluster_id.ok_or_else(|| LogDirError::NoClusterId(dir.to_path_buf()))?.to_string();
    let (node_id, directory_id) = (owner.node_id, owner.new_directory_id);
    let created = MetaProperties { cluster_id, node_id, directory_id };
    created.write(disk, dir)?;
    Ok(created)
}

impl MetaProperties {
    /// Writes it durably, and the directory itself.
    fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<(), LogDirError> {
        let Self { cluster_id, node_id, directory_id } = self;
        let encoded = URL_SAFE_NO_PAD.encode(directory_id.as_bytes());
        let text = format!("cluster.id={cluster_id}\ndirectory.id={encoded}\nnode.id={node_id}\nversion=1\n");
        // Before the file: who finds it takes the directory itself for durable.
        if let Some(parent) = dir.parent() {
            disk.sync_dir(parent).map_err(LogDirError::io("sync", parent))?;
        }
        let path = dir.join(NAME);
        atomic_file::replace_sealed(disk, &path, text.as_bytes()).map_err(LogDirError::io("write", &path))
    }

    /// Whoever wrote what is there may have been told that it is not durable, and a sync that is asked for again says nothing of
    /// what an earlier one did not write. So it is written again until the directory holds anything, which it does only once it
    /// has been opened.
    pub(super) fn confirm(self, disk: &dyn Disk, dir: &Path) -> Result<Self, LogDirError> {
        if !partitions::has_any(disk, dir)? {
            self.write(disk, dir)?;
        }
        Ok(self)
    }

    /// Refuses a directory of another owner.
    pub(super) fn check(self, dir: &Path, owner: &Owner<'_>) -> Result<Self, LogDirError> {
        let path = dir.to_path_buf();
        if let Some(expected) = owner.cluster_id.filter(|expected| *expected != self.cluster_id) {
            return Err(LogDirError::WrongCluster {
                path,
                found: self.cluster_id,
                expected: expected.to_string(),
            });
        }
        if self.node_id != owner.node_id {
            return Err(LogDirError::WrongNode { path, found: self.node_id, expected: owner.node_id });
        }
        Ok(self)
    }
}

/// The value of a key in the text of a Java properties file without escapes.
fn property<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let pairs = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    pairs
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
}
