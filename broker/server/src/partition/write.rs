//! One write of a partition's log, on a thread of the IO engine.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use klamm_log::{LogDirError, LogError, WriteJob, is_full};
use klamm_wire::ErrorCode;
use tracing::{error, info, warn};

use super::engine::Next;
use super::replica::{Io, Partition, State};
use super::role::Role;
use super::wakeups::Wakeups;

/// Pause before a write is tried again on a full disk.
const DISK_FULL_PAUSE: Duration = Duration::from_millis(500);

impl Partition {
    /// Runs the next write job without holding the lock.
    pub(super) fn write(self: &Arc<Self>) -> Next {
        let _keeps_its_name = self.writing.lock();
        let job = match self.next_job() {
            Ok(Some(job)) => job,
            Ok(None) => return Next::Idle,
            Err(error) => {
                return self.change(|state, _, wakeups| match is_dir_full(&error) {
                    true => self.disk_is_full(state, &error),
                    false => self.failed(state, &error, wakeups),
                });
            }
        };
        let syncs = job.syncs();
        if syncs {
            self.shared.engine.begin_sync();
        }
        let outcome = job.run();
        if syncs {
            self.shared.engine.end_sync();
        }
        self.change(|state, steady_ms, wakeups| match state.log.finish_write(outcome) {
            Ok(_) => self.written(state, steady_ms, wakeups),
            Err(error) if is_disk_full(&error) => self.disk_is_full(state, &error),
            Err(error) => self.failed(state, &error, wakeups),
        })
    }

    /// The next job. What is stored of the log must not vouch for what the job writes, so it is taken back before.
    fn next_job(&self) -> Result<Option<WriteJob>, LogDirError> {
        loop {
            let (durable_end, start) = {
                let mut state = self.state.lock();
                if state.role.is_gone() || !state.is_overstated {
                    return Ok(state.start_write());
                }
                state.is_overstated = false;
                (state.log.durable_end(), state.log.start_offset())
            };
            let retracted = self.shared.checkpoints.retract(&self.topic, self.index, durable_end, start);
            if retracted.is_err() {
                self.state.lock().is_overstated = true;
            }
            retracted?;
        }
    }

    fn written(&self, state: &mut State, steady_ms: i64, wakeups: &mut Wakeups) -> Next {
        if state.disk_full {
            info!(topic = %self.topic, partition = self.index, "the disk has space again");
            state.disk_full = false;
        }
        state.stored(steady_ms, wakeups);
        self.repair(state, wakeups);
        let has_more = state.io == Io::Writing { again: true } || state.log.has_pending();
        state.io = if has_more { Io::Queued } else { Io::Idle };
        if has_more { Next::Again } else { Next::Idle }
    }

    fn disk_is_full(&self, state: &mut State, error: &dyn Display) -> Next {
        if !state.disk_full {
            warn!(topic = %self.topic, partition = self.index, %error, "appends are refused until there is space");
        }
        state.disk_full = true;
        state.io = Io::Queued;
        Next::Later(DISK_FULL_PAUSE)
    }

    /// The log is poisoned, and with it the whole directory: what the disk holds is not known any more.
    pub(super) fn failed(&self, state: &mut State, error: &dyn Display, wakeups: &mut Wakeups) -> Next {
        state.io = Io::Idle;
        if matches!(state.role, Role::Deleted) {
            // Nobody needs what was not written any more.
            return Next::Idle;
        }
        error!(topic = %self.topic, partition = self.index, %error, "the log directory goes offline");
        state.go_offline(wakeups);
        wakeups.directory_failed = Some(error.to_string());
        Next::Idle
    }
}

impl State {
    fn start_write(&mut self) -> Option<WriteJob> {
        let job = if self.role.is_gone() { None } else { self.log.start_write() };
        self.io = match job {
            Some(_) => Io::Writing { again: false },
            None => Io::Idle,
        };
        // Nothing waits for space when nothing is left to write, for example after a truncation.
        self.disk_full &= job.is_some();
        job
    }

    /// Gives the log up: everybody who waits is told, nothing more is accepted.
    fn go_offline(&mut self, wakeups: &mut Wakeups) {
        if !self.role.is_gone() {
            self.leave_role(ErrorCode::KafkaStorageError, wakeups);
            self.role = Role::Offline;
        }
    }
}

/// A full disk loses nothing: the same bytes go into the next job.
fn is_disk_full(error: &LogError) -> bool {
    match error {
        LogError::Io { source, .. } => is_full(source),
        _ => false,
    }
}

fn is_dir_full(error: &LogDirError) -> bool {
    matches!(error, LogDirError::Io { source, .. } if is_full(source))
}
