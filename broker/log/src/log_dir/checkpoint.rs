//! The checkpoint files: one offset a partition, as text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::{LogDirError, TopicPartition};
use crate::atomic_file;
use crate::disk::Disk;
use crate::sums::{self, Seal};

/// One of the checkpoint files of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// Everything before the offset is durable.
    RecoveryPoint,
    /// The first offset of the log.
    LogStart,
    /// The high watermark.
    HighWatermark,
    /// Everything before the offset is compacted.
    Cleaner,
}

/// The offsets in a checkpoint.
pub type Checkpoints = BTreeMap<TopicPartition, i64>;

/// A checkpoint as it was read.
#[derive(Clone, Debug)]
pub struct StoredOffsets {
    /// The offsets; none if the file was never written, or is broken.
    pub offsets: Checkpoints,
    /// What its checksum says.
    pub seal: Seal,
}

impl Checkpoint {
    /// The file's name.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::RecoveryPoint => "recovery-point-offset-checkpoint",
            Self::LogStart => "log-start-offset-checkpoint",
            Self::HighWatermark => "replication-offset-checkpoint",
            Self::Cleaner => "cleaner-offset-checkpoint",
        }
    }
}

pub(super) fn read(
    disk: &dyn Disk,
    dir: &Path,
    checkpoint: Checkpoint,
) -> Result<StoredOffsets, LogDirError> {
    let path = dir.join(checkpoint.file_name());
    match sums::read(disk, &path).map_err(LogDirError::io("read", &path))? {
        None => Ok(StoredOffsets { offsets: Checkpoints::new(), seal: Seal::Sound }),
        // A checksum that had to be made anew vouches for nothing, and Kafka writes none.
        Some(file) => Ok(match parse(&file.contents).filter(|_| file.seal != Seal::Broken) {
            Some(offsets) => StoredOffsets { offsets, seal: file.seal },
            None => StoredOffsets { offsets: Checkpoints::new(), seal: Seal::Broken },
        }),
    }
}

pub(super) fn write(
    disk: &dyn Disk,
    dir: &Path,
    checkpoint: Checkpoint,
    offsets: &Checkpoints,
) -> Result<(), LogDirError> {
    let mut text = format!("0\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {} {offset}", partition.topic, partition.partition);
    }
    let path = dir.join(checkpoint.file_name());
    atomic_file::replace_sealed(disk, &path, text.as_bytes()).map_err(LogDirError::io("write", &path))
}

/// Reads version 0: the version, the number of entries, then "topic partition offset" a line.
fn parse(contents: &[u8]) -> Option<Checkpoints> {
    let text = std::str::from_utf8(contents).ok()?;
    let mut lines = text.lines();
    if lines.next()?.trim() != "0" || !text.ends_with('\n') {
        return None;
    }
    let count: usize = lines.next()?.trim().parse().ok()?;
    let entries = lines.filter(|line| !line.trim().is_empty()).map(parse_entry);
    let offsets: Checkpoints = entries.collect::<Option<_>>()?;
    (count == offsets.len()).then_some(offsets)
}

fn parse_entry(line: &str) -> Option<(TopicPartition, i64)> {
    let mut fields = line.split_whitespace();
    let partition = TopicPartition::new(fields.next()?, fields.next()?.parse().ok()?);
    let offset = fields.next()?.parse().ok()?;
    fields.next().is_none().then_some((partition, offset))
}
