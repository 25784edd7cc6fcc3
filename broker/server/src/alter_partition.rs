//! Carries leaders' ISR proposals to the controller (AlterPartition 56): one request in flight, everything that waits
//! meanwhile in the next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use klamm_replica::AlterPartitionOutcome;
use klamm_wire::messages::alter_partition_request::{
    AlterPartitionRequest, BrokerState, PartitionData, TopicData,
};
use klamm_wire::messages::alter_partition_response::{
    AlterPartitionResponse, PartitionData as PartitionAnswer,
};
use klamm_wire::{ErrorCode, Message};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::controller::channel::Channel;
use crate::node::Node;
use crate::partition::{AlterPartitionItem, alter_partition_failure};

/// Proposals of one request.
const MAX_BATCH: usize = 1_000;
/// Time after which an unanswered request is sent again.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before a leader is told to try again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Sends proposals until `stop` is cancelled.
pub async fn run(
    node: Arc<Node>,
    mut channel: Channel,
    mut inbox: mpsc::UnboundedReceiver<AlterPartitionItem>,
    stop: CancellationToken,
) {
    let mut batch = Vec::new();
    loop {
        let received = tokio::select! {
            received = inbox.recv_many(&mut batch, MAX_BATCH) => received,
            () = stop.cancelled() => return,
        };
        if received == 0 {
            return;
        }
        let request = request(&node, &batch);
        let answer = channel.call(AlterPartitionRequest::MAX, &request, |r| r.error_code, TIMEOUT).await;
        match answer {
            Ok(response) if response.error_code == ErrorCode::None.code() => {
                settle(batch.drain(..), response)
            }
            Ok(response) => {
                warn!(error = %ErrorCode::from_code(response.error_code), "the controller refused ISR changes");
                tokio::time::sleep(RETRY_PAUSE).await;
                retry(batch.drain(..));
            }
            Err(error) => {
                debug!(%error, "ISR changes not sent");
                retry(batch.drain(..));
            }
        }
    }
}

fn request(node: &Node, batch: &[AlterPartitionItem]) -> AlterPartitionRequest {
    let mut topics: HashMap<Uuid, Vec<PartitionData>> = HashMap::new();
    for item in batch {
        let new_isr = item.new_isr.iter().map(|(broker_id, broker_epoch)| BrokerState {
            broker_id: *broker_id,
            broker_epoch: *broker_epoch,
            ..BrokerState::default()
        });
        topics.entry(item.topic_id).or_default().push(PartitionData {
            partition_index: item.partition,
            leader_epoch: item.leader_epoch,
            partition_epoch: item.partition_epoch,
            new_isr_with_epochs: new_isr.collect(),
            ..PartitionData::default()
        });
    }
    let topics = topics.into_iter().map(|(topic_id, partitions)| TopicData {
        topic_id,
        partitions,
        ..TopicData::default()
    });
    AlterPartitionRequest {
        broker_id: node.config.node_id,
        broker_epoch: node.standing.borrow().broker_epoch,
        topics: topics.collect(),
        ..AlterPartitionRequest::default()
    }
}

fn settle(batch: impl Iterator<Item = AlterPartitionItem>, response: AlterPartitionResponse) {
    let mut answers: HashMap<(Uuid, i32), PartitionAnswer> = HashMap::new();
    for topic in response.topics {
        for partition in topic.partitions {
            answers.insert((topic.topic_id, partition.partition_index), partition);
        }
    }
    for item in batch {
        let outcome = match answers.remove(&(item.topic_id, item.partition)) {
            Some(answer) => outcome(&answer),
            None => AlterPartitionOutcome::Retry,
        };
        // The leader may have resigned meanwhile.
        drop(item.reply.send(outcome));
    }
}

fn outcome(answer: &PartitionAnswer) -> AlterPartitionOutcome {
    alter_partition_failure(ErrorCode::from_code(answer.error_code)).unwrap_or_else(|| {
        AlterPartitionOutcome::Committed {
            leader_epoch: answer.leader_epoch,
            partition_epoch: answer.partition_epoch,
            isr: answer.isr.clone(),
        }
    })
}

fn retry(batch: impl Iterator<Item = AlterPartitionItem>) {
    for item in batch {
        // The leader may have resigned meanwhile.
        drop(item.reply.send(AlterPartitionOutcome::Retry));
    }
}
