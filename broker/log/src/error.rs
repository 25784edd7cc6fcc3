//! What can go wrong with a log.

use std::io;
use std::path::{Path, PathBuf};

use klamm_records::BatchError;
use uuid::Uuid;

use crate::disk::is_unreadable;

/// What is wrong with bytes on disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A batch is malformed, cut off or fails its checksum.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A batch or segment begins before its predecessor ends, or too far from its segment's base.
    #[error("offset {found} does not follow {expected}")]
    Offset {
        /// The smallest offset that could follow.
        expected: i64,
        /// The offset that does.
        found: i64,
    },
    /// The disk cannot read it, for example because of a bad sector.
    #[error("the disk cannot read it")]
    Unreadable,
    /// A batch has a smaller leader epoch than one before it, left over from before a truncation, or not the one that it must have.
    #[error("leader epoch {found} where {last} was expected")]
    LeaderEpoch {
        /// Leader epoch of the batch before, or the one that the epoch checkpoint names.
        last: i32,
        /// Leader epoch of the batch.
        found: i32,
    },
}

/// Why a log cannot do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
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
    /// An earlier write or sync failed, so what is on disk is unknown; the log takes no more calls.
    #[error("log {} is offline: {reason}", dir.display())]
    Offline {
        /// The log's directory.
        dir: PathBuf,
        /// The failure that took it offline.
        reason: String,
    },
    /// A write job is out; its outcome must come back through `finish_write` first.
    #[error("log {} has a write job outstanding", .0.display())]
    WriteInProgress(PathBuf),
    /// The directory belongs to another topic of the same name.
    #[error("directory {} belongs to topic id {found}, not {expected}", dir.display())]
    TopicIdMismatch {
        /// The log's directory.
        dir: PathBuf,
        /// The id in `partition.metadata`.
        found: Uuid,
        /// The id that the metadata log names.
        expected: Uuid,
    },
    /// An offset outside the log.
    #[error("offset {offset} lies outside {start}..={end}")]
    OffsetOutOfRange {
        /// The offset asked for.
        offset: i64,
        /// First offset of the log.
        start: i64,
        /// The offset after the last one.
        end: i64,
    },
    /// Data that was durable is damaged.
    #[error("{} is damaged at byte {position}: {reason}", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where the damaged batch starts.
        position: u64,
        /// What is wrong with it.
        reason: Damage,
    },
}

impl LogError {
    /// Attaches what was tried and where to an error of the file system.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_path_buf(), source }
    }

    /// Whether the copy is damaged: the bytes are wrong, or the disk cannot read them.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Io { source, .. } => is_unreadable(source),
            _ => false,
        }
    }
}

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The producer has sent this batch before; it was appended at these offsets.
    #[error("duplicate of the batch at offsets {base_offset}..={last_offset}")]
    DuplicateSequence {
        /// First offset of the batch that was appended then.
        base_offset: i64,
        /// Last offset of that batch.
        last_offset: i64,
        /// Largest timestamp of that batch, Unix ms.
        timestamp: i64,
    },
    /// The batch does not continue the producer's sequence.
    #[error("producer {producer_id}: sequence {found} does not follow {last}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// First sequence number of the batch.
        found: i32,
        /// The last sequence number appended, −1 if none in this epoch.
        last: i32,
    },
    /// The batch comes from an older incarnation of the producer.
    #[error("producer {producer_id}: epoch {found} is older than {current}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: i64,
        /// Epoch of the batch.
        found: i16,
        /// The producer's current epoch.
        current: i16,
    },
    /// The bytes are no sound batch.
    #[error(transparent)]
    Corrupt(#[from] BatchError),
    /// A replicated batch does not lie behind the end of the log.
    #[error("offset {found} does not continue the log, which ends at {expected}")]
    OffsetsNotMonotonic {
        /// The log's end.
        expected: i64,
        /// First offset of the batch.
        found: i64,
    },
    /// The batch belongs to an older leader epoch than the end of the log.
    #[error("leader epoch {found} is older than {latest}")]
    StaleLeaderEpoch {
        /// Leader epoch of the batch.
        found: i32,
        /// The latest leader epoch of the log.
        latest: i32,
    },
    /// The batch exceeds `max.message.bytes` (`MESSAGE_TOO_LARGE`).
    #[error("batch of {size} bytes exceeds the limit of {max}")]
    TooLarge {
        /// Size of the batch in bytes.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The batch exceeds `segment.bytes` (`RECORD_LIST_TOO_LARGE`).
    #[error("batch of {size} bytes exceeds a whole segment of {max}")]
    LargerThanSegment {
        /// Size of the batch in bytes.
        size: usize,
        /// Size of a segment in bytes.
        max: usize,
    },
    /// The log is offline, see [`LogError::Offline`].
    #[error("log is offline: {0}")]
    Offline(String),
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset lies outside the log.
    #[error("offset {offset} lies outside {start}..={end}")]
    OutOfRange {
        /// The offset asked for.
        offset: i64,
        /// First offset of the log.
        start: i64,
        /// The offset after the last one.
        end: i64,
    },
    /// The read would have to wait for the disk, and was told not to.
    #[error("not in the page cache")]
    WouldBlock,
    /// The file system said no.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The segment.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A batch header on disk is damaged.
    #[error("{} is damaged at byte {position}: {reason}", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where the damaged batch starts.
        position: u64,
        /// What is wrong with it.
        reason: Damage,
    },
    /// The log is offline, see [`LogError::Offline`].
    #[error("log is offline: {0}")]
    Offline(String),
}

impl ReadError {
    /// Whether the copy is damaged: the bytes are wrong, or the disk cannot read them.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Io { source, .. } => is_unreadable(source),
            _ => false,
        }
    }
}
