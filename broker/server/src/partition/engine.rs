//! The IO engine: a few threads per log directory that write what partitions have in memory.
//!
//! A partition is in the queue once and has one job at a time; everything appended while a job runs goes into the next
//! one. So one write, and one flush, covers all that waited: group commit without a timer.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::replica::Partition;

/// What a partition says after a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing more to write.
    Idle,
    /// More came while the job ran.
    Again,
    /// The disk is full: try again after this time.
    Later(Duration),
}

/// The queue and the threads that work on it.
pub(super) struct Engine {
    queue: Mutex<Queue>,
    ready: Condvar,
    threads: Mutex<Vec<IoThread>>,
    born: Instant,
}

/// One thread, and since when it has been at its job: milliseconds since the engine began, 0 while it has none.
struct IoThread {
    handle: JoinHandle<()>,
    busy_since: Arc<AtomicU64>,
}

#[derive(Default)]
struct Queue {
    dirty: VecDeque<Arc<Partition>>,
    delayed: BinaryHeap<Reverse<Delayed>>,
    /// Threads that will look at the queue soon: neither asleep nor inside an fsync.
    awake: usize,
    is_stopping: bool,
}

impl Engine {
    /// An engine whose threads are not started yet.
    pub(super) fn new() -> Arc<Self> {
        let (queue, threads) = Default::default();
        Arc::new(Self { queue, ready: Condvar::new(), threads, born: Instant::now() })
    }

    /// Starts the threads.
    pub(super) fn start(self: &Arc<Self>, threads: usize) -> io::Result<()> {
        for number in 0..threads {
            let (engine, busy_since) = (Arc::clone(self), Arc::new(AtomicU64::new(0)));
            let busy = Arc::clone(&busy_since);
            let thread = std::thread::Builder::new().name(format!("log-io-{number}"));
            let handle = thread.spawn(move || engine.work(&busy))?;
            self.threads.lock().push(IoThread { handle, busy_since });
        }
        Ok(())
    }

    /// Puts a partition with something to write into the queue. Another thread is woken only when none is about to look:
    /// a write into the page cache takes less time than a switch of threads.
    pub(super) fn enqueue(&self, partition: Arc<Partition>) {
        let mut queue = self.queue.lock();
        queue.dirty.push_back(partition);
        self.wake_for(queue);
    }

    /// The calling thread goes into an fsync; what waits is another's.
    pub(super) fn begin_sync(&self) {
        let mut queue = self.queue.lock();
        queue.awake -= 1;
        self.wake_for(queue);
    }

    /// The calling thread comes out of an fsync.
    pub(super) fn end_sync(&self) {
        self.queue.lock().awake += 1;
    }

    fn wake_for(&self, queue: MutexGuard<'_, Queue>) {
        let nobody_looks = queue.awake == 0 && !queue.dirty.is_empty();
        drop(queue);
        if nobody_looks {
            self.ready.notify_one();
        }
    }

    /// Writes what is in the queue, then ends the threads. Partitions that found the disk full are given up.
    pub(super) fn stop(&self) {
        self.queue.lock().is_stopping = true;
        self.ready.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.handle.join().is_err() {
                tracing::error!("a log IO thread panicked");
            }
        }
    }

    /// Why a thread is of no use any more: it has ended, or has been at one job for longer than `patience`.
    pub(super) fn stuck(&self, patience: Duration) -> Option<String> {
        let now = self.millis();
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        self.threads.lock().iter().find_map(|thread| {
            let name = thread.handle.thread().name().unwrap_or("log-io").to_owned();
            let since = thread.busy_since.load(Ordering::Relaxed);
            if thread.handle.is_finished() {
                return Some(format!("the thread {name} has ended"));
            }
            let busy = now.saturating_sub(since);
            (since > 0 && busy > patience)
                .then(|| format!("the thread {name} has been in one write for {busy} ms"))
        })
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn work(&self, busy_since: &AtomicU64) {
        self.queue.lock().awake += 1;
        while let Some(partition) = self.next() {
            busy_since.store(self.millis().max(1), Ordering::Relaxed);
            let next = partition.write();
            busy_since.store(0, Ordering::Relaxed);
            match next {
                Next::Idle => {}
                Next::Again => self.enqueue(partition),
                Next::Later(pause) => {
                    let due = Instant::now() + pause;
                    self.queue.lock().delayed.push(Reverse(Delayed { due, partition }));
                    self.ready.notify_one();
                }
            }
        }
    }

    /// The next partition to write; `None` when the engine stops and the queue is empty.
    fn next(&self) -> Option<Arc<Partition>> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(partition) = queue.dirty.pop_front().or_else(|| queue.pop_due()) {
                return Some(partition);
            }
            if queue.is_stopping {
                return None;
            }
            queue.awake -= 1;
            match queue.delayed.peek().map(|Reverse(delayed)| delayed.due) {
                Some(due) => drop(self.ready.wait_until(&mut queue, due)),
                None => self.ready.wait(&mut queue),
            }
            queue.awake += 1;
        }
    }
}

impl Queue {
    fn pop_due(&mut self) -> Option<Arc<Partition>> {
        let is_due = self.delayed.peek().is_some_and(|Reverse(delayed)| delayed.due <= Instant::now());
        if is_due { self.delayed.pop().map(|Reverse(delayed)| delayed.partition) } else { None }
    }
}

/// A partition that found the disk full.
struct Delayed {
    due: Instant,
    partition: Arc<Partition>,
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Delayed {}
