//! The cleaner thread: compacts the logs of topics whose `cleanup.policy` says so.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use klamm_log::{CompactionJob, CompactionOutcome, DeletedFiles, LogError};
use parking_lot::{Condvar, Mutex};
use tracing::{debug, error, warn};

use super::{Replicas, setting};
use crate::clock::now_ms;
use crate::partition::replica::Partition;

/// The thread and the way to end it.
pub(super) struct Cleaner {
    signal: Arc<Signal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Ends the pause between two rounds, and the work that is under way.
#[derive(Default)]
struct Signal {
    is_stopping: Arc<AtomicBool>,
    pause: Mutex<()>,
    ended: Condvar,
}

impl Signal {
    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Waits for the next round; true if there is none.
    fn wait(&self, pause: Duration) -> bool {
        let mut guard = self.pause.lock();
        if !self.is_stopping() {
            self.ended.wait_for(&mut guard, pause);
        }
        self.is_stopping()
    }

    fn stop(&self) {
        let _guard = self.pause.lock();
        self.is_stopping.store(true, Ordering::Relaxed);
        self.ended.notify_all();
    }
}

impl Cleaner {
    /// Starts the thread, unless `log.cleaner.enable` is false.
    pub(super) fn start(replicas: Arc<Replicas>) -> io::Result<Self> {
        let signal = Arc::new(Signal::default());
        let mut thread = None;
        if setting(&replicas.properties, "log.cleaner.enable", true) {
            let (builder, signal) = (std::thread::Builder::new(), Arc::clone(&signal));
            thread = Some(builder.name("log-cleaner".to_owned()).spawn(move || work(&replicas, &signal))?);
        }
        Ok(Self { signal, thread: Mutex::new(thread) })
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&self) {
        self.signal.stop();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            error!("the cleaner thread panicked");
        }
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        self.stop();
    }
}

fn work(replicas: &Replicas, signal: &Signal) {
    let pause = replicas.interval("log.cleaner.backoff.ms", 15_000);
    let mut damaged = HashSet::new();
    while !signal.wait(pause) {
        for partition in replicas.all() {
            if signal.is_stopping() {
                return;
            }
            let id = (partition.topic_id, partition.index);
            if !damaged.contains(&id) && is_found_damaged(replicas, &partition, signal) {
                damaged.insert(id);
            }
        }
    }
}

/// Compacts a log if there is enough to gain. One that turns out to be damaged is left alone until the next start.
fn is_found_damaged(replicas: &Replicas, partition: &Arc<Partition>, signal: &Signal) -> bool {
    let Some(job) = plan(replicas, partition) else { return false };
    match clean(replicas, partition, job.cancelled_by(Arc::clone(&signal.is_stopping))) {
        Ok(()) => false,
        Err(_) if signal.is_stopping() => false,
        Err(error) => {
            warn!(topic = %partition.topic, partition = partition.index, %error, "not compacted");
            matches!(error, LogError::Damaged { .. })
        }
    }
}

fn clean(replicas: &Replicas, partition: &Arc<Partition>, job: CompactionJob) -> Result<(), LogError> {
    let outcome = job.run()?;
    let (cleaned_to, (before, after)) = (outcome.cleaned_to(), outcome.bytes());
    let Some(deleted) = finish(partition, outcome)? else { return Ok(()) };
    deleted.remove(&*replicas.disk)?;
    debug!(topic = %partition.topic, partition = partition.index, before, after, cleaned_to, "compacted");
    if let Err(error) =
        replicas.shared.checkpoints.note_cleaned(&partition.topic, partition.index, cleaned_to)
    {
        warn!(%error, "the cleaner's checkpoint is not written");
    }
    Ok(())
}

fn plan(replicas: &Replicas, partition: &Arc<Partition>) -> Option<CompactionJob> {
    let settings = partition.settings.load();
    if !settings.log.compact || !replicas.is_settled() {
        return None;
    }
    let cleaned_to = replicas.shared.checkpoints.cleaned_to(&partition.topic, partition.index);
    let state = partition.state.lock();
    // A log that was cut behind it or started anew has to be looked at from the beginning.
    let first_dirty = if cleaned_to <= state.log.end_offset() { cleaned_to } else { 0 };
    let min_dirty = settings.log.min_cleanable_dirty_ratio;
    if state.role.is_gone() {
        return None;
    }
    state.log.plan_compaction(first_dirty, state.high_watermark, min_dirty, now_ms())
}

fn finish(partition: &Arc<Partition>, outcome: CompactionOutcome) -> Result<Option<DeletedFiles>, LogError> {
    partition.change(|state, _, wakeups| {
        // The directory of one that is gone has another name, or another topic's log in it.
        if state.role.is_gone() {
            return Ok(None);
        }
        let finished = state.log.finish_compaction(outcome);
        if let Err(error @ LogError::Offline { .. }) = &finished {
            partition.failed(state, error, wakeups);
        }
        finished
    })
}
