//! The background thread: checkpoints, lag checks, retention, late flushes, expiry of producers, removal of files.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use klamm_replica::LeaderEvent;
use parking_lot::{Condvar, Mutex};
use tracing::{error, warn};

use super::{Replicas, setting};
use crate::clock::now_ms;
use crate::partition::replica::Partition;

/// `log.flush.offset.checkpoint.interval.ms` is for recovery points alone; all checkpoints follow the high watermark's 5 s.
const CHECKPOINT_MS: i64 = 5_000;

/// The thread and the way to end it.
pub(super) struct Janitor {
    stopping: Arc<(Mutex<bool>, Condvar)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A task and when it is due.
struct Task {
    interval: Duration,
    due: Instant,
    run: fn(&Replicas),
}

impl Janitor {
    pub(super) fn start(replicas: Arc<Replicas>) -> io::Result<Self> {
        let stopping = Arc::new((Mutex::new(false), Condvar::new()));
        let signal = Arc::clone(&stopping);
        let thread = std::thread::Builder::new()
            .name("log-janitor".to_owned())
            .spawn(move || work(&replicas, &signal))?;
        Ok(Self { stopping, thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&self) {
        *self.stopping.0.lock() = true;
        self.stopping.1.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            error!("the janitor thread panicked");
        }
    }
}

fn work(replicas: &Replicas, stopping: &(Mutex<bool>, Condvar)) {
    let mut tasks = tasks(replicas);
    let mut stopped = stopping.0.lock();
    while !*stopped {
        let Some(due) = tasks.iter().map(|task| task.due).min() else { return };
        if stopping.1.wait_until(&mut stopped, due).timed_out() {
            parking_lot::MutexGuard::unlocked(&mut stopped, || run_due(replicas, &mut tasks));
        }
    }
}

fn tasks(replicas: &Replicas) -> [Task; 4] {
    let now = Instant::now();
    let task = |interval: Duration, run| Task { interval, due: now + interval, run };
    // A broker that is started anew more often than the interval must give up old segments, too.
    let first_retention = now + replicas.interval("log.initial.task.delay.ms", 30_000);
    let retention = task(replicas.interval("log.retention.check.interval.ms", 300_000), retain);
    [
        task(replicas.interval("replica.high.watermark.checkpoint.interval.ms", CHECKPOINT_MS), keep_up),
        task(
            Duration::from_millis(u64::try_from(replicas.lag_time_max_ms / 2).unwrap_or(0).max(10)),
            check_lag,
        ),
        Task { due: first_retention, ..retention },
        task(replicas.interval("producer.id.expiration.check.interval.ms", 600_000), expire_producers),
    ]
}

fn run_due(replicas: &Replicas, tasks: &mut [Task]) {
    for task in tasks {
        if task.due <= Instant::now() {
            (task.run)(replicas);
            task.due = Instant::now() + task.interval;
        }
    }
}

fn keep_up(replicas: &Replicas) {
    for partition in replicas.all() {
        flush_late(&partition);
    }
    replicas.share_tail_memory();
    if let Err(error) = replicas.write_checkpoints() {
        warn!(%error, "checkpoints not written");
    }
    replicas.remove_doomed();
}

/// `flush.ms`: what was written is flushed after this time at the latest.
fn flush_late(partition: &Arc<Partition>) {
    if partition.settings.load().log.flush_ms == i64::MAX {
        return;
    }
    partition.change(|state, _, wakeups| {
        if state.log.durable_end() < state.log.end_offset() {
            state.log.force_flush();
            state.mark_dirty(wakeups);
        }
    });
}

fn check_lag(replicas: &Replicas) {
    for partition in replicas.all() {
        partition.change(|state, steady_ms, wakeups| {
            state.step_leader(|leader| leader.step(LeaderEvent::Tick, steady_ms), wakeups);
        });
    }
}

fn retain(replicas: &Replicas) {
    // What topics want to be kept is known with the metadata.
    if !replicas.is_settled() {
        return;
    }
    for partition in replicas.all() {
        let retained = partition.change(|state, steady_ms, wakeups| {
            let (start, high_watermark) = (state.log.start_offset(), state.high_watermark);
            if state.role.is_gone() {
                return Ok(Vec::new());
            }
            let given_up = state.log.apply_retention(now_ms(), high_watermark);
            state.start_moved(start, steady_ms, wakeups);
            given_up
        });
        // Open readers keep what they read: a removed file lives until it is closed.
        let removed =
            retained.and_then(|given_up| given_up.iter().try_for_each(|files| files.remove(&*replicas.disk)));
        if let Err(error) = removed {
            warn!(topic = %partition.topic, partition = partition.index, %error, "retention failed");
        }
    }
}

fn expire_producers(replicas: &Replicas) {
    let ttl = setting(&replicas.properties, "producer.id.expiration.ms", 86_400_000_i64);
    for partition in replicas.all() {
        partition.state.lock().log.expire_producers(now_ms(), ttl);
    }
}
