//! AlterPartition: a leader proposes another ISR (KIP-497, eligibility by broker epoch KIP-903).

use std::collections::BTreeSet;

use klamm_wire::ErrorCode;
use klamm_wire::messages::alter_partition_request::{
    AlterPartitionRequest, PartitionData as PartitionRequest, TopicData as TopicRequest,
};
use klamm_wire::messages::alter_partition_response::{
    AlterPartitionResponse, PartitionData as PartitionAnswer, TopicData as TopicAnswer,
};
use klamm_wire::messages::partition_change_record::PartitionChangeRecord;

use super::draft::{Draft, PartitionTarget};
use super::heartbeats::registered;
use super::isr::{RECOVERED, RECOVERING};
use crate::mutation::{Mutation, is_active};
use crate::{Partition, Topic};

/// Decides AlterPartition (56).
pub(super) fn alter(draft: &mut Draft<'_>, request: &AlterPartitionRequest) -> AlterPartitionResponse {
    if let Err(error) = registered(draft, request.broker_id, request.broker_epoch) {
        return AlterPartitionResponse { error_code: error.code(), ..Default::default() };
    }
    let topics = request.topics.iter().map(|topic| alter_topic(draft, request.broker_id, topic)).collect();
    AlterPartitionResponse { topics, ..Default::default() }
}

fn alter_topic(draft: &mut Draft<'_>, sender: i32, request: &TopicRequest) -> TopicAnswer {
    let answer = |(index, result): (i32, Result<Partition, ErrorCode>)| match result {
        Ok(partition) => PartitionAnswer {
            partition_index: index,
            leader_id: partition.leader,
            leader_epoch: partition.leader_epoch,
            isr: partition.isr,
            leader_recovery_state: partition.leader_recovery_state,
            partition_epoch: partition.partition_epoch,
            ..PartitionAnswer::default()
        },
        Err(error) => {
            PartitionAnswer { partition_index: index, error_code: error.code(), ..PartitionAnswer::default() }
        }
    };
    let altered = request.partitions.iter().map(|proposal| {
        (proposal.partition_index, alter_partition(draft, sender, request.topic_id, proposal))
    });
    let partitions = altered.map(answer).collect();
    TopicAnswer { topic_id: request.topic_id, partitions, ..TopicAnswer::default() }
}

/// The partition as it is after the proposal.
fn alter_partition(
    draft: &mut Draft<'_>,
    sender: i32,
    topic_id: uuid::Uuid,
    proposal: &PartitionRequest,
) -> Result<Partition, ErrorCode> {
    let index = proposal.partition_index;
    let topic = draft.image().topic_by_id(topic_id).cloned().ok_or(ErrorCode::UnknownTopicId)?;
    let partition = find(&topic, index)?;
    check_epochs(partition, sender, proposal)?;
    let members = proposed_isr(proposal);
    if let Err(error) = check_isr(draft, partition, proposal, &members) {
        if error == ErrorCode::IneligibleReplica && !is_active(Mutation::RefusalKeepsEpoch) {
            // The leader takes it back. A copy that is still on its way must not find all members eligible again.
            draft.push(PartitionChangeRecord { partition_id: index, topic_id, ..Default::default() });
        }
        return Err(error);
    }
    let target = PartitionTarget {
        isr: members.iter().map(|(id, _)| *id).collect(),
        recovered: proposal.leader_recovery_state == RECOVERED,
        ..PartitionTarget::unchanged(&topic, index, partition, draft.rules(&topic.name))
    };
    draft.change_partition(target);
    let topic = draft.image().topic_by_id(topic_id).ok_or(ErrorCode::UnknownTopicId)?;
    let changed = find(topic, index)?;
    if changed.leader == sender {
        Ok(changed.clone())
    } else {
        // A proposal that completes a reassignment may end the leadership of who made it. It counts all the same.
        Err(ErrorCode::NewLeaderElected)
    }
}

fn find(topic: &Topic, index: i32) -> Result<&Partition, ErrorCode> {
    topic.partitions.get(&index).map(|partition| &**partition).ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// Broker ids with their epochs; -1, as in version 2, is an epoch that the leader does not know.
fn proposed_isr(proposal: &PartitionRequest) -> Vec<(i32, i64)> {
    if proposal.new_isr_with_epochs.is_empty() {
        proposal.new_isr.iter().map(|id| (*id, -1)).collect()
    } else {
        proposal.new_isr_with_epochs.iter().map(|member| (member.broker_id, member.broker_epoch)).collect()
    }
}

fn check_epochs(partition: &Partition, sender: i32, proposal: &PartitionRequest) -> Result<(), ErrorCode> {
    // An epoch from the future was given out by a newer controller than this one.
    if proposal.leader_epoch > partition.leader_epoch || proposal.partition_epoch > partition.partition_epoch
    {
        return Err(ErrorCode::NotController);
    }
    if proposal.leader_epoch < partition.leader_epoch {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if sender != partition.leader {
        return Err(ErrorCode::InvalidRequest);
    }
    let is_stale = proposal.partition_epoch < partition.partition_epoch;
    if is_stale && !is_active(Mutation::StalePartitionEpochAccepted) {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    Ok(())
}

fn check_isr(
    draft: &Draft<'_>,
    partition: &Partition,
    proposal: &PartitionRequest,
    members: &[(i32, i64)],
) -> Result<(), ErrorCode> {
    let ids: BTreeSet<i32> = members.iter().map(|(id, _)| *id).collect();
    let sound = ids.len() == members.len()
        && ids.contains(&partition.leader)
        && ids.iter().all(|id| partition.replicas.contains(id));
    if !sound || !recovery_is_sound(partition, proposal.leader_recovery_state, ids.len()) {
        return Err(ErrorCode::InvalidRequest);
    }
    // A registration from the future, too: this controller was replaced and must not refuse what its successor accepts.
    let is_future =
        |(id, epoch): &(i32, i64)| draft.image().broker(*id).is_none_or(|broker| *epoch > broker.epoch);
    if members.iter().any(is_future) {
        return Err(ErrorCode::NotController);
    }
    if members.iter().all(|(id, epoch)| is_eligible(draft, partition, *id, *epoch)) {
        Ok(())
    } else {
        Err(ErrorCode::IneligibleReplica)
    }
}

/// A recovering leader is alone in the ISR, and one that has recovered does not go back.
fn recovery_is_sound(partition: &Partition, state: i8, isr: usize) -> bool {
    match state {
        RECOVERED => true,
        RECOVERING => isr == 1 && partition.leader_recovery_state == RECOVERING,
        _ => false,
    }
}

/// A broker that shuts down joins no ISR; one that is in it may stay, or a leader that nobody can replace could never
/// take in the follower that would.
fn is_eligible(draft: &Draft<'_>, partition: &Partition, id: i32, epoch: i64) -> bool {
    draft.image().broker(id).is_some_and(|broker| {
        let current =
            epoch == -1 || epoch == broker.epoch || is_active(Mutation::BrokerEpochOfMembersIgnored);
        let may_stay = !broker.in_controlled_shutdown || partition.isr.contains(&id);
        !broker.fenced && current && may_stay
    })
}
