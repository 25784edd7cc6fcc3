//! A quorum that follows from a seed, for the simulator: only builds with the feature `simulated` have this.
//!
//! A run is the same each time only if nothing but its seed decides. What would: openraft's random timeouts, the order in
//! which tokio wakes those who wait for one watch channel (it draws a random one of eight lists), the flusher's thread, and
//! the threads of blocking work. All of it goes through [`crate::runtime`], and here it comes from the [`Process`] that the
//! calling task belongs to: a process is given a seed, its threads become tasks of the one runtime, and its disk takes
//! virtual time. As every task of a process is wrapped, it can also be stopped, as by SIGSTOP, and killed between any two
//! steps, which tokio offers for no task of others.
//!
//! Who belongs to no process gets tokio and threads, as without the feature: cargo builds a crate once for all that are
//! built together, a broker among them.

mod process;
mod rand_runtime;
mod watch;

use std::future::Future;
use std::io;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::runtime::threads;
pub use process::{Process, Within};
pub(crate) use rand_runtime::Runtime;

/// Starts a task in the process of whoever calls.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match Process::current() {
        Some(process) => tokio::spawn(process.run(future)),
        None => tokio::spawn(future),
    }
}

/// Does disk work, in virtual time where time is virtual.
pub(crate) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> io::Result<R> {
    let Some(process) = Process::current() else { return threads::blocking(work).await };
    process.disk_time().await;
    work()
}

/// The way to a thread, or to the task that stands for it.
pub(crate) enum Worker<W> {
    Thread(threads::Worker<W>),
    Task(mpsc::UnboundedSender<W>),
}

impl<W> Clone for Worker<W> {
    fn clone(&self) -> Self {
        match self {
            Worker::Thread(thread) => Worker::Thread(thread.clone()),
            Worker::Task(task) => Worker::Task(task.clone()),
        }
    }
}

impl<W> Worker<W> {
    /// Queues `work`; false when the worker has ended.
    pub(crate) fn send(&self, work: W) -> bool {
        match self {
            Worker::Thread(thread) => thread.send(work),
            Worker::Task(task) => task.send(work).is_ok(),
        }
    }
}

/// Starts a worker that calls `step` with all that waits, at least one piece.
pub(crate) fn worker<W: Send + 'static>(
    name: &str,
    mut step: impl FnMut(&mut dyn Iterator<Item = W>) + Send + 'static,
) -> io::Result<Worker<W>> {
    let Some(process) = Process::current() else { return Ok(Worker::Thread(threads::worker(name, step)?)) };
    let (queue, mut waiting) = mpsc::unbounded_channel();
    spawn(async move {
        while let Some(first) = waiting.recv().await {
            // More comes meanwhile, and shares the next flush.
            process.disk_time().await;
            step(&mut std::iter::once(first).chain(std::iter::from_fn(|| waiting.try_recv().ok())));
        }
    });
    Ok(Worker::Task(queue))
}
