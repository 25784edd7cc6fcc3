//! The group coordinator's runtime: pure shards over the local leaders of `__consumer_offsets`.
//!
//! A shard decides; this module gives it requests and time, writes its records into its partition, and lets its replies
//! go once everything written so far is committed. After a failed write the shard is loaded again: the log has the truth.

mod loader;
mod shard;

use std::collections::HashMap;
use std::sync::Arc;

use klamm_coordinator::{GroupConfig, GroupReply, GroupRequest, RequestContext, partition_for_group};
use klamm_metadata::{Delta, Image};
use klamm_wire::{ErrorCode, Str};
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};

use crate::partition::{Partition, Registry};
use shard::{Message, ShardTask};

/// The topic that holds groups and offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// All shards of this broker.
pub struct Groups {
    config: GroupConfig,
    shards: RwLock<HashMap<i32, Shard>>,
    partitions: RwLock<i32>,
}

/// A shard that runs or loads.
struct Shard {
    leader_epoch: i32,
    requests: mpsc::UnboundedSender<Message>,
}

impl Groups {
    /// No shards yet.
    pub fn new(config: GroupConfig) -> Self {
        Self { config, shards: RwLock::default(), partitions: RwLock::new(0) }
    }

    /// Starts and stops the shards of the offsets partitions whose leadership changed, once the replicas have their roles.
    pub fn follow(&self, node_id: i32, registry: &Registry, delta: &Delta, image: &Image) {
        if let Some(topic) = image.topic(OFFSETS_TOPIC) {
            self.set_partition_count(i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX));
        }
        // A topic that was created again begins with an earlier epoch than its predecessor's shards, which go first.
        let (deleted, changed): (Vec<_>, Vec<_>) =
            delta.partitions.iter().filter(|p| p.topic.name == OFFSETS_TOPIC).partition(|p| p.new.is_none());
        for change in deleted.into_iter().chain(changed) {
            // An image of the past may name this broker although its replica does not lead.
            let led = change.new.as_ref().filter(|p| p.leader == node_id).and_then(|p| {
                let log = registry.get(&change.topic.id, change.partition)?;
                (log.led_epoch() == Some(p.leader_epoch)).then_some((p.leader_epoch, log))
            });
            match led {
                Some((leader_epoch, log)) => self.lead(change.partition, leader_epoch, log),
                None => self.resign(change.partition),
            }
        }
    }

    /// Number of partitions of the offsets topic; 0 before it exists.
    pub fn set_partition_count(&self, count: i32) {
        *self.partitions.write() = count;
    }

    /// This broker leads `partition` of the offsets topic in `leader_epoch`: loads its shard and serves it.
    pub fn lead(&self, partition: i32, leader_epoch: i32, log: Arc<Partition>) {
        let mut shards = self.shards.write();
        if shards.get(&partition).is_some_and(|s| s.leader_epoch >= leader_epoch && !s.requests.is_closed()) {
            return;
        }
        let (requests, inbox) = mpsc::unbounded_channel();
        tokio::spawn(ShardTask::new(self.config.clone(), partition, leader_epoch, log, inbox).run());
        shards.insert(partition, Shard { leader_epoch, requests });
    }

    /// This broker no longer leads `partition`; parked requests are answered NOT_COORDINATOR.
    pub fn resign(&self, partition: i32) {
        self.shards.write().remove(&partition);
    }

    /// Partitions that this broker coordinates.
    pub fn led(&self) -> Vec<i32> {
        self.shards.read().keys().copied().collect()
    }

    /// Asks the shard of the request's group; a shard that is elsewhere or loading answers with that error.
    pub async fn ask(&self, connection: u64, context: RequestContext, request: GroupRequest) -> GroupReply {
        let count = *self.partitions.read();
        let partition =
            request.group_id().filter(|_| count > 0).map_or(-1, |g| partition_for_group(g, count));
        self.ask_shard(partition, connection, context, request).await
    }

    /// Asks one shard.
    pub async fn ask_shard(
        &self,
        partition: i32,
        connection: u64,
        context: RequestContext,
        request: GroupRequest,
    ) -> GroupReply {
        let version = context.version;
        let (reply, answer) = oneshot::channel();
        let sent = self.shards.read().get(&partition).is_some_and(|shard| {
            let message = Message::Request { connection, context, request: Box::new(request.clone()), reply };
            shard.requests.send(message).is_ok()
        });
        let error = match answer.await {
            Ok(Ok(reply)) if sent => return reply,
            Ok(Err(error)) => error,
            _ => ErrorCode::NotCoordinator,
        };
        request.error_reply(version, error)
    }

    /// Removes the committed offsets of deleted topics.
    pub fn topics_deleted(&self, names: &[Str]) {
        for shard in self.shards.read().values() {
            // A shard that has ended forgets with its log.
            drop(shard.requests.send(Message::TopicsDeleted(names.to_vec())));
        }
    }

    /// Drops what the closed connection waits for.
    pub fn connection_closed(&self, connection: u64) {
        for shard in self.shards.read().values() {
            // A shard that has ended needs no notice.
            drop(shard.requests.send(Message::ConnectionClosed(connection)));
        }
    }
}
