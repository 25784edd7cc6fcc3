//! Partition reassignment (KIP-455): other replicas for partitions that exist, cancelled, replaced and listed.
//!
//! A request only says where to go. The reassignment is complete when a change of the ISR says so; see [`super::isr`].

use std::collections::BTreeSet;

use klamm_wire::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition,
};
use klamm_wire::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};
use klamm_wire::{ErrorCode, Str};

use super::assignment::Assignment;
use super::draft::{Draft, MAX_PARTITIONS_PER_REQUEST, PartitionTarget, TopicRules};
use super::error::{ApiError, code_and_message};
use crate::{Partition, Topic};

/// Decides AlterPartitionReassignments (45): each partition by itself, all good ones in one entry.
pub(super) fn alter(
    draft: &mut Draft<'_>,
    request: &AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let mut left = MAX_PARTITIONS_PER_REQUEST;
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut answer = |wanted: &ReassignablePartition| {
            let result = match left.checked_sub(1) {
                Some(rest) => {
                    left = rest;
                    alter_one(draft, &topic.name, wanted, request.allow_replication_factor_change)
                }
                None => Err(too_many()),
            };
            let (error_code, error_message) = code_and_message(result);
            ReassignablePartitionResponse {
                partition_index: wanted.partition_index,
                error_code,
                error_message,
                ..ReassignablePartitionResponse::default()
            }
        };
        let partitions = topic.partitions.iter().map(&mut answer).collect();
        responses.push(ReassignableTopicResponse {
            name: topic.name.clone(),
            partitions,
            ..Default::default()
        });
    }
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: request.allow_replication_factor_change,
        responses,
        ..AlterPartitionReassignmentsResponse::default()
    }
}

fn too_many() -> ApiError {
    let message = format!("One request reassigns at most {MAX_PARTITIONS_PER_REQUEST} partitions.");
    ApiError::invalid_request(message)
}

fn alter_one(
    draft: &mut Draft<'_>,
    name: &Str,
    wanted: &ReassignablePartition,
    may_change_factor: bool,
) -> Result<(), ApiError> {
    let index = wanted.partition_index;
    let (topic, partition) = draft.partition(name, index)?;
    let (topic, partition) = (&*topic, &*partition);
    match &wanted.replicas {
        Some(replicas) => {
            check_target(draft, replicas)?;
            if !may_change_factor {
                check_factor(partition, replicas)?;
            }
            let assignment = Assignment::towards(partition, replicas);
            let target = PartitionTarget::unchanged(topic, index, partition, draft.rules(&topic.name));
            draft.change_partition(PartitionTarget { assignment, ..target });
            Ok(())
        }
        None => cancel(draft, topic, index, partition),
    }
}

/// A target names registered brokers once each. They may be fenced: the reassignment waits for them.
fn check_target(draft: &Draft<'_>, replicas: &[i32]) -> Result<(), ApiError> {
    let invalid = |message| Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
    if replicas.is_empty() {
        return invalid("The list of replicas is empty; a partition needs at least one.".to_owned());
    }
    let distinct: BTreeSet<_> = replicas.iter().collect();
    if distinct.len() != replicas.len() {
        return invalid(format!("The list of replicas {replicas:?} names a broker twice."));
    }
    if let Some(id) = replicas.iter().find(|id| draft.image().broker(**id).is_none()) {
        return invalid(format!(
            "The list of replicas {replicas:?} names broker {id}, which is not registered."
        ));
    }
    Ok(())
}

/// KIP-860.
fn check_factor(partition: &Partition, replicas: &[i32]) -> Result<(), ApiError> {
    let (is, wanted) = (partition.target_replicas().len(), replicas.len());
    if is == wanted {
        return Ok(());
    }
    let message = format!("The replication factor is {is} and would become {wanted}, which was not allowed.");
    Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message))
}

/// Goes back to the replicas from before, unless nobody of them could lead with all that was acknowledged.
fn cancel(draft: &mut Draft<'_>, topic: &Topic, index: i32, partition: &Partition) -> Result<(), ApiError> {
    if !partition.is_reassigning() {
        let message = format!("{}-{index} is not being reassigned.", topic.name);
        return Err(ApiError::new(ErrorCode::NoReassignmentInProgress, message));
    }
    let original = partition.original_replicas();
    let rules = draft.rules(&topic.name);
    if !can_return(draft, partition, &original, rules) {
        let message = format!(
            "{}-{index} stays with brokers {:?}: none of {original:?} holds everything and could lead it now.",
            topic.name, partition.isr
        );
        return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    let target = PartitionTarget::unchanged(topic, index, partition, rules);
    draft.change_partition(PartitionTarget { assignment: Assignment::settled(original), ..target });
    Ok(())
}

fn can_return(draft: &Draft<'_>, partition: &Partition, original: &[i32], rules: TopicRules) -> bool {
    let is_active = |id: &i32| draft.image().broker(*id).is_some_and(|broker| broker.is_active());
    let is_complete = |id: &&i32| partition.isr.contains(id) || partition.elr.contains(id);
    let mut holders = original.iter().filter(is_complete).peekable();
    if holders.peek().is_none() {
        return rules.unclean_election && original.iter().any(is_active);
    }
    holders.any(|id| !partition.has_leader() || *id == partition.leader || is_active(id))
}
