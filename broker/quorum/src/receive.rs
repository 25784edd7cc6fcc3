//! Requests of other voters: decoded, checked for who sent them, and handed to openraft.

use std::collections::BTreeSet;

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::RaftError;
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest};

use crate::messages::{Message, SnapshotChunk, SnapshotChunkResponse};
use crate::quorum::fatal;
use crate::snapshot_transfer::{Received, SnapshotReceiver};
use crate::transport::api;
use crate::types::{Raft, Snapshot, TypeConfig, Vote, node_id, raft_id};
use crate::{QuorumConfig, QuorumError};

/// Serves the quorum's requests.
pub(crate) struct Receiver {
    raft: Raft,
    /// The voters other than this node.
    peers: BTreeSet<u64>,
    snapshots: SnapshotReceiver,
}

impl Receiver {
    pub(crate) fn new(raft: Raft, config: &QuorumConfig) -> Receiver {
        let peers =
            config.voters.iter().filter(|voter| voter.id != config.node_id).map(|voter| raft_id(voter.id));
        Receiver { raft, peers: peers.collect(), snapshots: SnapshotReceiver::default() }
    }

    pub(crate) async fn handle(&self, api: i16, payload: Bytes) -> Result<Bytes, QuorumError> {
        match api {
            api::APPEND => {
                let request = AppendEntriesRequest::<TypeConfig>::decode(payload)?;
                self.check_sender(&request.vote)?;
                Ok(self.raft.append_entries(request).await.map_err(failed)?.encode())
            }
            api::VOTE => {
                let request = VoteRequest::<TypeConfig>::decode(payload)?;
                self.check_sender(&request.vote)?;
                Ok(self.raft.vote(request).await.map_err(failed)?.encode())
            }
            api::PRE_VOTE => {
                let request = VoteRequest::<TypeConfig>::decode(payload)?;
                self.check_sender(&request.vote)?;
                Ok(self.raft.pre_vote(request).await.map_err(failed)?.encode())
            }
            api::SNAPSHOT => {
                let chunk = SnapshotChunk::decode(payload)?;
                self.check_sender(&chunk.vote)?;
                Ok(self.snapshot(chunk).await?.encode())
            }
            api::TRANSFER_LEADER => {
                let request = TransferLeaderRequest::<TypeConfig>::decode(payload)?;
                self.check_sender(request.from_leader())?;
                Ok(self.raft.handle_transfer_leader(request).await.map_err(fatal)?.encode())
            }
            other => Err(QuorumError::UnknownRequest(other)),
        }
    }

    /// openraft asserts that no request comes from the node itself.
    fn check_sender(&self, vote: &Vote) -> Result<(), QuorumError> {
        let sender = vote.leader_id.voted_for;
        if self.peers.contains(&sender) { Ok(()) } else { Err(QuorumError::NotAPeer(node_id(sender))) }
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
