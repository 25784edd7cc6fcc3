//! The one thread that writes: votes and entries go through one queue, in order.
//!
//! Entries that wait together share one fdatasync, and their callbacks are completed after it. A vote is written after
//! everything before it is durable. The first failed write or flush ends all writing: it is never retried, unless nothing but room
//! was missing.

use std::io;
use std::sync::Arc;

use openraft::storage::IOFlushed;
use tokio::sync::oneshot;

use super::Shared;
use super::state_files;
use crate::mutation::{self, Mutation};
use crate::runtime::{self, Worker};
use crate::types::{LogId, TypeConfig, Vote};

pub(super) type Done = oneshot::Sender<io::Result<()>>;

/// A write, in the order in which openraft asked for it.
pub(super) enum Write {
    /// Entries up to this offset, exclusive, are in the log's memory; the last of them.
    Append { end: i64, last: LogId, flushed: IOFlushed<TypeConfig> },
    /// Persist a vote.
    Vote(Vote, Done),
    /// Remember what is committed; nobody waits.
    Committed(LogId),
    /// Remove the entries from this offset on.
    Truncate { from: i64, done: Done },
    /// Forget the entries up to this one, inclusive.
    Purge(LogId, Done),
    /// An empty log starts at this offset.
    Restart { at: i64, done: Done },
    /// Make everything durable and close the files.
    Close(Done),
}

/// Starts the thread. It runs until every sender is gone.
pub(super) fn start(shared: Arc<Shared>) -> io::Result<Worker<Write>> {
    let mut failed = None;
    runtime::worker("metadata-flusher", move |writes| run(&shared, &mut failed, writes))
}

fn run(shared: &Shared, failed: &mut Option<Failure>, writes: &mut dyn Iterator<Item = Write>) {
    let mut appends = Appends::default();
    for write in writes {
        match write {
            Write::Append { flushed, .. } if mutation::is_active(Mutation::AppendAcknowledgedBeforeSync) => {
                flushed.io_completed(Ok(()));
            }
            Write::Append { end, last, flushed } => appends.push(end, last, flushed),
            other => {
                appends.flush(shared, failed);
                perform(shared, other, failed);
            }
        }
    }
    appends.flush(shared, failed);
}

/// Appends that wait for the same flush.
#[derive(Default)]
struct Appends {
    end: i64,
    last: Option<LogId>,
    waiting: Vec<IOFlushed<TypeConfig>>,
}

impl Appends {
    fn push(&mut self, end: i64, last: LogId, flushed: IOFlushed<TypeConfig>) {
        (self.end, self.last) = (end, Some(last));
        self.waiting.push(flushed);
    }

    fn flush(&mut self, shared: &Shared, failed: &mut Option<Failure>) {
        if self.waiting.is_empty() {
            return;
        }
        let result = attempt(failed, || shared.flush_entries(self.end, self.last));
        for flushed in self.waiting.drain(..) {
            flushed.io_completed(copy(&result));
        }
    }
}

fn perform(shared: &Shared, write: Write, failed: &mut Option<Failure>) {
    let (done, result) = match write {
        Write::Append { .. } => return,
        Write::Committed(id) => {
            // Losing it costs a catch-up, nothing else.
            if failed.is_none()
                && let Err(error) = state_files::save_committed(shared, &id)
            {
                tracing::warn!(%error, "cannot save what is committed");
            }
            return;
        }
        Write::Vote(vote, done) => (done, attempt(failed, || shared.save_vote(&vote))),
        Write::Truncate { from, done } => (done, attempt(failed, || shared.truncate(from))),
        Write::Purge(id, done) => (done, attempt(failed, || shared.purge(&id))),
        Write::Restart { at, done } => (done, attempt(failed, || shared.restart(at))),
        Write::Close(done) => (done, attempt(failed, || shared.close())),
    };
    let _ = done.send(result);
}

/// Why nothing is written any more.
struct Failure {
    kind: io::ErrorKind,
    why: String,
}

impl Failure {
    fn error(&self) -> io::Error {
        io::Error::new(
            self.kind,
            format!("the metadata log is offline after an earlier failure: {}", self.why),
        )
    }
}

fn attempt(failed: &mut Option<Failure>, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    if let Some(failure) = failed {
        return Err(failure.error());
    }
    let result = work();
    if let Err(error) = &result {
        tracing::error!(%error, "writing the metadata log failed; this voter stops");
        *failed = Some(Failure { kind: error.kind(), why: error.to_string() });
    }
    result
}

fn copy(result: &io::Result<()>) -> io::Result<()> {
    result.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string()))
}
