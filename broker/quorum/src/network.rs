//! openraft's network over a [`Transport`].

use std::collections::HashMap;
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
use parking_lot::Mutex;

use crate::envelope::Envelope;
use crate::heartbeat::{self, Attempts};
use crate::messages::Message;
use crate::origin::Origin;
use crate::snapshot_transfer;
use crate::transport::{Parcel, api};
use crate::types::{LogId, Snapshot, TypeConfig, Vote, Voter, node_id};
use crate::{Peer, QuorumConfig, Transport, TransportError};

pub(crate) type RpcError = RPCError<TypeConfig>;

/// What each member has acknowledged to this node as the leader of a term.
type Acknowledged = Arc<Mutex<HashMap<u64, (Vote, LogId)>>>;

/// Makes one [`Connection`] per peer and purpose.
pub(crate) struct Network<T> {
    transport: Arc<T>,
    config: Arc<QuorumConfig>,
    me: u64,
    origin: Arc<Origin>,
    acknowledged: Acknowledged,
}

impl<T> Network<T> {
    pub(crate) fn new(
        transport: Arc<T>,
        config: Arc<QuorumConfig>,
        me: u64,
        origin: Arc<Origin>,
    ) -> Network<T> {
        Network { transport, config, me, origin, acknowledged: Arc::default() }
    }
}

impl<T: Transport> RaftNetworkFactory<TypeConfig> for Network<T> {
    type Network = Connection<T>;

    async fn new_heartbeat_client(&mut self, target: u64, node: &Voter) -> Connection<T> {
        Connection { heartbeats: Some(heartbeat::attempts()), ..self.new_client(target, node).await }
    }

    async fn new_client(&mut self, target: u64, node: &Voter) -> Connection<T> {
        Connection {
            heartbeats: None,
            transport: self.transport.clone(),
            config: self.config.clone(),
            me: self.me,
            target,
            peer: address(&self.config, target, node),
            origin: self.origin.clone(),
            acknowledged: self.acknowledged.clone(),
        }
    }
}

/// Where a member is reached.
pub(crate) fn address(config: &QuorumConfig, member: u64, node: &Voter) -> Peer {
    let id = node_id(member);
    let known = || Peer { id, host: node.host.clone(), port: node.port };
    config.address_of(id).cloned().unwrap_or_else(known)
}

/// Calls one peer.
pub(crate) struct Connection<T> {
    transport: Arc<T>,
    pub(crate) config: Arc<QuorumConfig>,
    me: u64,
    pub(crate) target: u64,
    peer: Peer,
    origin: Arc<Origin>,
    acknowledged: Acknowledged,
    /// Only where nothing but heartbeats is sent.
    heartbeats: Option<Attempts>,
}

impl<T> Clone for Connection<T> {
    fn clone(&self) -> Self {
        Connection {
            transport: Arc::clone(&self.transport),
            config: Arc::clone(&self.config),
            me: self.me,
            target: self.target,
            peer: self.peer.clone(),
            origin: Arc::clone(&self.origin),
            acknowledged: Arc::clone(&self.acknowledged),
            heartbeats: self.heartbeats.clone(),
        }
    }
}

impl<T: Transport> Connection<T> {
    pub(crate) async fn call<Q: Message, A: Message>(
        &self,
        api: i16,
        kind: RPCTypes,
        request: &Q,
        timeout: Duration,
    ) -> Result<A, RpcError> {
        self.call_after(api, kind, request, timeout, None).await
    }

    async fn call_after<Q: Message, A: Message>(
        &self,
        api: i16,
        kind: RPCTypes,
        request: &Q,
        timeout: Duration,
        acknowledged: Option<LogId>,
    ) -> Result<A, RpcError> {
        let envelope = Envelope { to: self.target, from: self.me, acknowledged, request: request.encode() };
        let answer = self.call_bytes(api, envelope.encode(), timeout).await.map_err(|error| match error {
            TransportError::Unreachable(why) => RPCError::Unreachable(Unreachable::from_string(why)),
            TransportError::Failed(why) => RPCError::Network(NetworkError::from_string(why)),
            TransportError::TimedOut => RPCError::Timeout(self.timed_out(kind, timeout)),
        })?;
        // A malformed answer is not worth an immediate retry.
        A::decode(answer).map_err(|error| RPCError::Unreachable(Unreachable::from_string(error)))
    }

    async fn call_bytes(&self, api: i16, payload: Bytes, timeout: Duration) -> Result<Bytes, TransportError> {
        let request = Parcel { founding: self.origin.founding(), payload };
        let call = self.transport.call(self.peer.clone(), api, request, timeout);
        match tokio::time::timeout(timeout, call).await {
            Ok(answer) => {
                let answer = answer?;
                let is_ours = self.origin.check(self.peer.id, answer.founding);
                is_ours.map(|()| answer.payload).map_err(|error| TransportError::Failed(error.to_string()))
            }
            Err(_) => Err(TransportError::TimedOut),
        }
    }

    fn timed_out(&self, action: RPCTypes, timeout: Duration) -> Timeout<TypeConfig> {
        Timeout { action, id: self.me, target: self.target, timeout }
    }

    /// What the peer has acknowledged in the term of `vote`.
    fn acknowledged_in(&self, vote: &Vote) -> Option<LogId> {
        self.acknowledged.lock().get(&self.target).filter(|(of, _)| of == vote).map(|(_, last)| *last)
    }

    fn note_acknowledged(&self, vote: Vote, last: Option<LogId>) {
        let Some(last) = last else { return };
        let mut all = self.acknowledged.lock();
        let known = all.entry(self.target).or_insert((vote, last));
        // The answer to a heartbeat may come when this node leads another term.
        if known.0 < vote || known.0 == vote && known.1 < last {
            *known = (vote, last);
        }
    }

    pub(crate) async fn append(
        &self,
        request: &AppendEntriesRequest<TypeConfig>,
        timeout: Duration,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        let acknowledged = self.acknowledged_in(&request.vote);
        let answer =
            self.call_after(api::APPEND, RPCTypes::AppendEntries, request, timeout, acknowledged).await?;
        match answer {
            AppendEntriesResponse::Success => {
                let last = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
                self.note_acknowledged(request.vote, last);
            }
            AppendEntriesResponse::PartialSuccess(last) => self.note_acknowledged(request.vote, last),
            _ => {}
        }
        Ok(answer)
    }
}

impl<T: Transport> RaftNetworkV2<TypeConfig> for Connection<T> {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        if let Some(attempts) = &self.heartbeats {
            return heartbeat::send(self, attempts, request).await;
        }
        // openraft offers one heartbeat interval, which a follower's disk may well need for its flush.
        let timeout = if request.entries.is_empty() { option.hard_ttl() } else { self.config.lease() * 2 };
        self.append(&request, timeout).await
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
            biased;
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
