//! Stopping in order: leaderships, logs, checkpoints, and last the marker that says so.

use klamm_log::LogDirError;
use klamm_wire::ErrorCode;

use super::Node;
use super::replica::{Io, Replica, Role, Sparks};
use crate::mutation::{Mutation, is_active};
use crate::outbox::Outbox;
use crate::queue::{MS, NodeTimer, SECOND};

impl Node {
    /// Somebody wants the process to stop.
    pub(crate) fn begin_stop(&mut self, out: &mut Outbox) {
        if let Some(process) = self.process.as_mut().filter(|process| process.stopping.is_none()) {
            process.stopping = Some(out.now + 4 * SECOND);
            process.life_call = None;
            self.after(MS, NodeTimer::Heartbeat, out);
        }
    }

    /// The directory has failed: what it holds is left to other replicas.
    pub(super) fn stop_for_failure(&mut self, out: &mut Outbox) {
        self.begin_stop(out);
    }

    /// The controller lets the process go, or does not answer.
    pub(super) fn finish_stop(&mut self, out: &mut Outbox) {
        let is_interrupted = out.random.chance(150);
        if is_interrupted && let Some(disk) = self.fused() {
            disk.burn_after(out.random.below(40));
        }
        let closed = self.shut_down(out);
        let id = self.id;
        out.note(|| format!("node {id} has stopped: {closed:?}, interrupted {is_interrupted}"));
        (self.process, self.has_ended) = (None, true);
        self.is_paused = false;
        self.held.clear();
        match is_interrupted && out.random.chance(500) {
            true => self.disk.power_loss(),
            false => self.disk.crash(),
        }
        if !is_interrupted && out.random.chance(400) {
            self.copy_stopped_disk(out);
        }
        let pause = out.random.between(80, 1_200) * MS;
        self.start_after(pause, out);
    }

    fn shut_down(&mut self, out: &mut Outbox) -> Result<(), String> {
        let Some(process) = self.process.as_mut() else { return Ok(()) };
        if is_active(Mutation::MarkerBeforeClose) {
            let _ = process.dir.mark_clean_shutdown(process.broker_epoch);
        }
        let mut failed = 0;
        for key in 0..self.topology.partitions() {
            let closed = self.change(key, out, |replica, _, sparks| replica.close(sparks));
            failed += usize::from(closed == Some(false));
        }
        let Some(process) = self.process.as_mut() else { return Ok(()) };
        let has_failed = failed > 0 || process.has_failed;
        if has_failed && !is_active(Mutation::MarkerAfterFailure) {
            return Err(format!("{failed} logs were not closed"));
        }
        let text = |error: LogDirError| error.to_string();
        self.write_checkpoints().map_err(text)?;
        match self.process.as_ref() {
            Some(process) => process.dir.mark_clean_shutdown(process.broker_epoch).map_err(text),
            None => Ok(()),
        }
    }
}

impl Replica {
    /// Writes what is left and closes the log; true when that worked.
    fn close(&mut self, sparks: &mut Sparks) -> bool {
        if let Io::Writing { job, .. } = std::mem::replace(&mut self.io, Io::Queued) {
            // A failure shows when the log is closed.
            let _ = self.log.finish_write(job.run());
        }
        self.leave_role(ErrorCode::NotLeaderOrFollower, sparks);
        let closed = self.log.close();
        self.role = Role::Offline;
        closed.is_ok()
    }
}
