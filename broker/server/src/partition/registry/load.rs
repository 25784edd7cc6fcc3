//! Opening logs: all of a directory at start-up, one when a partition is created.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use klamm_log::{
    CorruptionPolicy, Disk, Log, LogError, OpenOptions, PartitionDir, PartitionDirState, TopicPartition,
};
use klamm_wire::Str;
use parking_lot::Mutex;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::removal::Reason;
use super::{Replicas, setting};
use crate::partition::checkpoints::Known;
use crate::partition::replica::{Identity, Partition};

/// The metadata log lies beside the partitions' and is the quorum's.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// A log that is there, or is to be created.
pub(super) struct Existing {
    pub topic: Str,
    pub index: i32,
    /// `None` reads it from `partition.metadata`.
    pub topic_id: Option<Uuid>,
}

impl Replicas {
    /// Opens every log in the directory, `num.recovery.threads.per.data.dir` at a time.
    pub(super) fn load(&self) -> Result<()> {
        let found = self.live_dirs()?;
        if found.is_empty() {
            return Ok(());
        }
        let (start, total) = (Instant::now(), found.len());
        let threads = setting(&self.properties, "num.recovery.threads.per.data.dir", 2_usize).clamp(1, 64);
        info!(logs = total, threads, clean = self.dir.was_clean_shutdown(), "opening logs");
        let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(dir) = found.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let TopicPartition { topic, partition } = &dir.partition;
                        let existing = Existing {
                            topic: Str::copy_from(topic),
                            index: *partition,
                            topic_id: dir.topic_id,
                        };
                        match self.open(existing) {
                            Ok(partition) => self.insert(partition),
                            Err(error) => *failure.lock() = Some(error),
                        }
                        report(next.load(Ordering::Relaxed), total);
                    }
                });
            }
        });
        match failure.into_inner() {
            Some(error) => Err(error),
            None => {
                info!(logs = total, milliseconds = start.elapsed().as_millis() as u64, "logs opened");
                Ok(())
            }
        }
    }

    /// The logs to open. Directories on their way out are removed later; strays are reported. A directory that does not say
    /// whose it is waits until the metadata needs a log of its name: opened now, it would be open twice then.
    fn live_dirs(&self) -> Result<Vec<PartitionDir>> {
        let mut live = Vec::new();
        for dir in self.dir.partitions()? {
            match dir.state {
                PartitionDirState::Live if dir.partition.topic == METADATA_TOPIC => {}
                PartitionDirState::Live if dir.topic_id.is_some() => live.push(dir),
                PartitionDirState::Live => {
                    // The checksum of the file can tell whether the topic that the metadata names is the one.
                    if has_records(&*self.disk, &dir.path)? {
                        let file = dir.path.join("partition.metadata");
                        warn!(file = %file.display(), "no topic id; opened when the metadata has a topic of this name");
                        self.lost_durable.store(true, Ordering::Relaxed);
                    }
                    self.unidentified.lock().push(dir);
                }
                PartitionDirState::Deleting => self.doomed.lock().push(dir.path),
                PartitionDirState::Future | PartitionDirState::Stray => {
                    warn!(directory = %dir.path.display(), "a directory that no partition uses takes up space");
                }
            }
        }
        Ok(live)
    }

    /// Opens or creates one log. A directory of an earlier topic of the same name is set aside first.
    pub(super) fn open(&self, existing: Existing) -> Result<Arc<Partition>> {
        let name = format!("{}-{}", existing.topic, existing.index);
        let opened = match self.open_log(&existing) {
            Err(LogError::TopicIdMismatch { found, expected, dir }) => {
                warn!(log = %name, %found, %expected, "the directory of an earlier topic of this name is set aside");
                // Its log was opened at the start, and must not take the directory for its own any longer.
                match self.find(&found, existing.index) {
                    Some(earlier) => self.set_aside(&earlier, Reason::Stray),
                    None => self.rename_to_stray(&dir)?,
                }
                self.shared.checkpoints.forget(&existing.topic, existing.index);
                self.open_log(&existing)
            }
            opened => opened,
        };
        opened.with_context(|| format!("cannot open log {name}"))
    }

    fn open_log(&self, existing: &Existing) -> Result<Arc<Partition>, LogError> {
        let settings = self.settings(&existing.topic);
        let dir = self.dir.partition_dir(&existing.topic, existing.index);
        let (stored, known) = self.known(existing, &dir)?;
        let options = OpenOptions {
            recovery_point: known.recovery_point,
            log_start_offset: known.log_start_offset,
            clean_shutdown: self.dir.was_clean_shutdown(),
            topic_id: existing.topic_id,
            corruption: CorruptionPolicy::Truncate,
        };
        let (log, report) = Log::open(Arc::clone(&self.disk), dir.clone(), settings.log_config(), options)?;
        for file in &report.broken {
            warn!(file = %file.display(), "not what was written; put right from what else is known");
        }
        let is_short =
            report.cut.is_some() || stored.recovery_point > log.end_offset() || report.start_ignored;
        // What is stored under the name of a directory that was not there is of a topic from before.
        if is_short && self.dir.was_clean_shutdown() && !report.created {
            error!(topic = %existing.topic, partition = existing.index, ?report, ?stored, "not what was closed cleanly");
            self.lost_durable.store(true, Ordering::Relaxed);
        }
        if report.cut.is_some() || report.emptied {
            warn!(topic = %existing.topic, partition = existing.index, ?report, "recovered after an unclean shutdown");
        }
        let topic_id = existing.topic_id.or_else(|| log.topic_id()).unwrap_or_default();
        let identity = Identity { topic_id, topic: existing.topic.clone(), index: existing.index, dir };
        Ok(Arc::new(Partition::new(identity, Arc::clone(&self.shared), settings, log, known)))
    }

    /// What is stored under a log's name, and what of it is to be believed. Whatever a log loses, it keeps one segment; and before
    /// one is made for a new log, what the files say of an earlier one is taken back. So without a segment they speak of a log
    /// that is gone, and its start would hide the first records of this one.
    fn known(&self, existing: &Existing, dir: &Path) -> Result<(Known, Known), LogError> {
        let checkpoints = &self.shared.checkpoints;
        let stored = checkpoints.of(&existing.topic, existing.index);
        let has_log = self.disk.exists(dir).and_then(|exists| Ok(exists && has_records(&*self.disk, dir)?));
        let in_dir = |source| LogError::Io { operation: "look into", path: dir.to_path_buf(), source };
        let says_something =
            stored != Known::default() || checkpoints.cleaned_to(&existing.topic, existing.index) > 0;
        if says_something && !has_log.map_err(in_dir)? {
            checkpoints.forget(&existing.topic, existing.index);
        }
        Ok((stored, checkpoints.of(&existing.topic, existing.index)))
    }
}

/// A line about every tenth of the way, when there is much to do.
fn report(done: usize, total: usize) {
    let step = total.div_ceil(10);
    if total >= 100 && done.is_multiple_of(step) {
        info!(done = done.min(total), total, "opening logs");
    }
}

/// Whether a partition's directory has a segment: it has none before its first records.
pub(super) fn has_records(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
    Ok(disk.list(dir)?.iter().any(|entry| entry.name.ends_with(".log")))
}
