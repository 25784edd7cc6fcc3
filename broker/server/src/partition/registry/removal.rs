//! Removing a replica: its directory is renamed at once, its files go in the background.
//!
//! Only the job that is out is waited for: it would go on in a directory that the next topic of this name makes. That takes as
//! long as one write, on the disk that the rename waits for as well.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use klamm_log::TopicPartition;
use klamm_wire::ErrorCode;
use tracing::warn;
use uuid::Uuid;

use super::Replicas;
use super::load::has_records;
use crate::partition::replica::{Io, Partition};
use crate::partition::role::Role;

/// Why a replica is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Its topic is gone.
    TopicDeleted,
    /// It was moved to other brokers.
    Reassigned,
    /// The metadata knows nothing of it. Its files are kept for a person to look at.
    Stray,
}

impl Replicas {
    /// Removes a replica. Waits for the job that is out, and for the disk.
    pub(super) fn set_aside(&self, partition: &Arc<Partition>, reason: Reason) {
        self.retire(partition, reason);
        // No job begins from now on.
        drop(partition.writing.lock());
        self.shared.checkpoints.forget(&partition.topic, partition.index);
        let renamed = match reason {
            Reason::Stray => self.rename_to_stray(&partition.dir),
            Reason::TopicDeleted | Reason::Reassigned => {
                let renamed = self.dir.rename_for_delete(&partition.topic, partition.index, Uuid::new_v4());
                renamed.map(|path| self.doomed.lock().push(path)).map_err(anyhow::Error::from)
            }
        };
        if let Err(error) = renamed {
            warn!(directory = %partition.dir.display(), %error, "not renamed");
        }
    }

    /// Ends what a replica does. Done for all that go before the first is waited for: what waits in the queue is not written.
    pub(super) fn retire(&self, partition: &Arc<Partition>, reason: Reason) {
        self.take(&partition.topic_id, partition.index);
        let error = match reason {
            Reason::TopicDeleted | Reason::Stray => ErrorCode::UnknownTopicOrPartition,
            Reason::Reassigned => ErrorCode::NotLeaderOrFollower,
        };
        partition.change(|state, _, wakeups| {
            state.leave_role(error, wakeups);
            state.role = Role::Deleted;
            if state.io == Io::Queued {
                state.io = Io::Idle;
            }
        });
    }

    /// Sets aside the directories that did not say whose they are and that no replica has opened; empty ones go.
    pub(super) fn set_unidentified_aside(&self) {
        let opened: HashSet<PathBuf> = self.all().iter().map(|partition| partition.dir.clone()).collect();
        let unidentified = std::mem::take(&mut *self.unidentified.lock());
        for dir in unidentified.into_iter().filter(|dir| !opened.contains(&dir.path)) {
            let TopicPartition { topic, partition } = &dir.partition;
            let done = has_records(&*self.disk, &dir.path).map_err(anyhow::Error::from).and_then(|has_records| {
                if has_records {
                    warn!(%topic, partition, "stray replica set aside: it does not say whose it is, and no topic needs it here");
                    return self.rename_to_stray(&dir.path);
                }
                let path = self.dir.rename_for_delete(topic, *partition, Uuid::new_v4())?;
                self.doomed.lock().push(path);
                Ok(())
            });
            if let Err(error) = done {
                warn!(directory = %dir.path.display(), %error, "not set aside");
            }
        }
    }

    /// Keeps a directory under a name that no log is opened from.
    pub(super) fn rename_to_stray(&self, dir: &Path) -> anyhow::Result<()> {
        let mut name = dir.as_os_str().to_os_string();
        name.push(format!(".{}-stray", Uuid::new_v4().simple()));
        self.disk.rename(dir, Path::new(&name))?;
        Ok(self.disk.sync_dir(self.dir.path())?)
    }

    /// Removes directories that were given up. Waits for the disk.
    pub(super) fn remove_doomed(&self) {
        let doomed = std::mem::take(&mut *self.doomed.lock());
        for dir in doomed {
            if let Err(error) = self.dir.remove(&dir) {
                warn!(directory = %dir.display(), %error, "not removed; tried again later");
                self.doomed.lock().push(dir);
            }
        }
    }
}
