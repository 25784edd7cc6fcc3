//! The checker thread: goes once through what was on the disk before the process, and at once to where a read met damage.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::{error, info};

use super::Replicas;

/// Bytes a second that the walk through everything reads.
const BYTES_PER_SECOND: u64 = 64 << 20;
/// Longest sleep, so that a stop is noticed.
const NAP: Duration = Duration::from_millis(500);

/// The thread and the way to end it.
pub(super) struct Checker {
    replicas: Arc<Replicas>,
    is_stopping: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Checker {
    pub(super) fn start(replicas: Arc<Replicas>) -> io::Result<Self> {
        let is_stopping = Arc::new(AtomicBool::new(false));
        let (of_thread, signal) = (Arc::clone(&replicas), Arc::clone(&is_stopping));
        let thread = std::thread::Builder::new()
            .name("log-checker".to_owned())
            .spawn(move || work(&of_thread, &signal))?;
        Ok(Self { replicas, is_stopping, thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.replicas.shared.suspects.wake();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            error!("the checker thread panicked");
        }
    }
}

fn work(replicas: &Replicas, is_stopping: &AtomicBool) {
    let stops = || is_stopping.load(Ordering::Relaxed);
    for partition in replicas.all() {
        partition.examine(|bytes| {
            std::thread::sleep(Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND as f64));
            look_at_suspects(replicas, Duration::ZERO, &stops);
            !stops()
        });
        if stops() {
            return;
        }
    }
    info!("all that was on the disk has been checked");
    while !stops() {
        look_at_suspects(replicas, NAP, &stops);
    }
}

fn look_at_suspects(replicas: &Replicas, patience: Duration, stops: &dyn Fn() -> bool) {
    while let Some(partition) = replicas.shared.suspects.next(patience) {
        partition.examine(|_| !stops());
        if stops() {
            return;
        }
    }
}
