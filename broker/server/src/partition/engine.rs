//! The IO engine: a few threads per log directory that write what partitions have in memory.
//!
//! A partition is in the queue once and has one job at a time; everything appended while a job runs goes into the next
//! one. So one write, and one flush, covers all that waited: group commit without a timer.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::sync::Arc;
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
    threads: Mutex<Vec<JoinHandle<()>>>,
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
        Arc::new(Self { queue: Mutex::default(), ready: Condvar::new(), threads: Mutex::default() })
    }

    /// Starts the threads.
    pub(super) fn start(self: &Arc<Self>, threads: usize) -> io::Result<()> {
        for number in 0..threads {
            let engine = Arc::clone(self);
            let thread =
                std::thread::Builder::new().name(format!("log-io-{number}")).spawn(move || engine.work())?;
            self.threads.lock().push(thread);
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
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a log IO thread panicked");
            }
        }
    }

    fn work(&self) {
        self.queue.lock().awake += 1;
        while let Some(partition) = self.next() {
            match partition.write() {
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
