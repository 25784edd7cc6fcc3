//! Deleting records (DeleteRecords, 21): the leader moves its log's start, and waits until nobody can bring them back.

use std::sync::Arc;

use klamm_wire::ErrorCode;
use tokio::time::{Instant, timeout_at};

use super::acks::Ack;
use super::error::Refused;
use super::replica::Partition;

/// Records that a leader has deleted.
#[derive(Debug)]
pub struct Deletion {
    /// Everything before was asked to go.
    start: i64,
    /// What to await: all that may be elected without loss have deleted it, too. `None` when they have.
    ack: Option<Ack>,
}

impl Partition {
    /// Deletes what lies before `offset` (-1: everything committed) on this leader. Whoever is elected before
    /// [`Partition::deleted`] has said so may bring it back. May wait for the disk.
    ///
    /// # Errors
    /// `OFFSET_OUT_OF_RANGE` beyond the high watermark, role errors as for a fetch, `POLICY_VIOLATION` when the topic is only
    /// compacted.
    pub fn delete_records(self: &Arc<Self>, offset: i64) -> Result<Deletion, Refused> {
        if !self.settings.load().log.delete {
            return Err(Refused::new(
                ErrorCode::PolicyViolation,
                "the topic's cleanup.policy does not contain delete",
            ));
        }
        self.change(|state, steady_ms, wakeups| {
            state.role.leader()?;
            let start = if offset == -1 { state.high_watermark } else { offset };
            if start < 0 || start > state.high_watermark {
                let message = format!("offset {start} is beyond the high watermark {}", state.high_watermark);
                return Err(Refused::new(ErrorCode::OffsetOutOfRange, message));
            }
            let was = state.log.start_offset();
            if start > was {
                state.log.advance_start_offset(start)?;
                state.start_moved(was, steady_ms, wakeups);
            }
            let is_done = state.role.leader()?.low_watermark() >= start;
            Ok(Deletion { start, ack: (!is_done).then(|| state.acks.wait_deleted(start)) })
        })
    }

    /// Waits until the deletion outlives this leader, and returns the low watermark: the smallest start of the logs of all that
    /// may be elected without loss.
    ///
    /// # Errors
    /// `REQUEST_TIMED_OUT` at the deadline; the deletion goes on, and the same request asks for it again.
    /// `NOT_LEADER_OR_FOLLOWER` or `KAFKA_STORAGE_ERROR` when this broker leads no longer.
    pub async fn deleted(&self, deletion: Deletion, deadline: Instant) -> Result<i64, Refused> {
        if let Some(ack) = deletion.ack {
            match timeout_at(deadline, ack).await {
                Ok(acked) => acked.unwrap_or(Err(ErrorCode::NotLeaderOrFollower))?,
                Err(_) => return Err(ErrorCode::RequestTimedOut.into()),
            }
        }
        let low_watermark = self.state.lock().role.leader().map_or(-1, |leader| leader.low_watermark());
        Ok(low_watermark.max(deletion.start))
    }
}
