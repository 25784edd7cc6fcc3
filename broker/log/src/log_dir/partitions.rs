//! The directories of partitions and what their names say.

use std::fmt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::LogDirError;
use crate::disk::Disk;
use crate::log::read_topic_id;

const DELETE_SUFFIX: &str = "-delete";
const FUTURE_SUFFIX: &str = "-future";
const STRAY_SUFFIX: &str = "-stray";
/// Longest name that file systems take.
const MAX_NAME: usize = 255;

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Name of the topic.
    pub topic: String,
    /// Number of the partition.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition with this number.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }

    /// Reads `<topic>-<partition>`.
    fn parse(name: &str) -> Option<Self> {
        let (topic, partition) = name.rsplit_once('-')?;
        let number: i32 = partition.parse().ok()?;
        (!topic.is_empty() && number >= 0 && number.to_string() == partition)
            .then(|| Self::new(topic, number))
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// What a partition's directory is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartitionDirState {
    /// It holds the partition's log.
    Live,
    /// It waits to be deleted.
    Deleting,
    /// It is a copy on its way from another data directory.
    Future,
    /// It was set aside because the metadata does not know it.
    Stray,
}

/// The directory of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDir {
    /// Which partition; the topic's name may be cut off in the name of a directory to be deleted.
    pub partition: TopicPartition,
    /// Its path.
    pub path: PathBuf,
    /// The topic id in `partition.metadata`, if there is one.
    pub topic_id: Option<Uuid>,
    /// What it is there for.
    pub state: PartitionDirState,
}

/// Whether there is any, told by the names alone.
pub(super) fn has_any(disk: &dyn Disk, dir: &Path) -> Result<bool, LogDirError> {
    let entries = disk.list(dir).map_err(LogDirError::io("list", dir))?;
    Ok(entries.iter().any(|entry| entry.is_dir && parse(&entry.name).is_some()))
}

pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<PartitionDir>, LogDirError> {
    let mut partitions = Vec::new();
    for entry in
        disk.list(dir).map_err(LogDirError::io("list", dir))?.into_iter().filter(|entry| entry.is_dir)
    {
        let Some((partition, state)) = parse(&entry.name) else { continue };
        let path = dir.join(&entry.name);
        let topic_id = read_topic_id(disk, &path)?;
        partitions.push(PartitionDir { partition, path, topic_id, state });
    }
    Ok(partitions)
}

pub(super) fn rename_for_delete(
    disk: &dyn Disk,
    dir: &Path,
    topic: &str,
    partition: i32,
    unique: Uuid,
) -> Result<PathBuf, LogDirError> {
    let suffix = format!("-{partition}.{}{DELETE_SUFFIX}", unique.simple());
    let topic_length = topic.len().min(MAX_NAME.saturating_sub(suffix.len()));
    let from = dir.join(format!("{topic}-{partition}"));
    let to = dir.join(format!("{}{suffix}", topic.get(..topic_length).unwrap_or_default()));
    disk.rename(&from, &to).map_err(LogDirError::io("rename", &from))?;
    disk.sync_dir(dir).map_err(LogDirError::io("sync", dir))?;
    Ok(to)
}

fn parse(name: &str) -> Option<(TopicPartition, PartitionDirState)> {
    let suffixes = [
        (DELETE_SUFFIX, PartitionDirState::Deleting),
        (FUTURE_SUFFIX, PartitionDirState::Future),
        (STRAY_SUFFIX, PartitionDirState::Stray),
    ];
    for (suffix, state) in suffixes {
        if let Some((partition, unique)) = name.strip_suffix(suffix).and_then(|rest| rest.rsplit_once('.'))
            && unique.len() == 32
        {
            return Some((TopicPartition::parse(partition)?, state));
        }
    }
    Some((TopicPartition::parse(name)?, PartitionDirState::Live))
}
