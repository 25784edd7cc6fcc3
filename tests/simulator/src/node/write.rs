//! Writes of a replica's log: the job is handed out in one event, its outcome comes back in another.

use std::io::ErrorKind;

use klamm_log::LogError;
use klamm_wire::ErrorCode;

use super::Node;
use super::replica::{Io, Replica, Role, Sparks};
use crate::message::Key;
use crate::mutation::{Mutation, is_active};
use crate::outbox::Outbox;
use crate::queue::{MS, NodeTimer};

/// Pause before a write is tried again on a full disk.
const DISK_FULL_PAUSE_MS: i64 = 500;

impl Node {
    /// Starts the next write, if there is one.
    pub(super) fn write(&mut self, key: Key, out: &mut Outbox) {
        let Some(process) = self.process.as_mut() else { return };
        let Some(replica) = process.replicas.get_mut(key).and_then(Option::as_mut) else { return };
        if matches!(replica.io, Io::Writing { .. }) {
            return;
        }
        let job = if matches!(replica.role, Role::Offline) { None } else { replica.log.start_write() };
        match job {
            None => {
                // Nothing waits for space any more, for example after a truncation.
                replica.disk_full &= is_active(Mutation::DiskFullRemembered);
                replica.io = Io::Idle;
            }
            Some(job) => {
                process.serial += 1;
                let serial = process.serial;
                replica.io = Io::Writing { job: Box::new(job), serial, again: false };
                let slow = out.random.between(0, self.slow_disk);
                let latency = out.random.between(150, 2_500) + slow;
                self.after(latency, NodeTimer::WriteDone { key, serial }, out);
            }
        }
    }

    /// The disk has done it.
    pub(super) fn write_done(&mut self, key: Key, serial: u64, out: &mut Outbox) {
        let is_mine =
            |replica: &Replica| matches!(&replica.io, Io::Writing { serial: s, .. } if *s == serial);
        if !self.replica(key).is_some_and(is_mine) {
            return;
        }
        let next = self.change(key, out, |replica, now_ms, sparks| replica.finish(now_ms, sparks));
        match next {
            Some(Next::Again) => self.write(key, out),
            Some(Next::Later) => self.after(DISK_FULL_PAUSE_MS * MS, NodeTimer::WriteAgain { key }, out),
            Some(Next::Idle) | None => {}
        }
    }

    /// The process dies: each write that is out has happened, has not, or has happened in part.
    pub(super) fn interrupt_writes(&mut self, out: &mut Outbox) {
        let Some(disk) = self.fused().cloned() else { return };
        let Some(process) = self.process.as_mut() else { return };
        for replica in process.replicas.iter_mut().flatten() {
            if let Io::Writing { job, .. } = std::mem::replace(&mut replica.io, Io::Idle) {
                match out.random.below(4) {
                    0 => {}
                    1 => drop(job.run()),
                    _ => {
                        disk.burn_after(out.random.below(8));
                        drop(job.run());
                        disk.burn_after(u64::MAX);
                    }
                }
            }
        }
    }

    /// The log is poisoned, and with it the directory: the process stops.
    pub(super) fn directory_failed(&mut self, reason: String, out: &mut Outbox) {
        out.note(|| format!("node {}: the log directory has failed: {reason}", self.id));
        if let Some(process) = self.process.as_mut().filter(|process| !process.has_failed) {
            process.has_failed = true;
            let delay = out.random.between(1, 60) * MS;
            self.after(delay, NodeTimer::Die, out);
        }
    }
}

/// How writing goes on.
pub(super) enum Next {
    Idle,
    Again,
    Later,
}

impl Replica {
    fn finish(&mut self, now_ms: i64, sparks: &mut Sparks) -> Next {
        let Io::Writing { job, again, .. } = std::mem::replace(&mut self.io, Io::Idle) else {
            return Next::Idle;
        };
        match self.log.finish_write(job.run()) {
            Ok(_) => {
                self.disk_full = false;
                self.stored(now_ms, sparks);
                self.repair(sparks);
                if again || self.log.has_pending() { Next::Again } else { Next::Idle }
            }
            Err(error) if is_disk_full(&error) => {
                self.disk_full = true;
                self.io = Io::Queued;
                Next::Later
            }
            Err(error) => {
                self.go_offline(&error.to_string(), sparks);
                Next::Idle
            }
        }
    }

    /// Gives the log up: everybody who waits is told, nothing more is accepted.
    pub(super) fn go_offline(&mut self, reason: &str, sparks: &mut Sparks) {
        if !matches!(self.role, Role::Offline) {
            self.leave_role(ErrorCode::KafkaStorageError, sparks);
            self.role = Role::Offline;
            sparks.directory_failed = Some(reason.to_owned());
        }
    }
}

fn is_disk_full(error: &LogError) -> bool {
    matches!(error, LogError::Io { source, .. } if source.kind() == ErrorKind::StorageFull)
}
