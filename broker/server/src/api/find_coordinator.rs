//! FindCoordinator (10): the broker that leads a group's partition of `__consumer_offsets`.

use std::sync::Arc;

use klamm_coordinator::partition_for_group;
use klamm_metadata::Image;
use klamm_wire::messages::find_coordinator_request::FindCoordinatorRequest;
use klamm_wire::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use klamm_wire::{ErrorCode, Str};

use super::Context;
use crate::group::OFFSETS_TOPIC;
use crate::node::Node;

/// Key type of consumer groups; transactions (1) and share groups (2) have no coordinator here.
const GROUP: i8 = 0;

/// Creates `__consumer_offsets` on the first request of a cluster and waits for its leaders.
pub async fn handle(
    node: Arc<Node>,
    context: Context,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let batched = context.version() >= 4;
    let keys = if batched { request.coordinator_keys } else { vec![request.key] };
    if request.key_type == GROUP && node.image().topic(OFFSETS_TOPIC).is_none() {
        node.topic_creator.create_and_wait(Str::from(OFFSETS_TOPIC)).await;
    }
    let image = node.image();
    let found: Vec<Coordinator> =
        keys.into_iter().map(|key| locate(&image, &context.peer.listener, key, request.key_type)).collect();
    if batched {
        return FindCoordinatorResponse { coordinators: found, ..FindCoordinatorResponse::default() };
    }
    let one = found.into_iter().next().unwrap_or_default();
    FindCoordinatorResponse {
        error_code: one.error_code,
        error_message: one.error_message,
        node_id: one.node_id,
        host: one.host,
        port: one.port,
        ..FindCoordinatorResponse::default()
    }
}

fn locate(image: &Image, listener: &str, key: Str, key_type: i8) -> Coordinator {
    if key_type != GROUP {
        let text = "only consumer groups (key type 0) have a coordinator here";
        return failed(key, ErrorCode::InvalidRequest, text);
    }
    let endpoint = image.topic(OFFSETS_TOPIC).and_then(|topic| {
        let index = partition_for_group(&key, i32::try_from(topic.partitions.len()).ok()?);
        let leader = topic.partitions.get(&index)?.leader;
        let broker = image.broker(leader).filter(|b| !b.fenced)?;
        Some((leader, broker.listener(listener)?.clone()))
    });
    match endpoint {
        Some((node_id, endpoint)) => Coordinator {
            key,
            node_id,
            host: Str::from(endpoint.host),
            port: i32::from(endpoint.port),
            ..Coordinator::default()
        },
        None => failed(
            key,
            ErrorCode::CoordinatorNotAvailable,
            "the group's partition of __consumer_offsets has no leader",
        ),
    }
}

fn failed(key: Str, error: ErrorCode, message: &'static str) -> Coordinator {
    Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code: error.code(),
        error_message: Some(Str::from(message)),
        ..Coordinator::default()
    }
}
