//! What a controller serves on its CONTROLLER listener: the quorum's calls, brokers, and forwarded requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use futures::future::BoxFuture;
use klamm_metadata::controller::{Command, Reply};
use klamm_quorum::{Parcel, Quorum, QuorumError};
use klamm_wire::catalogue::Listener;
use klamm_wire::messages as m;
use klamm_wire::messages::envelope_request::EnvelopeRequest;
use klamm_wire::messages::envelope_response::EnvelopeResponse;
use klamm_wire::messages::metadata_fetch_request::MetadataFetchRequest;
use klamm_wire::{ErrorCode, Message, Segment, Str};
use parking_lot::Mutex;

use super::handle::ControllerHandle;
use super::liveness::Liveness;
use super::transport::received;
use super::{describe_quorum, metadata_fetch, quorum_health, raft_voters};
use crate::api::{self, Context};
use crate::clock::now_ms;
use crate::net::Response;
use crate::net::connection::{Handled, Outcome, Peer, Service};

/// How long a silent broker is shown among those that observe the quorum.
const OBSERVED: Duration = Duration::from_secs(300);

/// How long a call of another controller may take, and one that carries a snapshot: longer than who calls waits.
const RAFT_PATIENCE: Duration = Duration::from_secs(10);
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(90);

/// The controller's service.
#[derive(Clone)]
pub struct ControllerService {
    inner: Arc<Inner>,
}

struct Inner {
    cluster_id: Str,
    node_id: i32,
    quorum: Quorum,
    controller: ControllerHandle,
    liveness: Arc<Liveness>,
    /// How far brokers say that they have applied the metadata, and when they said so.
    followers: Mutex<BTreeMap<i32, (i64, Instant)>>,
}

/// Why a request has no answer of its own kind.
enum Refusal {
    /// This node is not the active controller.
    NotController,
    /// The request is malformed.
    Malformed(String),
}

type Answer = Result<Response, Refusal>;

impl ControllerService {
    /// Serves for `node_id` of `cluster_id`.
    pub fn new(
        cluster_id: Str,
        node_id: i32,
        quorum: Quorum,
        controller: ControllerHandle,
        liveness: Arc<Liveness>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                cluster_id,
                node_id,
                quorum,
                controller,
                liveness,
                followers: Mutex::default(),
            }),
        }
    }
}

impl Service for ControllerService {
    fn handle(&self, frame: BytesMut, peer: &Peer) -> Handled {
        match api::open(frame.freeze(), peer, Listener::Controller) {
            Ok((context, _, body)) => {
                let inner = Arc::clone(&self.inner);
                Handled::Blocking(Box::pin(async move {
                    match inner.answer(context, body).await {
                        Ok(response) => Outcome::Respond(response),
                        Err(Refusal::NotController) => Outcome::Close("not the active controller".to_owned()),
                        Err(Refusal::Malformed(reason)) => Outcome::Close(reason),
                    }
                }))
            }
            Err(handled) => handled,
        }
    }

    fn closed(&self, peer: &Peer) {
        self.inner.liveness.connection_closed(peer.connection);
    }
}

/// One kind of raft call: all have the same fields and differ by their key.
macro_rules! raft {
    ($inner:expr, $context:expr, $body:expr, $request:ident, $response:ident) => {{
        let request: $request = decode(&$context, $body)?;
        let parcel = received(request.founding_id, request.payload);
        let (error, Parcel { founding, payload }) =
            $inner.raft($request::API_KEY, &request.cluster_id, request.target_node_id, parcel).await;
        let (error_code, founding_id) = (error.code(), founding.unwrap_or_default());
        encode(&$context, &$response { error_code, payload, founding_id, ..$response::default() })
    }};
}

/// One kind of command: decode, decide, encode.
macro_rules! command {
    ($inner:expr, $context:expr, $body:expr, $kind:ident) => {{
        let reply = $inner.controller.submit(Command::$kind(decode(&$context, $body)?)).await;
        match reply {
            Ok(Reply::$kind(response)) => encode(&$context, &response),
            _ => Err(Refusal::NotController),
        }
    }};
}

/// The same for requests whose response has a top-level error code to say NOT_CONTROLLER with.
macro_rules! broker_command {
    ($inner:expr, $context:expr, $body:expr, $kind:ident, $response:ident) => {{
        let reply = $inner.controller.submit(Command::$kind(decode(&$context, $body)?)).await;
        let response = match reply {
            Ok(Reply::$kind(response)) => response,
            _ => $response { error_code: ErrorCode::NotController.code(), ..$response::default() },
        };
        encode(&$context, &response)
    }};
}

impl Inner {
    fn answer(self: Arc<Self>, context: Context, body: Bytes) -> BoxFuture<'static, Answer> {
        use m::allocate_producer_ids_response::AllocateProducerIdsResponse;
        use m::alter_partition_response::AlterPartitionResponse;
        use m::broker_registration_response::BrokerRegistrationResponse;
        use m::raft_append_request::RaftAppendRequest;
        use m::raft_append_response::RaftAppendResponse;
        use m::raft_identify_request::RaftIdentifyRequest;
        use m::raft_identify_response::RaftIdentifyResponse;
        use m::raft_pre_vote_request::RaftPreVoteRequest;
        use m::raft_pre_vote_response::RaftPreVoteResponse;
        use m::raft_snapshot_request::RaftSnapshotRequest;
        use m::raft_snapshot_response::RaftSnapshotResponse;
        use m::raft_transfer_leader_request::RaftTransferLeaderRequest;
        use m::raft_transfer_leader_response::RaftTransferLeaderResponse;
        use m::raft_vote_request::RaftVoteRequest;
        use m::raft_vote_response::RaftVoteResponse;
        use m::replica_damage_response::ReplicaDamageResponse;
        Box::pin(async move {
            match context.header.api_key {
                RaftAppendRequest::API_KEY => {
                    raft!(self, context, body, RaftAppendRequest, RaftAppendResponse)
                }
                RaftVoteRequest::API_KEY => raft!(self, context, body, RaftVoteRequest, RaftVoteResponse),
                RaftPreVoteRequest::API_KEY => {
                    raft!(self, context, body, RaftPreVoteRequest, RaftPreVoteResponse)
                }
                RaftSnapshotRequest::API_KEY => {
                    raft!(self, context, body, RaftSnapshotRequest, RaftSnapshotResponse)
                }
                RaftTransferLeaderRequest::API_KEY => {
                    raft!(self, context, body, RaftTransferLeaderRequest, RaftTransferLeaderResponse)
                }
                RaftIdentifyRequest::API_KEY => {
                    raft!(self, context, body, RaftIdentifyRequest, RaftIdentifyResponse)
                }
                MetadataFetchRequest::API_KEY => {
                    let request = decode(&context, body)?;
                    encode(&context, &metadata_fetch::answer(&self.quorum, &self.cluster_id, request).await)
                }
                m::broker_heartbeat_request::BrokerHeartbeatRequest::API_KEY => {
                    self.heartbeat(context, body).await
                }
                m::broker_registration_request::BrokerRegistrationRequest::API_KEY => {
                    broker_command!(self, context, body, RegisterBroker, BrokerRegistrationResponse)
                }
                m::alter_partition_request::AlterPartitionRequest::API_KEY => {
                    broker_command!(self, context, body, AlterPartition, AlterPartitionResponse)
                }
                m::replica_damage_request::ReplicaDamageRequest::API_KEY => {
                    broker_command!(self, context, body, ReplicaDamage, ReplicaDamageResponse)
                }
                m::allocate_producer_ids_request::AllocateProducerIdsRequest::API_KEY => {
                    broker_command!(self, context, body, AllocateProducerIds, AllocateProducerIdsResponse)
                }
                EnvelopeRequest::API_KEY => self.envelope(context, body).await,
                _ => self.administer(context, body).await,
            }
        })
    }

    /// What clients ask for, forwarded by a broker or sent to this listener.
    async fn administer(&self, context: Context, body: Bytes) -> Answer {
        match context.header.api_key {
            m::api_versions_request::ApiVersionsRequest::API_KEY => {
                encode(&context, &api::api_versions::list(Listener::Controller, ErrorCode::None))
            }
            m::create_topics_request::CreateTopicsRequest::API_KEY => {
                command!(self, context, body, CreateTopics)
            }
            m::delete_topics_request::DeleteTopicsRequest::API_KEY => {
                command!(self, context, body, DeleteTopics)
            }
            m::create_partitions_request::CreatePartitionsRequest::API_KEY => {
                command!(self, context, body, CreatePartitions)
            }
            m::alter_partition_reassignments_request::AlterPartitionReassignmentsRequest::API_KEY => {
                command!(self, context, body, AlterPartitionReassignments)
            }
            m::list_partition_reassignments_request::ListPartitionReassignmentsRequest::API_KEY => {
                command!(self, context, body, ListPartitionReassignments)
            }
            m::alter_configs_request::AlterConfigsRequest::API_KEY => {
                command!(self, context, body, AlterConfigs)
            }
            m::incremental_alter_configs_request::IncrementalAlterConfigsRequest::API_KEY => {
                command!(self, context, body, IncrementalAlterConfigs)
            }
            m::elect_leaders_request::ElectLeadersRequest::API_KEY => {
                command!(self, context, body, ElectLeaders)
            }
            m::begin_disruption_request::BeginDisruptionRequest::API_KEY => {
                let request = decode(&context, body)?;
                let health = quorum_health::probe(&self.quorum).await;
                self.decide(&context, Command::BeginDisruption(request, health)).await
            }
            m::end_disruption_request::EndDisruptionRequest::API_KEY => {
                self.decide(&context, Command::EndDisruption(decode(&context, body)?)).await
            }
            m::describe_disruptions_request::DescribeDisruptionsRequest::API_KEY => {
                let _no_fields: m::describe_disruptions_request::DescribeDisruptionsRequest =
                    decode(&context, body)?;
                let health = quorum_health::recent(&self.quorum);
                self.decide(&context, Command::DescribeDisruptions(health)).await
            }
            m::describe_quorum_request::DescribeQuorumRequest::API_KEY => {
                let status = self.quorum.status().borrow().clone();
                if !status.is_active {
                    return Err(Refusal::NotController);
                }
                encode(
                    &context,
                    &describe_quorum::describe(
                        &status,
                        &self.followers(),
                        &decode(&context, body)?,
                        now_ms(),
                    ),
                )
            }
            m::add_raft_voter_request::AddRaftVoterRequest::API_KEY => {
                let answer = raft_voters::add(&self.quorum, &self.cluster_id, decode(&context, body)?).await;
                encode(&context, &answer.map_err(|_| Refusal::NotController)?)
            }
            m::remove_raft_voter_request::RemoveRaftVoterRequest::API_KEY => {
                let answer =
                    raft_voters::remove(&self.quorum, &self.cluster_id, decode(&context, body)?).await;
                encode(&context, &answer.map_err(|_| Refusal::NotController)?)
            }
            key => Err(Refusal::Malformed(format!("api key {key} is not served here"))),
        }
    }

    /// Brokers that follow the metadata log without being controllers, by their heartbeats.
    fn followers(&self) -> describe_quorum::Followers {
        let (image, status) = (self.quorum.image(), self.quorum.status());
        let (image, status) = (image.borrow().clone(), status.borrow().clone());
        let controllers: Vec<i32> = status.voters.iter().chain(&status.observers).map(|one| one.id).collect();
        let mut followers = self.followers.lock();
        followers.retain(|id, (_, heard)| heard.elapsed() < OBSERVED && image.broker(*id).is_some());
        let told = followers.iter().filter(|(id, _)| !controllers.contains(id));
        let directory =
            |id: &i32| image.broker(*id).and_then(|b| b.directories.first().copied()).unwrap_or_default();
        told.map(|(id, (end, heard))| (*id, directory(id), *end, *heard)).collect()
    }

    /// What the controller says about disruptions.
    async fn decide(&self, context: &Context, command: Command) -> Answer {
        match self.controller.submit(command).await {
            Ok(Reply::BeginDisruption(response)) => encode(context, &response),
            Ok(Reply::EndDisruption(response)) => encode(context, &response),
            Ok(Reply::DescribeDisruptions(response)) => encode(context, &response),
            _ => Err(Refusal::NotController),
        }
    }

    async fn raft(&self, api: i16, cluster_id: &str, target: i32, request: Parcel) -> (ErrorCode, Parcel) {
        if *cluster_id != *self.cluster_id {
            return (ErrorCode::InconsistentClusterId, Parcel::default());
        }
        // Who does not know this node's id yet may ask who it is.
        let is_me = target == self.node_id || target < 0 && api == klamm_quorum::api::IDENTIFY;
        if !is_me {
            return (ErrorCode::InvalidRequest, Parcel::default());
        }
        // Who asked has given up by then. A voter that waits for room on its disk must not keep the connections of all that ask.
        let patience = if api == klamm_quorum::api::SNAPSHOT { SNAPSHOT_PATIENCE } else { RAFT_PATIENCE };
        let handled = tokio::time::timeout(patience, self.quorum.handle_rpc(api, request));
        let handled = handled.await.unwrap_or(Err(QuorumError::TooSlow));
        match handled {
            Ok(answer) => (ErrorCode::None, answer),
            Err(error) => {
                tracing::debug!(%error, api, "raft call refused");
                (ErrorCode::UnknownServerError, Parcel::default())
            }
        }
    }

    async fn heartbeat(&self, context: Context, body: Bytes) -> Answer {
        use m::broker_heartbeat_request::BrokerHeartbeatRequest;
        use m::broker_heartbeat_response::BrokerHeartbeatResponse;
        let request: BrokerHeartbeatRequest = decode(&context, body)?;
        let (id, epoch) = (request.broker_id, request.broker_epoch);
        let applied = request.current_metadata_offset;
        let response = match self.controller.submit(Command::BrokerHeartbeat(request)).await {
            Ok(Reply::BrokerHeartbeat(response)) => response,
            _ => {
                BrokerHeartbeatResponse { error_code: ErrorCode::NotController.code(), ..Default::default() }
            }
        };
        if response.error_code == ErrorCode::None.code() {
            self.liveness.heard(context.peer.connection, id, epoch);
            self.followers.lock().insert(id, (applied.saturating_add(1), Instant::now()));
        }
        encode(&context, &response)
    }

    /// Answers the inner request, in an envelope (58).
    async fn envelope(self: Arc<Self>, context: Context, body: Bytes) -> Answer {
        let request: EnvelopeRequest = decode(&context, body)?;
        let refused =
            |error: ErrorCode| EnvelopeResponse { error_code: error.code(), ..EnvelopeResponse::default() };
        let response = match api::open(request.request_data, &context.peer, Listener::Controller) {
            Ok((inner, api, body)) if api.forwarded => match self.administer(inner, body).await {
                Ok(response) => {
                    EnvelopeResponse { response_data: Some(flatten(response)), ..EnvelopeResponse::default() }
                }
                Err(Refusal::NotController) => refused(ErrorCode::NotController),
                Err(Refusal::Malformed(reason)) => {
                    tracing::info!(%reason, "forwarded request refused");
                    refused(ErrorCode::InvalidRequest)
                }
            },
            _ => refused(ErrorCode::InvalidRequest),
        };
        encode(&context, &response)
    }
}

fn decode<R: Message>(context: &Context, body: Bytes) -> Result<R, Refusal> {
    api::decode(context, body).map_err(Refusal::Malformed)
}

fn encode<M: Message>(context: &Context, response: &M) -> Answer {
    api::encode(context, response).map_err(Refusal::Malformed)
}

/// A response as one buffer, without its size.
fn flatten(response: Response) -> Bytes {
    let mut out = BytesMut::with_capacity(response.size());
    for segment in response.segments {
        if let Segment::Bytes(bytes) = segment {
            out.extend_from_slice(&bytes);
        }
    }
    out.advance(4.min(out.len()));
    out.freeze()
}
