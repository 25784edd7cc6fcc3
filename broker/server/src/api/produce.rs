//! Produce (0): one batch a partition, appended at once, answered when it is stored as asked.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use klamm_metadata::Image;
use klamm_wire::messages::produce_request::ProduceRequest;
use klamm_wire::messages::produce_response::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use klamm_wire::{ErrorCode, Str};
use tokio::time::{Instant, timeout_at};
use tracing::debug;
use uuid::Uuid;

use super::metadata::is_internal;
use super::{Context, decode, encode, finish, leader_hint};
use crate::net::connection::{Handled, Outcome};
use crate::node::Node;
use crate::partition::{Ack, Acks, Append, Refused};

/// From this version on topics are named by id (KIP-516).
const TOPIC_IDS_SINCE: i16 = 13;

/// Kafka's tools write to internal topics under this client id.
const ADMIN_CLIENT: &str = "__admin_client";

/// One partition of the request: where its batch lies in the frame.
struct Target {
    topic: usize,
    index: i32,
    records: Option<Range<usize>>,
}

/// A topic of the request, copied out of the frame.
struct Topic {
    name: Str,
    id: Uuid,
}

/// The request without its records.
struct Produced {
    acks: i16,
    timeout: Duration,
    is_transactional: bool,
    /// Whether the client may write to Kafka's own topics.
    may_write_internal: bool,
    topics: Vec<Topic>,
    targets: Vec<Target>,
}

/// A partition's answer in the making.
struct Pending {
    topic: usize,
    response: PartitionProduceResponse,
    ack: Option<Ack>,
}

/// Appends every batch; the answer waits for the acknowledgements.
pub fn handle(node: &Arc<Node>, context: Context, body: Bytes) -> Handled {
    let produced = match take_apart(&context, &body) {
        Ok(produced) => produced,
        Err(reason) => return Handled::Close(reason),
    };
    let context = context.detached();
    // Nothing else refers to the frame now, so its memory can be written to: offsets are stamped where the bytes lie.
    let frame = body.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    let pending = append_all(node, &context, &produced, frame);
    if produced.acks == 0 {
        return unanswered(pending);
    }
    let deadline = Instant::now() + produced.timeout;
    let (node, topics) = (Arc::clone(node), produced.topics);
    if pending.iter().all(|p| p.ack.is_none()) {
        let response = respond(&node, &context, topics, pending);
        return match encode(&context, &response) {
            Ok(response) => Handled::Ready(response),
            Err(reason) => Handled::Close(reason),
        };
    }
    Handled::Pipelined(Box::pin(async move {
        let mut pending = pending;
        for one in &mut pending {
            if let Some(ack) = one.ack.take() {
                settle(&mut one.response, timeout_at(deadline, ack).await.map(Result::ok));
            }
        }
        let response = respond(&node, &context, topics, pending);
        finish(&context, &response)
    }))
}

/// With acks=0 nobody is told: an error closes the connection, and a producer ahead of the disk is slowed down.
fn unanswered(pending: Vec<Pending>) -> Handled {
    if let Some(failed) = pending.iter().find(|p| p.response.error_code != ErrorCode::None.code()) {
        let error = ErrorCode::from_code(failed.response.error_code);
        return Handled::Close(format!(
            "produce with acks=0 to partition {}: {error}",
            failed.response.index
        ));
    }
    let acks: Vec<Ack> = pending.into_iter().filter_map(|p| p.ack).collect();
    if acks.is_empty() {
        return Handled::Nothing;
    }
    Handled::Blocking(Box::pin(async move {
        for ack in acks {
            // Success or not, there is no answer.
            drop(ack.await);
        }
        Outcome::Nothing
    }))
}

fn settle(
    response: &mut PartitionProduceResponse,
    outcome: Result<Option<Result<(), ErrorCode>>, tokio::time::error::Elapsed>,
) {
    let error = match outcome {
        Ok(Some(Ok(()))) => return,
        Ok(Some(Err(error))) => error,
        Ok(None) => ErrorCode::NotLeaderOrFollower,
        Err(_) => ErrorCode::RequestTimedOut,
    };
    *response = PartitionProduceResponse {
        index: response.index,
        error_code: error.code(),
        base_offset: -1,
        ..PartitionProduceResponse::default()
    };
}

/// Decodes the request and lets go of the frame, remembering where each batch lies in it.
fn take_apart(context: &Context, body: &Bytes) -> Result<Produced, String> {
    let request: ProduceRequest = decode(context, body.clone())?;
    let start = body.as_ptr() as usize;
    let mut topics = Vec::with_capacity(request.topic_data.len());
    let mut targets = Vec::new();
    for topic in &request.topic_data {
        for partition in &topic.partition_data {
            let records = partition.records.as_ref().map(|r| {
                let at = (r.as_ptr() as usize).saturating_sub(start);
                at..at + r.len()
            });
            targets.push(Target { topic: topics.len(), index: partition.index, records });
        }
        topics.push(Topic { name: Str::copy_from(&topic.name), id: topic.topic_id });
    }
    Ok(Produced {
        acks: request.acks,
        timeout: Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)),
        is_transactional: request.transactional_id.is_some(),
        may_write_internal: *context.client_id() == *ADMIN_CLIENT,
        topics,
        targets,
    })
}

fn append_all(node: &Node, context: &Context, produced: &Produced, mut frame: BytesMut) -> Vec<Pending> {
    let image = node.image();
    let by_id = context.version() >= TOPIC_IDS_SINCE;
    let mut consumed = 0;
    let mut out = Vec::with_capacity(produced.targets.len());
    for target in &produced.targets {
        let batch = target.records.as_ref().and_then(|range| cut(&mut frame, &mut consumed, range));
        let Some(topic) = produced.topics.get(target.topic) else { continue };
        let outcome = append(node, &image, produced, topic, by_id, target.index, batch);
        out.push(pending(node, target, outcome));
    }
    out
}

/// Takes the bytes of `range` out of the frame; ranges come in order.
fn cut(frame: &mut BytesMut, consumed: &mut usize, range: &Range<usize>) -> Option<BytesMut> {
    let skip = range.start.checked_sub(*consumed)?;
    if skip + range.len() > frame.len() {
        return None;
    }
    drop(frame.split_to(skip));
    let batch = frame.split_to(range.len());
    *consumed = range.end;
    Some(batch)
}

fn append(
    node: &Node,
    image: &Image,
    produced: &Produced,
    topic: &Topic,
    by_id: bool,
    index: i32,
    batch: Option<BytesMut>,
) -> Result<Append, Refused> {
    let acks = Acks::from_wire(produced.acks)?;
    if produced.is_transactional {
        return Err(ErrorCode::InvalidTxnState.into());
    }
    let known = if by_id { image.topic_by_id(topic.id) } else { image.topic(&topic.name) };
    let unknown = if by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
    let known = known.ok_or(unknown)?;
    if is_internal(&known.name) && !produced.may_write_internal {
        let message = format!("cannot append to internal topic {}", known.name);
        return Err(Refused { code: ErrorCode::InvalidTopicException, message });
    }
    if !known.partitions.contains_key(&index) {
        return Err(ErrorCode::UnknownTopicOrPartition.into());
    }
    let partition = node.registry.get(&known.id, index).ok_or(ErrorCode::NotLeaderOrFollower)?;
    let batch = batch.ok_or(ErrorCode::InvalidRecord)?;
    let size = batch.len() as u64;
    let append = partition.append_leader(batch, acks).map_err(|refused| if_it_leads(node, refused))?;
    node.metrics.bytes_in.inc_by(size);
    Ok(append)
}

/// A batch out of sequence makes an idempotent producer begin an epoch and send again what it has under way. A leader that
/// has been replaced and does not know it yet, with an older log, would make it do so although all of it is stored. So only
/// who cannot have been replaced for its silence may say it; others say what they fear to be.
fn if_it_leads(node: &Node, refused: Refused) -> Refused {
    match refused.code {
        ErrorCode::OutOfOrderSequenceNumber if !node.is_sure_to_lead() => {
            ErrorCode::NotLeaderOrFollower.into()
        }
        _ => refused,
    }
}

fn pending(node: &Node, target: &Target, outcome: Result<Append, Refused>) -> Pending {
    let (response, ack) = match outcome {
        Ok(Append { appended, ack }) => {
            let response = PartitionProduceResponse {
                index: target.index,
                base_offset: appended.base_offset,
                log_append_time_ms: appended.log_append_time_ms,
                log_start_offset: appended.log_start_offset,
                ..PartitionProduceResponse::default()
            };
            (response, ack)
        }
        Err(refused) => {
            debug!(partition = target.index, %refused, "produce refused");
            node.metrics.produce_errors.inc();
            let message = (!refused.message.is_empty()).then(|| Str::from(refused.message));
            let response = PartitionProduceResponse {
                index: target.index,
                error_code: refused.code.code(),
                error_message: message,
                base_offset: -1,
                ..PartitionProduceResponse::default()
            };
            (response, None)
        }
    };
    Pending { topic: target.topic, response, ack }
}

fn respond(node: &Node, context: &Context, topics: Vec<Topic>, pending: Vec<Pending>) -> ProduceResponse {
    let image = node.image();
    let by_id = context.version() >= TOPIC_IDS_SINCE;
    let mut leaders = Vec::new();
    let mut responses: Vec<TopicProduceResponse> = topics
        .into_iter()
        .map(|t| TopicProduceResponse { name: t.name, topic_id: t.id, ..TopicProduceResponse::default() })
        .collect();
    for Pending { topic, mut response, .. } in pending {
        let Some(group) = responses.get_mut(topic) else { continue };
        let error = ErrorCode::from_code(response.error_code);
        if error != ErrorCode::None {
            let known = if by_id { image.topic_by_id(group.topic_id) } else { image.topic(&group.name) };
            let hint = known.and_then(|t| leader_hint::leader(&image, &t.name, response.index, error));
            if let Some(leader) = hint {
                response.current_leader = LeaderIdAndEpoch {
                    leader_id: leader.id,
                    leader_epoch: leader.epoch,
                    ..LeaderIdAndEpoch::default()
                };
                leaders.push(leader);
            }
        }
        group.partition_responses.push(response);
    }
    let endpoints = leader_hint::addresses(&image, &context.peer.listener, leaders.into_iter());
    let node_endpoints = endpoints.into_iter().map(|a| NodeEndpoint {
        node_id: a.id,
        host: a.host,
        port: a.port,
        rack: a.rack,
        ..NodeEndpoint::default()
    });
    ProduceResponse { responses, node_endpoints: node_endpoints.collect(), ..ProduceResponse::default() }
}
