//! Carries every new image to those who act on it: partitions, groups, configuration.

use std::sync::Arc;

use klamm_metadata::{Delta, Image};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

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
    node.groups.follow(node.config.node_id, &node.registry, &delta, new);
    delete_offsets(node, &delta);
    node.note_progress();
}

/// Committed offsets of deleted topics go.
fn delete_offsets(node: &Node, delta: &Delta) {
    let names: Vec<_> = delta.deleted_topics.iter().map(|t| klamm_wire::Str::copy_from(&t.name)).collect();
    if !names.is_empty() {
        node.groups.topics_deleted(&names);
    }
}
