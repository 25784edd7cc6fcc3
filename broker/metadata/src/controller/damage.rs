//! A broker whose copy of a partition is damaged gives it up, where others hold what it held.

use klamm_wire::ErrorCode;
use klamm_wire::messages::replica_damage_request::ReplicaDamageRequest;
use klamm_wire::messages::replica_damage_response::ReplicaDamageResponse;

use super::draft::{Draft, PartitionTarget};
use super::heartbeats::registered;
use crate::Partition;

/// Decides ReplicaDamage (1030). The leader epoch rises, also when the leader stays: what it knows of the broker's progress is
/// of records that are about to go.
pub(super) fn report(draft: &mut Draft<'_>, request: &ReplicaDamageRequest) -> ReplicaDamageResponse {
    match give_up(draft, request) {
        Ok(leader_epoch) => ReplicaDamageResponse { leader_epoch, ..Default::default() },
        Err(error) => ReplicaDamageResponse { error_code: error.code(), ..Default::default() },
    }
}

fn give_up(draft: &mut Draft<'_>, request: &ReplicaDamageRequest) -> Result<i32, ErrorCode> {
    registered(draft, request.broker_id, request.broker_epoch)?;
    let (id, index) = (request.broker_id, request.partition_index);
    let topic = draft.image().topic_by_id(request.topic_id).cloned().ok_or(ErrorCode::UnknownTopicId)?;
    let partition = topic.partitions.get(&index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if !partition.replicas.contains(&id) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    if !others_hold_it(draft, partition, id) {
        return Err(ErrorCode::IneligibleReplica);
    }
    let target = PartitionTarget {
        isr: partition.isr.iter().copied().filter(|member| *member != id).collect(),
        lost_tail: Some(id),
        lost_disk: true,
        new_epoch: true,
        ..PartitionTarget::unchanged(&topic, index, partition, draft.rules(&topic.name))
    };
    draft.change_partition(target);
    let topic = draft.image().topic_by_id(request.topic_id).ok_or(ErrorCode::UnknownTopicId)?;
    topic
        .partitions
        .get(&index)
        .map(|partition| partition.leader_epoch)
        .ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// Whether somebody who holds all that is committed can lead without this broker: one in sync, or an eligible leader replica. Those
/// cannot catch up with a leader whose log is damaged behind the high watermark, which would lead alone for ever.
fn others_hold_it(draft: &Draft<'_>, partition: &Partition, id: i32) -> bool {
    let is_active = |member: &i32| draft.image().broker(*member).is_some_and(|broker| broker.is_active());
    partition.isr.iter().chain(&partition.elr).any(|member| *member != id && is_active(member))
}
