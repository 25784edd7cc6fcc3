//! Proposals of leaders to the controller (AlterPartition, key 56), on their way out of this module.

use klamm_replica::AlterPartitionOutcome;
use klamm_wire::ErrorCode;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// One partition's proposal. The receiver batches them, one request under way per broker, and answers each.
#[derive(Debug)]
pub struct AlterPartitionItem {
    /// Topic id.
    pub topic_id: Uuid,
    /// Partition index.
    pub partition: i32,
    /// Leader epoch.
    pub leader_epoch: i32,
    /// Partition epoch that the proposal replaces.
    pub partition_epoch: i32,
    /// Proposed ISR: broker id and broker epoch, -1 when unknown.
    pub new_isr: Vec<(i32, i64)>,
    /// Takes the outcome. [`AlterPartitionOutcome::Retry`] makes the leader propose at once again, so whoever answers it
    /// pauses first.
    pub reply: oneshot::Sender<AlterPartitionOutcome>,
}

/// Where leaders put their proposals.
pub type AlterPartitionSender = mpsc::UnboundedSender<AlterPartitionItem>;

/// The class of an error code in a partition's answer; `None` for success.
pub fn alter_partition_failure(code: ErrorCode) -> Option<AlterPartitionOutcome> {
    match code {
        ErrorCode::None => None,
        ErrorCode::IneligibleReplica | ErrorCode::OperationNotAttempted => {
            Some(AlterPartitionOutcome::Revert)
        }
        ErrorCode::FencedLeaderEpoch
        | ErrorCode::InvalidUpdateVersion
        | ErrorCode::UnknownTopicId
        | ErrorCode::UnknownTopicOrPartition
        | ErrorCode::InvalidRequest
        | ErrorCode::NewLeaderElected => Some(AlterPartitionOutcome::AwaitMetadata),
        _ => Some(AlterPartitionOutcome::Retry),
    }
}
