//! Client requests: one file per API. Dispatch, versions and names all come from `klamm_wire::catalogue`.

pub mod api_versions;
mod configs;
mod delete_records;
mod describe_cluster;
mod describe_log_dirs;
mod describe_topic_partitions;
mod fetch;
mod find_coordinator;
mod forwarded;
mod groups;
mod init_producer_id;
mod leader_hint;
mod list_offsets;
mod metadata;
mod nearby;
mod offset_for_leader_epoch;
mod produce;
pub mod sessions;

use std::future::Future;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use klamm_wire::catalogue::{self, Api, Listener};
use klamm_wire::{Decoder, Message, Request, RequestHeader, Str};

use crate::net::connection::{Handled, Outcome, Peer, Service};
use crate::net::{FileRange, Response};
use crate::node::Node;

/// What a handler knows about the request besides its body.
#[derive(Clone)]
pub struct Context {
    /// The request header.
    pub header: RequestHeader,
    /// Who sent it.
    pub peer: Peer,
}

impl Context {
    /// Client id, or an empty string.
    pub fn client_id(&self) -> Str {
        self.header.client_id.clone().unwrap_or_default()
    }

    /// API version of the request.
    pub fn version(&self) -> i16 {
        self.header.api_version
    }

    /// The same without a reference to the request's frame.
    pub fn detached(mut self) -> Self {
        self.header.client_id = self.header.client_id.map(|id| Str::copy_from(&id));
        self
    }
}

/// The broker's client-facing service.
pub struct BrokerService {
    node: Arc<Node>,
}

impl BrokerService {
    /// Serves clients of `node`.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }
}

impl Service for BrokerService {
    fn handle(&self, frame: BytesMut, peer: &Peer) -> Handled {
        let frame = frame.freeze();
        match open(frame.clone(), peer, Listener::Broker) {
            Ok((context, api, body)) => {
                self.node.metrics.request(api.name);
                if api.forwarded {
                    return forwarded::handle(Arc::clone(&self.node), context, frame);
                }
                // Only the body refers to the frame from here on: a leader stamps produced batches in place.
                drop(frame);
                dispatch(&self.node, context, body)
            }
            Err(handled) => handled,
        }
    }

    fn closed(&self, peer: &Peer) {
        self.node.groups.connection_closed(peer.connection);
    }
}

/// Reads the header and checks that the API is served at that version on this listener.
pub fn open(
    frame: Bytes,
    peer: &Peer,
    listener: Listener,
) -> Result<(Context, &'static Api, Bytes), Handled> {
    let mut decoder = Decoder::new(frame);
    let header = klamm_wire::decode_request_header(&mut decoder)
        .map_err(|e| Handled::Close(format!("malformed request header: {e}")))?;
    let api = catalogue::api(header.api_key).filter(|api| api.listeners.contains(listener));
    let Some(api) = api else {
        return Err(Handled::Close(format!("unsupported api key {}{}", header.api_key, sender(&header))));
    };
    let context = Context { header, peer: peer.clone() };
    let version = context.version();
    if version < api.min || version > api.max {
        if api.key == api_versions::KEY {
            return Err(api_versions::unsupported_version(&context, listener));
        }
        let (min, max) = (api.min, api.max);
        let reason = format!(
            "unsupported version {version} of {}: {min} to {max} are served{}",
            api.name,
            sender(&context.header)
        );
        return Err(Handled::Close(reason));
    }
    Ok((context, api, decoder.into_remaining()))
}

fn sender(header: &RequestHeader) -> String {
    let client = header.client_id.as_deref().unwrap_or("");
    format!(" (api key {}, version {}, client id {client:?})", header.api_key, header.api_version)
}

fn dispatch(node: &Arc<Node>, context: Context, body: Bytes) -> Handled {
    use klamm_wire::messages as m;
    let shared = Arc::clone(node);
    match context.header.api_key {
        m::produce_request::ProduceRequest::API_KEY => produce::handle(node, context, body),
        m::fetch_request::FetchRequest::API_KEY => fetch::handle(node, context, body),
        m::list_offsets_request::ListOffsetsRequest::API_KEY => {
            later(context, body, move |_, request| list_offsets::handle(shared, request))
        }
        m::metadata_request::MetadataRequest::API_KEY => {
            later(context, body, move |context, request| metadata::handle(shared, context, request))
        }
        m::api_versions_request::ApiVersionsRequest::API_KEY => {
            ready(context, body, |context, request| api_versions::handle(node, context, &request))
        }
        m::find_coordinator_request::FindCoordinatorRequest::API_KEY => {
            later(context, body, move |context, request| find_coordinator::handle(shared, context, request))
        }
        m::init_producer_id_request::InitProducerIdRequest::API_KEY => {
            later(context, body, move |_, request| init_producer_id::handle(shared, request))
        }
        m::offset_for_leader_epoch_request::OffsetForLeaderEpochRequest::API_KEY => {
            ready(context, body, |_, request| offset_for_leader_epoch::handle(node, request))
        }
        m::delete_records_request::DeleteRecordsRequest::API_KEY => {
            later(context, body, move |_, request| delete_records::handle(shared, request))
        }
        m::describe_configs_request::DescribeConfigsRequest::API_KEY => {
            ready(context, body, |context, request| configs::describe(node, context, request))
        }
        m::describe_cluster_request::DescribeClusterRequest::API_KEY => {
            ready(context, body, |context, request| describe_cluster::handle(node, context, &request))
        }
        m::describe_topic_partitions_request::DescribeTopicPartitionsRequest::API_KEY => {
            ready(context, body, |_, request| describe_topic_partitions::handle(node, request))
        }
        m::describe_log_dirs_request::DescribeLogDirsRequest::API_KEY => {
            ready(context, body, |_, request| describe_log_dirs::handle(node, &request))
        }
        _ => groups::dispatch(node, context, body),
    }
}

/// Decodes, answers at once.
pub fn ready<R: Request>(
    context: Context,
    body: Bytes,
    handler: impl FnOnce(&Context, R) -> R::Response,
) -> Handled {
    match decode::<R>(&context, body) {
        Ok(request) => match encode(&context, &handler(&context, request)) {
            Ok(response) => Handled::Ready(response),
            Err(reason) => Handled::Close(reason),
        },
        Err(reason) => Handled::Close(reason),
    }
}

/// Decodes, answers when the future ends; following requests of the connection wait.
pub fn later<R, F>(context: Context, body: Bytes, handler: impl FnOnce(Context, R) -> F) -> Handled
where
    R: Request,
    F: Future<Output = R::Response> + Send + 'static,
{
    match decode::<R>(&context, body) {
        Ok(request) => {
            let answer = handler(context.clone(), request);
            Handled::Blocking(Box::pin(async move { finish(&context, &answer.await) }))
        }
        Err(reason) => Handled::Close(reason),
    }
}

/// Decodes a body at the header's version. What follows it is ignored, as Kafka does: librdkafka sends a few bytes more
/// with some requests for metadata.
pub fn decode<R: Message>(context: &Context, body: Bytes) -> Result<R, String> {
    R::decode(&mut Decoder::new(body), context.version())
        .map_err(|e| format!("malformed request: {e}{}", sender(&context.header)))
}

/// Encodes a response without file ranges.
pub fn encode<M: Message>(context: &Context, response: &M) -> Result<Response, String> {
    encode_with_files(context, response, Vec::new())
}

/// Encodes a response whose records refer to `files`.
pub fn encode_with_files<M: Message>(
    context: &Context,
    response: &M,
    files: Vec<FileRange>,
) -> Result<Response, String> {
    let header = &context.header;
    klamm_wire::encode_response_frame(header.api_key, header.api_version, header.correlation_id, response)
        .map(|segments| Response { segments, files })
        .map_err(|e| format!("cannot encode the response: {e}{}", sender(header)))
}

/// Encodes the end of a request that took time.
pub fn finish<M: Message>(context: &Context, response: &M) -> Outcome {
    match encode(context, response) {
        Ok(response) => Outcome::Respond(response),
        Err(reason) => Outcome::Close(reason),
    }
}
