//! Carries the quorum's own calls between controllers over the CONTROLLER listener.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use klamm_quorum::{Parcel, Peer, Transport, TransportError};
use klamm_wire::messages::{
    raft_append_request::RaftAppendRequest, raft_identify_request::RaftIdentifyRequest,
    raft_pre_vote_request::RaftPreVoteRequest, raft_snapshot_request::RaftSnapshotRequest,
    raft_transfer_leader_request::RaftTransferLeaderRequest, raft_vote_request::RaftVoteRequest,
};
use klamm_wire::{ErrorCode, Message, Str};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::net::client::{CallError, Connection};

/// Time to connect to a controller.
const DIAL_TIMEOUT: Duration = Duration::from_millis(300);

/// One connection per call under way, kept for others of its kind to the same peer: nothing delays a vote or a heartbeat,
/// neither a snapshot nor a packet that was lost.
#[derive(Clone)]
pub struct ControllerTransport {
    inner: Arc<Inner>,
}

struct Inner {
    cluster_id: Str,
    node_id: i32,
    client_id: Str,
    idle: Mutex<HashMap<(Peer, i16), Vec<Connection>>>,
}

impl ControllerTransport {
    /// A transport for the node `node_id` of `cluster_id`.
    pub fn new(cluster_id: Str, node_id: i32) -> Self {
        let client_id = Str::from(format!("klamm-controller-{node_id}"));
        Self { inner: Arc::new(Inner { cluster_id, node_id, client_id, idle: Mutex::default() }) }
    }
}

impl Transport for ControllerTransport {
    fn call(
        &self,
        peer: Peer,
        api: i16,
        request: Parcel,
        timeout: Duration,
    ) -> impl Future<Output = Result<Parcel, TransportError>> + Send {
        let inner = Arc::clone(&self.inner);
        async move { inner.call(&peer, api, request, timeout).await }
    }
}

/// What came over the wire; a nil founding says nothing.
pub(super) fn received(founding_id: Uuid, payload: Bytes) -> Parcel {
    Parcel { founding: (!founding_id.is_nil()).then_some(founding_id), payload }
}

/// Builds, sends and unwraps one kind of call; all of them have the same fields.
macro_rules! exchange {
    ($inner:expr, $connection:expr, $peer:expr, $parcel:expr, $timeout:expr, $request:ident) => {{
        let request = $request {
            cluster_id: $inner.cluster_id.clone(),
            target_node_id: $peer.id,
            source_node_id: $inner.node_id,
            payload: $parcel.payload,
            founding_id: $parcel.founding.unwrap_or_default(),
            ..$request::default()
        };
        $connection
            .call(0, &request, $timeout)
            .await
            .map(|r| (r.error_code, received(r.founding_id, r.payload)))
    }};
}

impl Inner {
    async fn call(
        &self,
        peer: &Peer,
        api: i16,
        request: Parcel,
        timeout: Duration,
    ) -> Result<Parcel, TransportError> {
        let mut connection = match self.take(peer, api) {
            Some(connection) => connection,
            None => Connection::connect(&peer.host, peer.port, &self.client_id, DIAL_TIMEOUT.min(timeout))
                .await
                .map_err(unreachable_peer)?,
        };
        let sent = self.send(&mut connection, peer, api, request, timeout).await;
        if let Err(TransportError::Unreachable(_)) = sent {
            // What ended this connection has most likely ended those beside it, too: none of them shall cost a call.
            self.idle.lock().remove(&(peer.clone(), api));
        }
        let (error, answer) = sent?;
        if error != ErrorCode::None.code() {
            return Err(TransportError::Failed(ErrorCode::from_code(error).to_string()));
        }
        self.idle.lock().entry((peer.clone(), api)).or_default().push(connection);
        Ok(answer)
    }

    async fn send(
        &self,
        connection: &mut Connection,
        peer: &Peer,
        api: i16,
        request: Parcel,
        timeout: Duration,
    ) -> Result<(i16, Parcel), TransportError> {
        let answer = match api {
            RaftAppendRequest::API_KEY => {
                exchange!(self, connection, peer, request, timeout, RaftAppendRequest)
            }
            RaftVoteRequest::API_KEY => exchange!(self, connection, peer, request, timeout, RaftVoteRequest),
            RaftPreVoteRequest::API_KEY => {
                exchange!(self, connection, peer, request, timeout, RaftPreVoteRequest)
            }
            RaftSnapshotRequest::API_KEY => {
                exchange!(self, connection, peer, request, timeout, RaftSnapshotRequest)
            }
            RaftTransferLeaderRequest::API_KEY => {
                exchange!(self, connection, peer, request, timeout, RaftTransferLeaderRequest)
            }
            RaftIdentifyRequest::API_KEY => {
                exchange!(self, connection, peer, request, timeout, RaftIdentifyRequest)
            }
            other => return Err(TransportError::Failed(format!("no call has key {other}"))),
        };
        answer.map_err(unreachable_peer)
    }

    fn take(&self, peer: &Peer, api: i16) -> Option<Connection> {
        self.idle.lock().get_mut(&(peer.clone(), api)).and_then(Vec::pop)
    }
}

fn unreachable_peer(error: CallError) -> TransportError {
    match error {
        CallError::Timeout(_) => TransportError::TimedOut,
        CallError::Malformed(_) | CallError::Superseded => TransportError::Failed(error.to_string()),
        CallError::Io(_) => TransportError::Unreachable(error.to_string()),
    }
}
