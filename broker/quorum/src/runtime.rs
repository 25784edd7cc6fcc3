//! What the quorum runs on: openraft's runtime, tasks, work that blocks, and the one thread that writes.
//!
//! In a build with the feature `simulated` all of it can follow from one seed (see [`crate::simulated`]); in every other it
//! is tokio and threads, and nothing is decided at run time.

#[cfg(not(feature = "simulated"))]
pub(crate) use threads::{Worker, blocking, spawn, worker};

#[cfg(feature = "simulated")]
pub(crate) use crate::simulated::{Runtime, Worker, blocking, spawn, worker};

/// What openraft runs on.
#[cfg(not(feature = "simulated"))]
pub(crate) type Runtime = openraft::impls::TokioRuntime;

pub(crate) mod threads {
    //! Tokio's tasks and threads of the operating system.

    use std::io;
    use std::sync::mpsc;

    #[cfg(not(feature = "simulated"))]
    pub(crate) use tokio::spawn;

    /// Runs disk work off the network threads.
    pub(crate) async fn blocking<R: Send + 'static>(
        work: impl FnOnce() -> io::Result<R> + Send + 'static,
    ) -> io::Result<R> {
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// The way to a thread that works off what is sent to it. The thread ends with the last handle.
    pub(crate) struct Worker<W>(mpsc::Sender<W>);

    impl<W> Clone for Worker<W> {
        fn clone(&self) -> Self {
            Worker(self.0.clone())
        }
    }

    impl<W> Worker<W> {
        /// Queues `work`; false when the worker has ended.
        pub(crate) fn send(&self, work: W) -> bool {
            self.0.send(work).is_ok()
        }
    }

    /// Starts a thread that calls `step` with all that waits, at least one piece.
    pub(crate) fn worker<W: Send + 'static>(
        name: &str,
        mut step: impl FnMut(&mut dyn Iterator<Item = W>) + Send + 'static,
    ) -> io::Result<Worker<W>> {
        let (queue, waiting) = mpsc::channel();
        let work = move || {
            while let Ok(first) = waiting.recv() {
                step(&mut std::iter::once(first).chain(waiting.try_iter()));
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Worker(queue))
    }
}
