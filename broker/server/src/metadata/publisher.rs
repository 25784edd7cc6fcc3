//! Carries every new image to those who act on it: partitions, groups, configuration.

use std::sync::Arc;

use klamm_metadata::{Delta, Image};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::group::OFFSETS_TOPIC;
use crate::node::Node;

/// Publishes until `stop` is cancelled. Images between two steps may be skipped: what counts is the newest.
pub async fn run(node: Arc<Node>, mut images: watch::Receiver<Arc<Image>>, stop: CancellationToken) {
    let mut current = Arc::new(Image::empty());
    let mut standing = node.standing.clone();
    let mut strays_are_known = false;
    loop {
        let next = Arc::clone(&images.borrow_and_update());
        if next.offset() > current.offset() {
            publish(&node, &current, &next);
            current = next;
        }
        if !strays_are_known && node.has_caught_up() {
            strays_are_known = true;
            tokio::task::block_in_place(|| node.registry.set_strays_aside());
        }
        tokio::select! {
            changed = images.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            // What it has caught up with may be the last change for a long time.
            Ok(()) = standing.changed(), if !strays_are_known => {}
            () = stop.cancelled() => return,
        }
    }
}

fn publish(node: &Node, old: &Image, new: &Arc<Image>) {
    let delta = Image::diff(old, new);
    debug!(offset = new.offset(), partitions = delta.partitions.len(), "metadata");
    // Opens and renames directories.
    tokio::task::block_in_place(|| node.registry.apply(&delta, new));
    node.set_image(Arc::clone(new));
    lead_groups(node, &delta, new);
    delete_offsets(node, &delta);
    node.note_progress();
}

/// Starts and stops the shards of the offsets partitions whose leadership changed.
fn lead_groups(node: &Node, delta: &Delta, image: &Image) {
    let me = node.config.node_id;
    if let Some(topic) = image.topic(OFFSETS_TOPIC) {
        node.groups.set_partition_count(i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX));
    }
    for change in delta.partitions.iter().filter(|p| p.topic.name == OFFSETS_TOPIC) {
        // An image of the past may name this broker although its replica does not lead.
        let led = change.new.as_ref().filter(|p| p.leader == me).and_then(|p| {
            let log = node.registry.get(&change.topic.id, change.partition)?;
            (log.led_epoch() == Some(p.leader_epoch)).then_some((p.leader_epoch, log))
        });
        match led {
            Some((leader_epoch, log)) => node.groups.lead(change.partition, leader_epoch, log),
            None => node.groups.resign(change.partition),
        }
    }
}

/// Committed offsets of deleted topics go.
fn delete_offsets(node: &Node, delta: &Delta) {
    let names: Vec<_> = delta.deleted_topics.iter().map(|t| klamm_wire::Str::copy_from(&t.name)).collect();
    if !names.is_empty() {
        node.groups.topics_deleted(&names);
    }
}
