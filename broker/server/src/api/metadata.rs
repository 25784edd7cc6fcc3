//! Metadata (3): brokers, topics, leaders; creates topics that a client asks for when that is allowed.

use std::sync::Arc;

use klamm_metadata::controller::validate_topic_name;
use klamm_metadata::{Image, Topic};
use klamm_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use klamm_wire::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use klamm_wire::{ErrorCode, Str};
use uuid::Uuid;

use super::Context;
use crate::group::OFFSETS_TOPIC;
use crate::node::Node;

/// Answers from the image.
pub async fn handle(node: Arc<Node>, context: Context, request: MetadataRequest) -> MetadataResponse {
    let version = context.version();
    let image = node.image();
    let wanted = wanted(&image, request.topics, version);
    let missing: Vec<Str> = wanted.iter().filter_map(|w| w.missing_name(&image)).collect();
    let create = request.allow_auto_topic_creation && node.settings.auto_create_topics && !missing.is_empty();
    let refused = if create { node.topic_creator.create(missing).await } else { Vec::new() };
    let image = if create { node.image() } else { image };
    let topics = wanted
        .into_iter()
        .map(|w| match w.find(&image) {
            Some(topic) => describe(&image, &context.peer.listener, topic),
            None => w.unknown(create, &refused),
        })
        .collect();
    MetadataResponse {
        brokers: brokers(&image, &context.peer.listener),
        cluster_id: Some(node.cluster_id.clone()),
        controller_id: node.active_controller().unwrap_or_else(|| any_broker(&image)),
        topics,
        ..MetadataResponse::default()
    }
}

/// One topic that the client asked for.
enum Wanted {
    Name(Str),
    Id(Uuid),
}

/// `null` (or an empty list at version 0) asks for every topic.
fn wanted(image: &Image, topics: Option<Vec<MetadataRequestTopic>>, version: i16) -> Vec<Wanted> {
    match topics {
        Some(list) if !(version == 0 && list.is_empty()) => list
            .into_iter()
            .map(|t| match t.name {
                // An id counts more than a name; some clients send an empty name beside it.
                Some(name) if t.topic_id.is_nil() => Wanted::Name(name),
                _ => Wanted::Id(t.topic_id),
            })
            .collect(),
        _ => image.topics().map(|t| Wanted::Id(t.id)).collect(),
    }
}

impl Wanted {
    fn find<'a>(&self, image: &'a Image) -> Option<&'a Arc<Topic>> {
        match self {
            Self::Name(name) => image.topic(name),
            Self::Id(id) => image.topic_by_id(*id),
        }
    }

    fn missing_name(&self, image: &Image) -> Option<Str> {
        match self {
            Self::Name(name) if image.topic(name).is_none() => Some(name.clone()),
            _ => None,
        }
    }

    /// The entry of a topic that is not there: unknown, or the reason why it could not be created.
    fn unknown(self, creating: bool, refused: &[(Str, ErrorCode)]) -> MetadataResponseTopic {
        let (name, topic_id, error) = match self {
            Self::Name(name) => {
                let reason = refused.iter().find(|(n, _)| *n == name).map(|(_, e)| *e);
                let pending =
                    if creating { ErrorCode::LeaderNotAvailable } else { ErrorCode::UnknownTopicOrPartition };
                let invalid = validate_topic_name(&name).is_err();
                let error =
                    if invalid { ErrorCode::InvalidTopicException } else { reason.unwrap_or(pending) };
                (Some(name), Uuid::nil(), error)
            }
            Self::Id(id) => (None, id, ErrorCode::UnknownTopicId),
        };
        MetadataResponseTopic { error_code: error.code(), name, topic_id, ..MetadataResponseTopic::default() }
    }
}

fn describe(image: &Image, listener: &str, topic: &Topic) -> MetadataResponseTopic {
    let partitions = topic.partitions.iter().map(|(index, p)| {
        let reachable =
            p.leader >= 0 && image.broker(p.leader).is_some_and(|b| b.listener(listener).is_some());
        MetadataResponsePartition {
            error_code: if reachable { ErrorCode::None } else { ErrorCode::LeaderNotAvailable }.code(),
            partition_index: *index,
            leader_id: if reachable { p.leader } else { -1 },
            leader_epoch: p.leader_epoch,
            replica_nodes: p.replicas.clone(),
            isr_nodes: p.isr.clone(),
            offline_replicas: offline(image, &p.replicas),
            ..MetadataResponsePartition::default()
        }
    });
    MetadataResponseTopic {
        name: Some(Str::copy_from(&topic.name)),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions: partitions.collect(),
        ..MetadataResponseTopic::default()
    }
}

/// Replicas whose broker is fenced or unknown.
pub fn offline(image: &Image, replicas: &[i32]) -> Vec<i32> {
    replicas.iter().copied().filter(|id| image.broker(*id).is_none_or(|b| b.fenced)).collect()
}

fn brokers(image: &Image, listener: &str) -> Vec<MetadataResponseBroker> {
    let live = image.brokers().filter(|b| !b.fenced);
    live.filter_map(|b| {
        let endpoint = b.listener(listener)?;
        Some(MetadataResponseBroker {
            node_id: b.id,
            host: Str::copy_from(&endpoint.host),
            port: i32::from(endpoint.port),
            rack: b.rack.as_deref().map(Str::copy_from),
            ..MetadataResponseBroker::default()
        })
    })
    .collect()
}

/// Clients send admin requests to the "controller"; any broker forwards them.
fn any_broker(image: &Image) -> i32 {
    image.brokers().find(|b| !b.fenced).map_or(-1, |b| b.id)
}

/// Whether clients should leave the topic alone.
pub fn is_internal(topic: &str) -> bool {
    matches!(topic, OFFSETS_TOPIC | "__transaction_state")
}
