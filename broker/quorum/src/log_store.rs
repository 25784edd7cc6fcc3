//! The raft log on the segments of `klamm-log`: `<log.dir>/__cluster_metadata-0`.
//!
//! Appends go into the log's memory, where every reader finds them, and become durable by one flusher thread, which also
//! writes votes, truncates and purges, in the order in which openraft asked.

mod entry;
mod flusher;
mod recovery;
mod segments;
mod state_files;
mod voter_state;

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;
use futures::stream::{self, Stream, StreamExt};
use klamm_log::{Disk, DiskFile, Log};
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::{LogState, OptionalSend};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::room::Room;
use crate::runtime::Worker;
use crate::types::{Entry, LogId, TypeConfig, Vote, epoch_of, offset_of, term_of};
use flusher::{Done, Write};
use voter_state::VoterFile;

/// Bytes of entries that are read at once for one request or one step of applying.
const READ_BYTES: usize = 1024 * 1024;

/// A handle to the log; also openraft's reader. The flusher thread ends with the last handle.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
    queue: Worker<Write>,
}

/// What handles and the flusher share.
struct Shared {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// The file of the committed position, overwritten in place.
    committed: Arc<dyn DiskFile>,
    voter: VoterFile,
    log: Mutex<Log>,
    state: Mutex<State>,
    room: Room,
}

/// What openraft asks for without reading the log.
#[derive(Clone, Default)]
struct State {
    vote: Option<Vote>,
    committed: Option<LogId>,
    /// The last entry that was purged.
    purged: Option<LogId>,
    /// The last entry, or `purged` when the log is empty.
    last: Option<LogId>,
}

impl LogStore {
    /// Opens or creates the log in `dir`, recovers it, and starts the flusher. `snapshot` is the last entry that the
    /// newest snapshot holds.
    ///
    /// # Errors
    /// `InvalidData` when the log, or what lies beside it, has lost what was acknowledged or committed.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        segment_bytes: u64,
        snapshot: Option<LogId>,
    ) -> io::Result<LogStore> {
        let shared = Arc::new(recovery::open(disk, dir, segment_bytes, snapshot)?);
        let queue = flusher::start(shared.clone())?;
        Ok(LogStore { shared, queue })
    }

    /// Entries of `first..end` that the log has, in order, about `max_bytes` of them and at least one.
    pub(crate) fn read(&self, first: u64, end: u64, max_bytes: usize) -> io::Result<Vec<Entry>> {
        self.shared.read(first, end, max_bytes)
    }

    /// Whether the log has never held an entry, nor a vote.
    pub(crate) fn is_fresh(&self) -> bool {
        let state = self.shared.state.lock();
        state.vote.is_none() && state.last.is_none()
    }

    /// The vote and the last entry, as of one moment.
    pub(crate) fn position(&self) -> (Option<Vote>, Option<LogId>) {
        let state = self.shared.state.lock();
        (state.vote, state.last)
    }

    /// Where the log ends, and where what is durable of it does.
    #[cfg(feature = "simulated")]
    pub(crate) fn ends(&self) -> (i64, i64) {
        let log = self.shared.log.lock();
        (log.end_offset(), log.durable_end())
    }

    /// The leader epoch of the entry at `index`, if it is in the log or was the last to be purged.
    pub(crate) fn epoch_at(&self, index: u64) -> io::Result<Option<i32>> {
        let purged = self.shared.state.lock().purged;
        if let Some(purged) = purged.filter(|purged| purged.index == index) {
            return Ok(Some(epoch_of(term_of(&purged))));
        }
        let entries = self.read(index, index.saturating_add(1), 0)?;
        let entry = entries.first().filter(|entry| entry.log_id.index == index);
        Ok(entry.map(|entry| epoch_of(term_of(&entry.log_id))))
    }

    /// No write waits any more until there is room on a full disk.
    pub(crate) fn give_up_waiting(&self) {
        self.shared.room.close();
    }

    /// Makes everything durable and closes the files.
    pub(crate) async fn close(&self) -> io::Result<()> {
        self.write(Write::Close).await
    }

    fn enqueue(&self, write: Write) -> io::Result<()> {
        if self.queue.send(write) { Ok(()) } else { Err(flusher_gone()) }
    }

    async fn write(&self, write: impl FnOnce(Done) -> Write) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        self.enqueue(write(done))?;
        answer.await.map_err(|_| flusher_gone())?
    }

    /// The first entry of an empty log may be at any index: after a snapshot, or in openraft's tests.
    async fn restart_if_empty(&self, first: i64) -> io::Result<()> {
        let (start, end) = self.shared.bounds();
        if start == end && first != end {
            self.write(|done| Write::Restart { at: first, done }).await?;
        }
        Ok(())
    }
}

fn flusher_gone() -> io::Error {
    io::Error::other("the flusher of the metadata log has ended")
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<R>(&mut self, range: R) -> io::Result<Vec<Entry>>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (first, end) = half_open(&range);
        self.shared.read(first, end, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.shared.read(start, end, READ_BYTES)
    }

    async fn entries_stream<R>(&mut self, range: R) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (first, end) = half_open(&range);
        let steps = stream::unfold((self.shared.clone(), first), move |(shared, next)| async move {
            let entries = match shared.read(next, end, READ_BYTES) {
                Ok(entries) => entries,
                Err(error) => return Some((vec![Err(error)], (shared, end))),
            };
            let after = entries.last()?.log_id.index.saturating_add(1);
            Some((entries.into_iter().map(Ok).collect(), (shared, after)))
        });
        steps.flat_map(stream::iter).boxed()
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.shared.state.lock().vote)
    }
}

fn half_open(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let first = match range.start_bound() {
        Bound::Included(first) => *first,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (first, end)
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let state = self.shared.state.lock();
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: state.last })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = *vote;
        self.write(|done| Write::Vote(vote, done)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.shared.state.lock().committed = committed;
        committed.map_or(Ok(()), |id| self.enqueue(Write::Committed(id)))
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.shared.state.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let (mut batches, mut first, mut last) = (BytesMut::new(), None, None);
        for entry in entries {
            batches.extend_from_slice(&entry::to_batch(&entry)?);
            first.get_or_insert(entry.log_id);
            last = Some(entry.log_id);
        }
        let (Some(first), Some(last)) = (first, last) else {
            flushed.io_completed(Ok(()));
            return Ok(());
        };
        let first = offset_of(first.index);
        self.restart_if_empty(first).await?;
        let end = self.shared.append(first, batches.freeze(), last)?;
        self.enqueue(Write::Append { end, last, flushed })
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |last| offset_of(last.index.saturating_add(1)));
        self.write(|done| Write::Truncate { from, done }).await?;
        let mut state = self.shared.state.lock();
        state.last = state.last.min(last).max(state.purged);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.write(|done| Write::Purge(upto, done)).await
    }
}
