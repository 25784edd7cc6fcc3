//! The log of one partition: its state, and what can be asked of it without touching the disk.

mod append;
mod compact;
mod flush;
mod hand_over;
mod lookup;
mod open;
mod reading;
mod retention;
mod topic_id;
mod truncation;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::disk::Disk;
use crate::epochs::{EpochCache, EpochEntry};
use crate::files::SegmentFiles;
use crate::producer::{ProducerEntry, ProducerStates};
use crate::segment::Segment;
use crate::tail::Tail;
use crate::{LogConfig, LogError, names};

pub use append::Appended;
pub use flush::WrittenEnds;
pub use lookup::TimestampOffset;
pub use open::{CorruptionPolicy, OpenOptions, RecoveryReport};
pub use retention::DeletedFiles;
pub(crate) use topic_id::read_topic_id;

/// Memory that the tail keeps of what is written already, unless told otherwise.
const DEFAULT_TAIL_LIMIT: usize = 1 << 20;

/// The log of one partition.
///
/// Offsets, from the front: `durable_end ≤ written_end ≤ end_offset`, where everything before
/// `durable_end` survives a power loss, everything before `written_end` is in the files, and the rest is in memory.
#[derive(Debug)]
pub struct Log {
    disk: Arc<dyn Disk>,
    dir: Arc<Path>,
    config: LogConfig,
    topic_id: Option<Uuid>,
    /// Ascending by base offset, never empty; the last one grows.
    segments: Vec<Segment>,
    tail: Tail,
    epochs: EpochCache,
    producers: ProducerStates,
    start_offset: i64,
    end_offset: i64,
    written_end: i64,
    durable_end: i64,
    /// Producer snapshots on disk, ascending.
    snapshots: Vec<i64>,
    /// Those that were there before the process and that no check has looked at.
    doubtful_snapshots: Vec<i64>,
    /// Producer snapshots that the next jobs store.
    waiting_snapshots: Vec<(i64, Bytes)>,
    bytes_since_snapshot: u64,
    unsynced_names: UnsyncedNames,
    /// Jobs sync until everything before this offset is durable.
    flush_to: Option<i64>,
    in_flight: Option<InFlight>,
    /// Whether closing has anything to store.
    changed: bool,
    offline: Option<String>,
}

/// Names and small files that a power loss could still undo.
#[derive(Clone, Copy, Debug, Default)]
struct UnsyncedNames {
    /// In the log's own directory.
    inside: bool,
    /// The log's directory in its parent.
    directory: bool,
    /// The contents of `partition.metadata`.
    partition_metadata: bool,
    /// The contents of `leader-epoch-checkpoint`.
    epochs: bool,
}

/// What must be remembered while a write job is out.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    /// Base offset of the oldest segment that the job works on.
    oldest_segment: i64,
    /// The names that the job syncs.
    names: UnsyncedNames,
}

impl Log {
    /// The directory of the log.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The topic id in `partition.metadata`.
    pub fn topic_id(&self) -> Option<Uuid> {
        self.topic_id
    }

    /// The settings in force.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Replaces the settings; segments that exist stay as they are.
    pub fn reconfigure(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// The first offset that may be read (log start offset).
    pub fn start_offset(&self) -> i64 {
        self.start_offset
    }

    /// The offset that the next record gets (log end offset), memory included.
    pub fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// Everything before this offset is in the files.
    pub fn written_end(&self) -> i64 {
        self.written_end
    }

    /// Everything before this offset survives a power loss. It is the recovery point to checkpoint.
    pub fn durable_end(&self) -> i64 {
        self.durable_end
    }

    /// Bytes of all segments, memory included.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Number of segments.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// Bytes that the tail holds in memory.
    pub fn tail_bytes(&self) -> usize {
        self.tail.bytes()
    }

    /// Whether batches wait to be written.
    pub fn has_pending(&self) -> bool {
        self.tail.has_pending()
    }

    /// Sets how many bytes of written batches stay in memory for readers; unwritten ones always do.
    pub fn set_tail_cache_limit(&mut self, bytes: usize) {
        self.tail.set_limit(bytes);
    }

    /// The leader epoch of the last batch, or the last one assigned.
    pub fn latest_epoch(&self) -> Option<i32> {
        self.epochs.latest()
    }

    /// All leader epochs in the log, ascending.
    pub fn epochs(&self) -> &[EpochEntry] {
        self.epochs.entries()
    }

    /// The largest epoch that is not larger than `requested`, and where it ends; (−1, −1) if that is not known
    /// (KIP-101, KIP-279; `OffsetForLeaderEpoch`).
    pub fn epoch_end_offset(&self, requested: i32) -> (i32, i64) {
        self.epochs.end_offset(requested, self.end_offset)
    }

    /// The leader epoch that covers an offset.
    pub fn epoch_at(&self, offset: i64) -> Option<i32> {
        self.epochs.epoch_at(offset)
    }

    /// Notes that a leader epoch starts at this offset, as a new leader does at the end of its log.
    pub fn assign_epoch(&mut self, epoch: i32, start_offset: i64) {
        self.epochs.assign(epoch, start_offset);
    }

    /// What is known of the idempotent producers, in no order.
    pub fn producer_state(&self) -> impl Iterator<Item = (i64, &ProducerEntry)> {
        self.producers.iter()
    }

    /// Forgets producers that have not appended for `ttl_ms` (`producer.id.expiration.ms`).
    pub fn expire_producers(&mut self, now_ms: i64, ttl_ms: i64) {
        self.producers.expire(now_ms, ttl_ms);
    }

    /// The failure that took the log offline, if any.
    pub fn offline_reason(&self) -> Option<&str> {
        self.offline.as_deref()
    }

    fn require_online(&self) -> Result<(), LogError> {
        match &self.offline {
            None => Ok(()),
            Some(reason) => Err(LogError::Offline { dir: self.dir.to_path_buf(), reason: reason.clone() }),
        }
    }

    /// Whether a write job is outstanding.
    pub fn is_writing(&self) -> bool {
        self.in_flight.is_some()
    }

    fn require_idle(&self) -> Result<(), LogError> {
        self.require_online()?;
        if self.is_writing() { Err(LogError::WriteInProgress(self.dir.to_path_buf())) } else { Ok(()) }
    }

    /// Takes the log offline for good.
    fn poison(&mut self, reason: String) -> LogError {
        self.offline = Some(reason.clone());
        LogError::Offline { dir: self.dir.to_path_buf(), reason }
    }

    fn new_segment(&self, base_offset: i64) -> Segment {
        let files = SegmentFiles::new(Arc::clone(&self.disk), Arc::clone(&self.dir), base_offset);
        Segment::empty(Arc::new(files))
    }

    /// The segment that holds or would hold the offset.
    fn segment_index(&self, offset: i64) -> usize {
        self.segments.partition_point(|segment| segment.base_offset() <= offset).saturating_sub(1)
    }

    /// The offset behind the last one that a segment can hold.
    fn segment_end(&self, index: usize) -> i64 {
        self.segments.get(index + 1).map_or(self.end_offset, Segment::base_offset)
    }

    fn path(&self, base_offset: i64, extension: &str) -> PathBuf {
        self.dir.join(names::segment_file(base_offset, extension))
    }
}
