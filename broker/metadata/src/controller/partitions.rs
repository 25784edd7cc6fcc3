//! New partitions: of new topics, and CreatePartitions for topics that exist.

use std::collections::BTreeSet;

use klamm_wire::ErrorCode;
use klamm_wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use klamm_wire::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use klamm_wire::messages::create_topics_request::CreatableTopic;
use klamm_wire::messages::partition_record::PartitionRecord;
use uuid::Uuid;

use super::draft::{Draft, MAX_PARTITIONS_PER_REQUEST, Turn};
use super::error::{ApiError, code_and_message};
use super::placement::{Candidate, place};
use super::topics::repeated;
use crate::config::names;

/// How many partitions a request has asked for so far.
#[derive(Default)]
pub(super) struct Budget {
    spent: usize,
}

impl Budget {
    fn spend(&mut self, partitions: usize) -> Result<(), ApiError> {
        let spent = self.spent.saturating_add(partitions);
        if spent > MAX_PARTITIONS_PER_REQUEST {
            let message =
                format!("One request creates at most {MAX_PARTITIONS_PER_REQUEST} partitions, not {spent}.");
            return Err(ApiError::new(ErrorCode::InvalidPartitions, message));
        }
        self.spent = spent;
        Ok(())
    }
}

/// Replica lists of a topic that is about to be created, by hand or by placement.
pub(super) fn of_new_topic(
    turn: &mut Turn<'_>,
    topic: &CreatableTopic,
    budget: &mut Budget,
) -> Result<Vec<Vec<i32>>, ApiError> {
    if !topic.assignments.is_empty() {
        budget.spend(topic.assignments.len())?;
        return by_hand(&turn.draft, topic);
    }
    let properties = turn.draft.properties();
    let partitions = match topic.num_partitions {
        -1 => properties.parsed(names::NUM_PARTITIONS).unwrap_or(1),
        count => usize::try_from(count).unwrap_or(0),
    };
    let replication_factor = match topic.replication_factor {
        -1 => properties.parsed(names::DEFAULT_REPLICATION_FACTOR).unwrap_or(1),
        factor => usize::try_from(factor).unwrap_or(0),
    };
    if partitions == 0 {
        let message =
            format!("Topic '{}' needs at least one partition, not {}.", topic.name, topic.num_partitions);
        return Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    }
    if replication_factor == 0 {
        let wanted = topic.replication_factor;
        let message =
            format!("Topic '{}' needs a replication factor of at least 1, not {wanted}.", topic.name);
        return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message));
    }
    budget.spend(partitions)?;
    placed(turn, &[], partitions, replication_factor)
}

fn by_hand(draft: &Draft<'_>, topic: &CreatableTopic) -> Result<Vec<Vec<i32>>, ApiError> {
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        let message = format!(
            "Topic '{}' has both an assignment and a partition count or replication factor.",
            topic.name
        );
        return Err(ApiError::invalid_request(message));
    }
    let mut assignments: Vec<_> =
        topic.assignments.iter().map(|a| (a.partition_index, a.broker_ids.clone())).collect();
    assignments.sort();
    if !(0..).zip(&assignments).all(|(expected, (index, _))| expected == *index) {
        let message = format!("The assigned partitions of topic '{}' must be 0, 1, 2 and so on.", topic.name);
        return Err(invalid_assignment(message));
    }
    let lists: Vec<Vec<i32>> = assignments.into_iter().map(|(_, replicas)| replicas).collect();
    let replication_factor = lists.first().map_or(0, Vec::len);
    check_assignments(draft, &lists, replication_factor)?;
    Ok(lists)
}

fn invalid_assignment(message: String) -> ApiError {
    ApiError::new(ErrorCode::InvalidReplicaAssignment, message)
}

/// Every list names registered brokers once each, an active one among them, and all have the same length.
fn check_assignments(
    draft: &Draft<'_>,
    lists: &[Vec<i32>],
    replication_factor: usize,
) -> Result<(), ApiError> {
    for replicas in lists {
        let distinct: BTreeSet<_> = replicas.iter().collect();
        if replicas.is_empty() || distinct.len() != replicas.len() {
            return Err(invalid_assignment(format!(
                "Assignment {replicas:?} is empty or names a broker twice."
            )));
        }
        if replicas.len() != replication_factor {
            let message = format!(
                "Assignment {replicas:?} does not have {replication_factor} replicas like the others."
            );
            return Err(invalid_assignment(message));
        }
        if let Some(id) = replicas.iter().find(|id| draft.image().broker(**id).is_none()) {
            return Err(invalid_assignment(format!(
                "Assignment {replicas:?} names broker {id}, which is not registered."
            )));
        }
        if active(draft, replicas).is_empty() {
            return Err(invalid_assignment(format!("No broker of assignment {replicas:?} is active.")));
        }
    }
    Ok(())
}

fn active(draft: &Draft<'_>, replicas: &[i32]) -> Vec<i32> {
    let is_active = |id: &i32| draft.image().broker(*id).is_some_and(|broker| broker.is_active());
    replicas.iter().copied().filter(is_active).collect()
}

fn placed(
    turn: &mut Turn<'_>,
    existing: &[Vec<i32>],
    partitions: usize,
    replication_factor: usize,
) -> Result<Vec<Vec<i32>>, ApiError> {
    let candidates: Vec<Candidate> = turn
        .draft
        .image()
        .brokers()
        .map(|broker| Candidate { id: broker.id, rack: broker.rack.clone(), active: broker.is_active() })
        .collect();
    let registered = candidates.len();
    if registered < replication_factor {
        let message = format!(
            "Replication factor {replication_factor} needs as many brokers; {registered} are registered."
        );
        return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message));
    }
    if !candidates.iter().any(|candidate| candidate.active) {
        let message = format!("None of the {registered} registered brokers is active.");
        return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message));
    }
    Ok(place(&candidates, existing, partitions, replication_factor, turn.rng))
}

/// Adds a new partition: all active replicas are in sync, for there is nothing to copy, and the first of them leads.
pub(super) fn add(draft: &mut Draft<'_>, topic_id: Uuid, partition_id: i32, replicas: Vec<i32>) {
    let isr = active(draft, &replicas);
    let leader = isr.first().copied().unwrap_or(-1);
    draft.push(PartitionRecord {
        partition_id,
        topic_id,
        replicas,
        isr,
        leader,
        ..PartitionRecord::default()
    });
}

/// Decides CreatePartitions (37).
pub(super) fn create(turn: &mut Turn<'_>, request: &CreatePartitionsRequest) -> CreatePartitionsResponse {
    let duplicates = repeated(request.topics.iter().map(|topic| &*topic.name));
    let mut budget = Budget::default();
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let result = if duplicates.contains(&*topic.name) {
            Err(ApiError::invalid_request(format!("Topic '{}' is named more than once.", topic.name)))
        } else {
            grow(turn, topic, &mut budget)
        };
        let name = topic.name.clone();
        let (error_code, error_message) = code_and_message(result);
        results.push(CreatePartitionsTopicResult { name, error_code, error_message, ..Default::default() });
    }
    if request.validate_only {
        turn.draft.discard();
    }
    CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() }
}

fn grow(turn: &mut Turn<'_>, request: &CreatePartitionsTopic, budget: &mut Budget) -> Result<(), ApiError> {
    let name = &*request.name;
    let missing =
        || ApiError::new(ErrorCode::UnknownTopicOrPartition, format!("Topic '{name}' does not exist."));
    let topic = turn.draft.image().topic(name).cloned().ok_or_else(missing)?;
    let current = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    if request.count <= current {
        let message = if request.count == current {
            format!("Topic '{name}' already has {current} partitions.")
        } else {
            format!(
                "Topic '{name}' has {current} partitions; partitions can be added but not removed, so not {}.",
                request.count
            )
        };
        return Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    }
    let added = usize::try_from(request.count.saturating_sub(current)).unwrap_or(usize::MAX);
    budget.spend(added)?;
    let existing: Vec<Vec<i32>> =
        topic.partitions.values().map(|partition| partition.target_replicas()).collect();
    let replication_factor = existing.first().map_or(1, Vec::len);
    let assignments = match &request.assignments {
        Some(assignments) => {
            let lists: Vec<_> = assignments.iter().map(|assignment| assignment.broker_ids.clone()).collect();
            if lists.len() != added {
                let message =
                    format!("Topic '{name}' gets {added} new partitions, but {} assignments.", lists.len());
                return Err(invalid_assignment(message));
            }
            check_assignments(&turn.draft, &lists, replication_factor)?;
            lists
        }
        None => placed(turn, &existing, added, replication_factor)?,
    };
    for (index, replicas) in (current..).zip(assignments) {
        add(&mut turn.draft, topic.id, index, replicas);
    }
    Ok(())
}
