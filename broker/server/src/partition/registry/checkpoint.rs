//! Recovery points, log start offsets and high watermarks on disk, in Kafka's checkpoint files.

use anyhow::Result;
use klamm_log::{Checkpoint, Checkpoints, LogDir, TopicPartition};

use super::Replicas;

/// What the checkpoint files say. A file is written only when it would say something else.
#[derive(Default)]
pub(super) struct Checkpointed {
    recovery_points: Checkpoints,
    log_starts: Checkpoints,
    high_watermarks: Checkpoints,
    /// Up to where logs were compacted.
    cleaned: Checkpoints,
}

/// What is known of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub recovery_point: i64,
    pub log_start_offset: i64,
    pub high_watermark: i64,
}

impl Checkpointed {
    pub(super) fn read(dir: &LogDir) -> Result<Self> {
        Ok(Self {
            recovery_points: dir.read_checkpoint(Checkpoint::RecoveryPoint)?,
            log_starts: dir.read_checkpoint(Checkpoint::LogStart)?,
            high_watermarks: dir.read_checkpoint(Checkpoint::HighWatermark)?,
            cleaned: dir.read_checkpoint(Checkpoint::Cleaner)?,
        })
    }

    pub(super) fn of(&self, topic: &str, partition: i32) -> Known {
        let name = TopicPartition::new(topic, partition);
        let at = |offsets: &Checkpoints| offsets.get(&name).copied().unwrap_or(0);
        Known {
            recovery_point: at(&self.recovery_points),
            log_start_offset: at(&self.log_starts),
            high_watermark: at(&self.high_watermarks),
        }
    }

    /// Forgets a partition whose directory is another's from now on.
    pub(super) fn forget(&mut self, topic: &str, partition: i32) {
        let name = TopicPartition::new(topic, partition);
        let Self { recovery_points, log_starts, high_watermarks, cleaned } = self;
        for offsets in [recovery_points, log_starts, high_watermarks, cleaned] {
            offsets.remove(&name);
        }
    }
}

impl Replicas {
    /// Writes the checkpoint files that changed. Waits for the disk.
    pub(super) fn write_checkpoints(&self) -> Result<()> {
        let now = self.collect();
        let mut written = self.checkpointed.lock();
        let written = &mut *written;
        for (kind, old, new) in [
            (Checkpoint::RecoveryPoint, &mut written.recovery_points, now.recovery_points),
            (Checkpoint::LogStart, &mut written.log_starts, now.log_starts),
            (Checkpoint::HighWatermark, &mut written.high_watermarks, now.high_watermarks),
        ] {
            if *old != new {
                self.dir.write_checkpoint(kind, &new)?;
                *old = new;
            }
        }
        Ok(())
    }

    /// Up to where a log was compacted.
    pub(super) fn cleaned_to(&self, topic: &str, partition: i32) -> i64 {
        let name = TopicPartition::new(topic, partition);
        self.checkpointed.lock().cleaned.get(&name).copied().unwrap_or(0)
    }

    /// Notes and stores up to where a log is compacted. Waits for the disk.
    pub(super) fn note_cleaned(&self, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let mut written = self.checkpointed.lock();
        written.cleaned.insert(TopicPartition::new(topic, partition), offset);
        Ok(self.dir.write_checkpoint(Checkpoint::Cleaner, &written.cleaned)?)
    }

    fn collect(&self) -> Checkpointed {
        let mut now = Checkpointed::default();
        for partition in self.all() {
            let name = TopicPartition::new(&*partition.topic, partition.index);
            let state = partition.state.lock();
            now.recovery_points.insert(name.clone(), state.log.durable_end());
            now.log_starts.insert(name.clone(), state.log.start_offset());
            now.high_watermarks.insert(name, state.high_watermark);
        }
        now
    }
}
