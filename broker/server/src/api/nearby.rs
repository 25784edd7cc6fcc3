//! Which follower a leader sends a consumer to: an in-sync one in the consumer's rack (KIP-392).

use klamm_metadata::Image;

use super::sessions::{TopicKey, Wanted};
use crate::node::Node;

/// The follower, if this broker leads the partition and is not in that rack itself. It must be reachable where the consumer
/// came in, on a listener of this name.
pub(super) fn replica(
    node: &Node,
    image: &Image,
    wanted: &Wanted,
    rack: &str,
    listener: &str,
) -> Option<i32> {
    if node.config.rack.as_deref() == Some(rack) {
        return None;
    }
    let topic = match &wanted.topic {
        TopicKey::Name(name) => image.topic(name),
        TopicKey::Id(id) => image.topic_by_id(*id),
    };
    let partition = node.registry.get(&topic?.id, wanted.partition)?;
    partition.nearby_replica(wanted.fetch_offset, |id| {
        image.broker(id).is_some_and(|broker| {
            !broker.fenced && broker.rack.as_deref() == Some(rack) && broker.listener(listener).is_some()
        })
    })
}
