//! What all replicas of a log directory share.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::error;

use super::alter::AlterPartitionSender;
use super::checkpoints::CheckpointFiles;
use super::damage::{DamageSender, Suspects};
use super::engine::Engine;
use super::fetcher::{Fetchers, Follow};
use super::replica::Partition;
use super::throttle::Throttle;

/// Shared by all replicas.
pub(super) struct Shared {
    pub node_id: i32,
    pub throttle: Throttle,
    /// Consumers may be sent to followers (`replica.selector.class`): a follower is told at once of a high watermark that
    /// moved.
    pub tells_high_watermark: bool,
    pub engine: Arc<Engine>,
    pub alter_partition: AlterPartitionSender,
    pub damage: DamageSender,
    pub suspects: Suspects,
    pub runtime: Handle,
    pub fetchers: Fetchers,
    pub checkpoints: CheckpointFiles,
    /// Why the log directory failed, once it has.
    pub failure: watch::Sender<Option<String>>,
}

impl Shared {
    pub(super) fn follow(&self, partition: &Arc<Partition>, follow: Follow) {
        self.fetchers.follow(partition, follow);
    }

    /// The directory cannot be trusted any more; that is final.
    pub(super) fn fail_directory(&self, reason: String) {
        error!(%reason, "log directory offline");
        self.failure.send_if_modified(|failure| {
            let is_first = failure.is_none();
            failure.get_or_insert(reason);
            is_first
        });
    }
}
