//! Requests of other members: decoded, checked for whom they are and who sent them, and handed to openraft.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::RaftError;
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::QuorumError;
use crate::envelope::Envelope;
use crate::log_store::LogStore;
use crate::messages::{Message, SnapshotChunk, SnapshotChunkResponse};
use crate::origin::Origin;
use crate::quorum::fatal;
use crate::runtime;
use crate::snapshot_transfer::{Received, SnapshotReceiver};
use crate::transport::{Parcel, api};
use crate::types::{LogId, Raft, Snapshot, TypeConfig, Vote, node_id};

/// Why this member must take no part any more; nothing while it may.
pub(crate) type Unfit = watch::Sender<Option<String>>;

/// When a leader was last heard of.
pub(crate) type LeaderHeard = Arc<Mutex<Option<Instant>>>;

/// Between two lines about requests that cannot be read.
const REMINDER: Duration = Duration::from_secs(30);

/// Serves the quorum's requests.
pub(crate) struct Receiver {
    raft: Raft,
    me: u64,
    origin: Arc<Origin>,
    log: LogStore,
    heard: LeaderHeard,
    unfit: Unfit,
    snapshots: SnapshotReceiver,
    /// When it was said last that a request cannot be read.
    complained: Mutex<Option<Instant>>,
}

impl Receiver {
    pub(crate) fn new(
        raft: Raft,
        me: u64,
        origin: Arc<Origin>,
        log: LogStore,
        heard: LeaderHeard,
        unfit: Unfit,
    ) -> Receiver {
        let (snapshots, complained) = Default::default();
        Receiver { raft, me, origin, log, heard, unfit, snapshots, complained }
    }

    /// Tells an operator of a request that a newer version has sent; who sent it only hears that it was refused.
    pub(crate) fn complain(&self, api: i16, error: &QuorumError) {
        let mut complained = self.complained.lock();
        if complained.is_none_or(|at| at.elapsed() > REMINDER) {
            *complained = Some(Instant::now());
            tracing::error!(%error, api, "a request of another controller is refused; upgrade this one");
        }
    }

    pub(crate) async fn handle(&self, api: i16, parcel: Parcel) -> Result<Bytes, QuorumError> {
        if !(api::APPEND..=api::TRANSFER_LEADER).contains(&api) {
            return Err(QuorumError::UnknownRequest(api));
        }
        let Envelope { to, from, acknowledged, request } = Envelope::decode(parcel.payload)?;
        self.origin.check(node_id(from), parcel.founding)?;
        if to != self.me {
            return Err(QuorumError::AnotherDisk(node_id(to)));
        }
        if self.unfit.borrow().is_some() {
            return Err(QuorumError::Unfit);
        }
        match api {
            api::APPEND => self.append(from, acknowledged, request).await,
            api::VOTE => {
                let request = VoteRequest::<TypeConfig>::decode(request)?;
                self.check_sender(from, &request.vote)?;
                Ok(self.raft.vote(request).await.map_err(failed)?.encode())
            }
            api::PRE_VOTE => {
                let request = VoteRequest::<TypeConfig>::decode(request)?;
                self.check_sender(from, &request.vote)?;
                Ok(self.raft.pre_vote(request).await.map_err(failed)?.encode())
            }
            api::SNAPSHOT => {
                let chunk = SnapshotChunk::decode(request)?;
                self.check_sender(from, &chunk.vote)?;
                Ok(self.snapshot(chunk).await?.encode())
            }
            api::TRANSFER_LEADER => {
                let request = TransferLeaderRequest::<TypeConfig>::decode(request)?;
                self.check_sender(from, request.from_leader())?;
                Ok(self.raft.handle_transfer_leader(request).await.map_err(fatal)?.encode())
            }
            other => Err(QuorumError::UnknownRequest(other)),
        }
    }

    async fn append(
        &self,
        from: u64,
        acknowledged: Option<LogId>,
        request: Bytes,
    ) -> Result<Bytes, QuorumError> {
        let request = AppendEntriesRequest::<TypeConfig>::decode(request)?;
        self.check_sender(from, &request.vote)?;
        self.check_complete(&request.vote, acknowledged)?;
        let vote = request.vote;
        let answer = self.raft.append_entries(request).await.map_err(failed)?;
        if self.log.position().0 <= Some(vote) {
            *self.heard.lock() = Some(Instant::now());
        }
        Ok(answer.encode())
    }

    /// When a leader was last heard of.
    pub(crate) fn heard(&self) -> Option<Instant> {
        *self.heard.lock()
    }

    /// openraft asserts that no request comes from the node itself.
    fn check_sender(&self, from: u64, vote: &Vote) -> Result<(), QuorumError> {
        let sender = vote.leader_id.voted_for;
        if sender == from && sender != self.me { Ok(()) } else { Err(QuorumError::NotAPeer(node_id(sender))) }
    }

    /// A log that ends before what it has acknowledged to this very leader is an older copy of itself: it is not filled
    /// again, so that somebody notices, and the leader does not count on it.
    fn check_complete(&self, vote: &Vote, acknowledged: Option<LogId>) -> Result<(), QuorumError> {
        let (own, last) = self.log.position();
        // Entries of a leader may be gone again when a later one has been voted for, which the log remembers.
        let is_superseded = own.is_some_and(|own| own > *vote);
        match acknowledged.filter(|acknowledged| !is_superseded && last < Some(*acknowledged)) {
            None => Ok(()),
            Some(lost) => {
                let end = last.map_or(0, |last| last.index.saturating_add(1));
                let why = format!(
                    "this disk is an older copy of itself: it has acknowledged the metadata up to offset {}, but its log ends \
                     at {end}; replace it with an empty one",
                    lost.index
                );
                tracing::error!("{why}");
                self.unfit.send_replace(Some(why));
                // It must not campaign either. Openraft answers this request first, so it is stopped from outside.
                let raft = self.raft.clone();
                runtime::spawn(async move { raft.shutdown().await });
                Err(QuorumError::LostEntries { acknowledged: crate::types::offset_of(lost.index) })
            }
        }
    }

    async fn snapshot(&self, chunk: SnapshotChunk) -> Result<SnapshotChunkResponse, QuorumError> {
        let (sender, total) = (chunk.vote, chunk.total);
        let mine = self.raft.metrics().borrow_watched().vote;
        if mine > sender {
            return Ok(SnapshotChunkResponse { vote: mine, next: 0 });
        }
        match self.snapshots.receive(chunk)? {
            Received::Next(next) => Ok(SnapshotChunkResponse { vote: sender, next }),
            Received::Whole(meta, snapshot) => {
                let installed = self.raft.install_full_snapshot(sender, Snapshot { meta, snapshot }).await;
                Ok(SnapshotChunkResponse { vote: installed.map_err(fatal)?.vote, next: total })
            }
        }
    }
}

fn failed(error: RaftError<TypeConfig>) -> QuorumError {
    QuorumError::Fatal(error.to_string())
}
