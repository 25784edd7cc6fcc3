//! openraft's network over a [`Transport`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{RaftNetworkFactory, RaftNetworkV2};

use crate::messages::Message;
use crate::snapshot_transfer;
use crate::transport::api;
use crate::types::{Snapshot, TypeConfig, Vote, Voter, node_id, raft_id};
use crate::{Peer, QuorumConfig, Transport, TransportError};

pub(crate) type RpcError = RPCError<TypeConfig>;

/// Makes one [`Connection`] per peer and purpose.
pub(crate) struct Network<T> {
    transport: Arc<T>,
    config: Arc<QuorumConfig>,
}

impl<T> Network<T> {
    pub(crate) fn new(transport: T, config: Arc<QuorumConfig>) -> Network<T> {
        Network { transport: Arc::new(transport), config }
    }
}

impl<T: Transport> RaftNetworkFactory<TypeConfig> for Network<T> {
    type Network = Connection<T>;

    async fn new_client(&mut self, target: u64, _node: &Voter) -> Connection<T> {
        let peer = self.config.voters.iter().find(|voter| raft_id(voter.id) == target).cloned();
        Connection { transport: self.transport.clone(), config: self.config.clone(), target, peer }
    }
}

/// Calls one peer.
pub(crate) struct Connection<T> {
    transport: Arc<T>,
    pub(crate) config: Arc<QuorumConfig>,
    pub(crate) target: u64,
    peer: Option<Peer>,
}

impl<T: Transport> Connection<T> {
    pub(crate) async fn call<Q: Message, A: Message>(
        &self,
        api: i16,
        kind: RPCTypes,
        request: &Q,
        timeout: Duration,
    ) -> Result<A, RpcError> {
        let answer = self.call_bytes(api, request.encode(), timeout).await.map_err(|error| match error {
            TransportError::Unreachable(why) => RPCError::Unreachable(Unreachable::from_string(why)),
            TransportError::Failed(why) => RPCError::Network(NetworkError::from_string(why)),
            TransportError::TimedOut => RPCError::Timeout(self.timed_out(kind, timeout)),
        })?;
        // A malformed answer is not worth an immediate retry.
        A::decode(answer).map_err(|error| RPCError::Unreachable(Unreachable::from_string(error)))
    }

    async fn call_bytes(&self, api: i16, payload: Bytes, timeout: Duration) -> Result<Bytes, TransportError> {
        let Some(peer) = self.peer.clone() else {
            let why = format!("node {} is not among the configured voters", node_id(self.target));
            return Err(TransportError::Unreachable(why));
        };
        match tokio::time::timeout(timeout, self.transport.call(peer, api, payload, timeout)).await {
            Ok(answer) => answer,
            Err(_) => Err(TransportError::TimedOut),
        }
    }

    fn timed_out(&self, action: RPCTypes, timeout: Duration) -> Timeout<TypeConfig> {
        Timeout { action, id: raft_id(self.config.node_id), target: self.target, timeout }
    }
}

impl<T: Transport> RaftNetworkV2<TypeConfig> for Connection<T> {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        // openraft offers one heartbeat interval, which a follower's disk may well need for its flush.
        let timeout = if request.entries.is_empty() { option.hard_ttl() } else { self.config.lease() * 2 };
        self.call(api::APPEND, RPCTypes::AppendEntries, &request, timeout).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.call(api::VOTE, RPCTypes::Vote, &request, option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.call(api::PRE_VOTE, RPCTypes::Vote, &request, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let deadline = option.hard_ttl();
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = tokio::time::timeout(deadline, snapshot_transfer::send(self, vote, snapshot)) => match sent {
                Ok(response) => response,
                Err(_) => Err(self.timed_out(RPCTypes::InstallSnapshot, deadline).into()),
            },
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        self.call(api::TRANSFER_LEADER, RPCTypes::TransferLeader, &request, option.hard_ttl()).await
    }
}
