//! Carries reports of damaged copies to the controller (ReplicaDamage 1030), one after another.

use std::sync::Arc;
use std::time::Duration;

use klamm_wire::messages::replica_damage_request::ReplicaDamageRequest;
use klamm_wire::{ErrorCode, Message};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::controller::channel::Channel;
use crate::node::Node;
use crate::partition::DamageReport;

/// Time after which an unanswered request is sent again.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before a request that failed is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Sends reports until `stop` is cancelled.
pub async fn run(
    node: Arc<Node>,
    mut channel: Channel,
    mut inbox: mpsc::UnboundedReceiver<DamageReport>,
    stop: CancellationToken,
) {
    loop {
        let report = tokio::select! {
            report = inbox.recv() => report,
            () = stop.cancelled() => return,
        };
        let Some(report) = report else { return };
        let answer = tokio::select! {
            answer = ask(&node, &mut channel, &report) => answer,
            () = stop.cancelled() => return,
        };
        // The replica may be gone meanwhile.
        let _ = report.reply.send(answer);
    }
}

async fn ask(node: &Node, channel: &mut Channel, report: &DamageReport) -> Option<i32> {
    loop {
        let request = ReplicaDamageRequest {
            broker_id: node.config.node_id,
            broker_epoch: node.standing.borrow().broker_epoch,
            topic_id: report.topic_id,
            partition_index: report.partition,
            ..ReplicaDamageRequest::default()
        };
        match channel.call(ReplicaDamageRequest::MAX, &request, |r| r.error_code, TIMEOUT).await {
            Ok(response) if response.error_code == ErrorCode::None.code() => {
                return Some(response.leader_epoch);
            }
            Ok(response) => {
                let error = ErrorCode::from_code(response.error_code);
                if error != ErrorCode::StaleBrokerEpoch {
                    warn!(%error, partition = report.partition, "a damaged copy cannot be given up now");
                    return None;
                }
            }
            Err(error) => debug!(%error, "damage not reported"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}
