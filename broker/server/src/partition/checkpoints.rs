//! Recovery points, log start offsets and high watermarks on disk, in Kafka's checkpoint files.
//!
//! A stored offset vouches for records: what lies below a recovery point is taken for durable after a crash, what lies below
//! a start offset for deleted. So an offset that has become too high is taken back before anything else is written to its log.
//! And what is stored under a name whose directory has no segment is of a log that is gone, see [`CheckpointFiles::forget`].

use std::collections::BTreeSet;
use std::sync::Arc;

use klamm_log::{Checkpoint, Checkpoints, LogDir, LogDirError, Seal, TopicPartition};
use parking_lot::Mutex;
use tracing::warn;

/// The checkpoint files of a log directory.
pub(super) struct CheckpointFiles {
    dir: Arc<LogDir>,
    stored: Mutex<Stored>,
    has_lost: bool,
}

/// Offsets of all logs of a directory.
#[derive(Default)]
pub(super) struct Offsets {
    pub recovery_points: Checkpoints,
    pub log_starts: Checkpoints,
    pub high_watermarks: Checkpoints,
}

/// What the files say. A file is written only when it would say something else.
struct Stored {
    offsets: Offsets,
    /// Up to where logs were compacted.
    cleaned: Checkpoints,
    /// The cleaner's file says more than that.
    cleaned_is_stale: bool,
    /// Files that are not what was written, and are to be written even if nothing is left to say.
    unreadable: Vec<Checkpoint>,
    /// Names whose offsets are another log's.
    forgotten: BTreeSet<TopicPartition>,
    /// How often something was taken back: offsets that were collected before would bring it again.
    retractions: u64,
}

/// What is stored of one partition; the files name it, but do not say of which topic with this name it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub recovery_point: i64,
    pub log_start_offset: i64,
    pub high_watermark: i64,
    /// The files say more than this, of a log that is gone.
    pub is_outdated: bool,
}

impl CheckpointFiles {
    /// Reads the files. One that is not what was written says nothing.
    pub(super) fn read(dir: Arc<LogDir>) -> Result<Self, LogDirError> {
        let mut unreadable = Vec::new();
        let mut read = |kind: Checkpoint| -> Result<Checkpoints, LogDirError> {
            let read = dir.read_checkpoint(kind)?;
            let file = dir.path().join(kind.file_name());
            match read.seal {
                Seal::Sound => {}
                Seal::Broken => {
                    warn!(file = %file.display(), "not what was written; nothing of it is believed")
                }
                Seal::Renewed => warn!(file = %file.display(), "its checksum was damaged and is made anew"),
            }
            unreadable.extend((read.seal == Seal::Broken).then_some(kind));
            Ok(read.offsets)
        };
        let offsets = Offsets {
            recovery_points: read(Checkpoint::RecoveryPoint)?,
            log_starts: read(Checkpoint::LogStart)?,
            high_watermarks: read(Checkpoint::HighWatermark)?,
        };
        let cleaned = read(Checkpoint::Cleaner)?;
        let is_offset = |kind: &Checkpoint| *kind != Checkpoint::Cleaner;
        if !unreadable.iter().all(is_offset) {
            // Whatever was compacted may be so once more.
            dir.write_checkpoint(Checkpoint::Cleaner, &cleaned)?;
        }
        unreadable.retain(is_offset);
        let has_lost = !unreadable.is_empty();
        let (forgotten, cleaned_is_stale) = (BTreeSet::new(), false);
        let stored = Stored { offsets, cleaned, cleaned_is_stale, unreadable, forgotten, retractions: 0 };
        Ok(Self { dir, stored: Mutex::new(stored), has_lost })
    }

    /// Whether offsets were stored that are not known any more: nobody can tell whether the logs hold what they held.
    pub(super) fn has_lost_offsets(&self) -> bool {
        self.has_lost
    }

    /// What is known of a partition.
    pub(super) fn of(&self, topic: &str, partition: i32) -> Known {
        let name = TopicPartition::new(topic, partition);
        let stored = self.stored.lock();
        if stored.forgotten.contains(&name) {
            return Known { is_outdated: true, ..Known::default() };
        }
        let at = |offsets: &Checkpoints| offsets.get(&name).copied().unwrap_or(0);
        Known {
            recovery_point: at(&stored.offsets.recovery_points),
            log_start_offset: at(&stored.offsets.log_starts),
            high_watermark: at(&stored.offsets.high_watermarks),
            is_outdated: false,
        }
    }

    /// Forgets a partition whose name is another log's from now on.
    pub(super) fn forget(&self, topic: &str, partition: i32) {
        let name = TopicPartition::new(topic, partition);
        let mut stored = self.stored.lock();
        stored.retractions += 1;
        stored.cleaned_is_stale |= stored.cleaned.remove(&name).is_some();
        stored.forgotten.insert(name);
    }

    /// Takes back, durably, what the files say of a log beyond `recovery_point`, a start after its `log_start`, and everything
    /// they say of a forgotten one. Waits for the disk.
    pub(super) fn retract(
        &self,
        topic: &str,
        partition: i32,
        recovery_point: i64,
        log_start: i64,
    ) -> Result<(), LogDirError> {
        let name = TopicPartition::new(topic, partition);
        let stored = &mut *self.stored.lock();
        stored.retractions += 1;
        let Offsets { recovery_points, log_starts, high_watermarks } = &mut stored.offsets;
        if stored.forgotten.contains(&name) {
            for (kind, offsets) in [
                (Checkpoint::RecoveryPoint, recovery_points),
                (Checkpoint::LogStart, log_starts),
                (Checkpoint::HighWatermark, high_watermarks),
            ] {
                self.rewrite(kind, offsets, &name, None)?;
            }
            self.write_cleaned(stored)?;
            stored.forgotten.remove(&name);
            return Ok(());
        }
        for (kind, offsets, at_most) in [
            (Checkpoint::RecoveryPoint, recovery_points, recovery_point),
            (Checkpoint::LogStart, log_starts, log_start),
        ] {
            if offsets.get(&name).is_some_and(|stored| *stored > at_most) {
                self.rewrite(kind, offsets, &name, Some(at_most))?;
            }
        }
        Ok(())
    }

    fn rewrite(
        &self,
        kind: Checkpoint,
        offsets: &mut Checkpoints,
        name: &TopicPartition,
        offset: Option<i64>,
    ) -> Result<(), LogDirError> {
        let mut new = offsets.clone();
        let old = match offset {
            Some(offset) => new.insert(name.clone(), offset),
            None => new.remove(name),
        };
        if old != offset {
            self.dir.write_checkpoint(kind, &new)?;
            *offsets = new;
        }
        Ok(())
    }

    /// Writes the files that would say something else than the offsets that `collect` returns. Waits for the disk.
    pub(super) fn write(&self, collect: impl Fn() -> Offsets) -> Result<(), LogDirError> {
        loop {
            let retractions = self.stored.lock().retractions;
            let now = collect();
            let stored = &mut *self.stored.lock();
            if stored.retractions != retractions {
                continue;
            }
            for (kind, old, new) in [
                (Checkpoint::RecoveryPoint, &mut stored.offsets.recovery_points, now.recovery_points),
                (Checkpoint::LogStart, &mut stored.offsets.log_starts, now.log_starts),
                (Checkpoint::HighWatermark, &mut stored.offsets.high_watermarks, now.high_watermarks),
            ] {
                if *old != new || stored.unreadable.contains(&kind) {
                    self.dir.write_checkpoint(kind, &new)?;
                    *old = new;
                }
            }
            self.write_cleaned(stored)?;
            stored.unreadable.clear();
            stored.forgotten.clear();
            return Ok(());
        }
    }

    fn write_cleaned(&self, stored: &mut Stored) -> Result<(), LogDirError> {
        if stored.cleaned_is_stale {
            self.dir.write_checkpoint(Checkpoint::Cleaner, &stored.cleaned)?;
            stored.cleaned_is_stale = false;
        }
        Ok(())
    }

    /// Up to where a log was compacted.
    pub(super) fn cleaned_to(&self, topic: &str, partition: i32) -> i64 {
        let name = TopicPartition::new(topic, partition);
        self.stored.lock().cleaned.get(&name).copied().unwrap_or(0)
    }

    /// Notes and stores up to where a log is compacted. Waits for the disk.
    pub(super) fn note_cleaned(&self, topic: &str, partition: i32, offset: i64) -> Result<(), LogDirError> {
        let mut stored = self.stored.lock();
        stored.cleaned.insert(TopicPartition::new(topic, partition), offset);
        stored.cleaned_is_stale = true;
        self.write_cleaned(&mut stored)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use klamm_log::{Disk, Owner, SimDisk};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_file_that_is_not_what_was_written_is_written_anew() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        let owner = Owner { cluster_id: Some("cluster"), node_id: 1, new_directory_id: Uuid::from_u128(1) };
        let dir = Arc::new(LogDir::open(Arc::clone(&disk), Path::new("/data"), owner).expect("opens"));
        let kinds =
            [Checkpoint::RecoveryPoint, Checkpoint::LogStart, Checkpoint::HighWatermark, Checkpoint::Cleaner];
        for kind in kinds {
            dir.write_checkpoint(kind, &Checkpoints::new()).expect("writes");
            let file = dir.path().join(kind.file_name());
            klamm_log::replace_file(&*disk, &file, b"0\n2\n").expect("writes");
        }
        let files = CheckpointFiles::read(Arc::clone(&dir)).expect("reads");
        assert!(files.has_lost_offsets());
        files.write(Offsets::default).expect("writes");
        for kind in kinds {
            assert_eq!(dir.read_checkpoint(kind).expect("reads").seal, Seal::Sound, "{}", kind.file_name());
        }
    }

    #[test]
    fn what_has_become_too_high_is_taken_back_and_nothing_else() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        let owner = Owner { cluster_id: Some("cluster"), node_id: 1, new_directory_id: Uuid::from_u128(1) };
        let dir = Arc::new(LogDir::open(disk, Path::new("/data"), owner).expect("opens"));
        let name = TopicPartition::new("orders", 0);
        let files = CheckpointFiles::read(Arc::clone(&dir)).expect("reads");
        let stored = || Offsets {
            recovery_points: [(name.clone(), 900)].into(),
            log_starts: [(name.clone(), 500)].into(),
            high_watermarks: [(name.clone(), 800)].into(),
        };
        files.write(stored).expect("writes");
        for (end, start, known) in [(1_000, 500, (900, 500)), (700, 600, (700, 500)), (300, 300, (300, 300))]
        {
            files.retract("orders", 0, end, start).expect("writes");
            let read = CheckpointFiles::read(Arc::clone(&dir)).expect("reads").of("orders", 0);
            assert_eq!((read.recovery_point, read.log_start_offset), known, "{end} {start}");
        }
    }

    #[test]
    fn no_file_tells_of_a_log_that_is_gone() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        let owner = Owner { cluster_id: Some("cluster"), node_id: 1, new_directory_id: Uuid::from_u128(1) };
        let dir = Arc::new(LogDir::open(Arc::clone(&disk), Path::new("/data"), owner).expect("opens"));
        let cleaned = |files: &CheckpointFiles| files.cleaned_to("orders", 0);
        for takes_back in [
            (|files: &CheckpointFiles| files.retract("orders", 0, 0, 0)) as fn(&CheckpointFiles) -> _,
            |files| files.write(Offsets::default),
        ] {
            let files = CheckpointFiles::read(Arc::clone(&dir)).expect("reads");
            files.note_cleaned("orders", 0, 300).expect("writes");
            assert_eq!(cleaned(&CheckpointFiles::read(Arc::clone(&dir)).expect("reads")), 300);
            files.forget("orders", 0);
            assert_eq!(cleaned(&files), 0);
            takes_back(&files).expect("writes");
            assert_eq!(cleaned(&CheckpointFiles::read(Arc::clone(&dir)).expect("reads")), 0);
        }
    }
}
