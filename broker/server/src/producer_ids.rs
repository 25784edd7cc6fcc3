//! Producer ids: blocks from the controller (AllocateProducerIds 67), ids from the block.

use std::ops::Range;
use std::time::Duration;

use klamm_wire::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use klamm_wire::{ErrorCode, Message};
use tokio::sync::{Mutex, watch};
use tracing::warn;

use crate::controller::channel::Channel;
use crate::lifecycle::Standing;

/// How long a client waits for a new block.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Hands out producer ids that no other broker hands out.
pub struct ProducerIds {
    node_id: i32,
    standing: watch::Receiver<Standing>,
    state: Mutex<(Range<i64>, Channel)>,
}

impl ProducerIds {
    /// Starts without a block.
    pub fn new(node_id: i32, standing: watch::Receiver<Standing>, channel: Channel) -> Self {
        Self { node_id, standing, state: Mutex::new((0..0, channel)) }
    }

    /// The next id; fetches a block when the last one is used up.
    ///
    /// # Errors
    /// `COORDINATOR_LOAD_IN_PROGRESS`, which clients retry, when no controller gives a block in time.
    pub async fn next(&self) -> Result<i64, ErrorCode> {
        let mut state = self.state.lock().await;
        let (block, channel) = &mut *state;
        if let Some(id) = block.next() {
            return Ok(id);
        }
        let request = AllocateProducerIdsRequest {
            broker_id: self.node_id,
            broker_epoch: self.standing.borrow().broker_epoch,
            ..AllocateProducerIdsRequest::default()
        };
        let version = AllocateProducerIdsRequest::MAX;
        match channel.call(version, &request, |r| r.error_code, TIMEOUT).await {
            Ok(r) if r.error_code == 0 && r.producer_id_len > 0 => {
                *block =
                    r.producer_id_start..r.producer_id_start.saturating_add(i64::from(r.producer_id_len));
                block.next().ok_or(ErrorCode::UnknownServerError)
            }
            Ok(r) => {
                warn!(error = %ErrorCode::from_code(r.error_code), "no block of producer ids");
                Err(ErrorCode::CoordinatorLoadInProgress)
            }
            Err(error) => {
                warn!(%error, "no block of producer ids");
                Err(ErrorCode::CoordinatorLoadInProgress)
            }
        }
    }
}
