//! One partition's log on disk in Kafka's file formats, and the directory that many of them share.
//!
//! A log is a plain structure behind somebody else's lock: it has no thread, no clock and no async. Appending puts a batch
//! into memory and decides everything about it (offsets, producer sequence, segment, index entries). The bytes reach the
//! disk through a [`WriteJob`], which any thread runs without that lock; whatever is appended in the meantime goes into
//! the next job, so one fsync covers every append that waits for it.
//!
//! | module | one thing |
//! |---|---|
//! | `log` | the log: append, write jobs, read, truncate, retention, one file each |
//! | `load` | the walk over the files after a start or a truncation |
//! | `segment`, `files` | what is known of a segment; its open files |
//! | `index` | `.index` and `.timeindex` |
//! | `scan` | walking batches in a file |
//! | `check` | data that was there before this process, checked before it is served |
//! | `tail` | the newest batches in memory |
//! | `write`, `read` | the parts of a write and of a read that need no lock |
//! | `epochs` | leader epochs and their checkpoint file |
//! | `compaction` | keeping the last value of each key |
//! | `producer` | idempotent producers and their snapshot file |
//! | `sums` | checksums beside small files that have none |
//! | `log_dir` | a data directory: lock, identity, checkpoints, partition directories |
//! | `disk` | the file system behind a trait, real and simulated |
//!
//! The log never looks inside a batch beyond its header, except to compact it or to answer for a timestamp. It trusts
//! nothing on disk that it can check: what fails a check is reported, never skipped.

mod atomic_file;
mod check;
mod compaction;
mod config;
mod disk;
mod epochs;
mod error;
mod files;
mod index;
mod load;
mod log;
mod log_dir;
#[cfg(not(any(test, feature = "mutations")))]
mod mutation;
#[cfg(any(test, feature = "mutations"))]
pub mod mutation;
mod names;
mod producer;
mod read;
mod scan;
mod segment;
mod sums;
mod tail;
mod write;

pub use atomic_file::replace as replace_file;
pub use check::{Checked, SegmentCheck};
pub use compaction::{CompactionJob, CompactionOutcome};
pub use config::LogConfig;
pub use disk::{
    DirEntry, Disk, DiskFile, DiskSpace, OpenMode, RealDisk, SimDisk, Wait, is_full, read_file_if_exists,
};
pub use epochs::EpochEntry;
pub use error::{AppendError, Damage, LogError, ReadError};
pub use load::Cut;
pub use log::{
    Appended, CorruptionPolicy, DeletedFiles, Log, OpenOptions, RecoveryReport, TimestampOffset, WrittenEnds,
};
pub use log_dir::{
    Checkpoint, Checkpoints, LogDir, LogDirError, Owner, PartitionDir, PartitionDirState, StoredOffsets,
    TopicPartition,
};
pub use producer::{ProducerBatch, ProducerEntry};
pub use read::{Chunk, DiskRead, FileChunk, LogRead, ReadPlan};
pub use sums::Seal;
pub use write::{WriteJob, WriteOutcome};
