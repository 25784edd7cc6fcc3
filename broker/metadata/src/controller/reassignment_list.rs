//! ListPartitionReassignments (46): what is being reassigned.

use klamm_wire::Str;
use klamm_wire::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use klamm_wire::messages::list_partition_reassignments_response::{
    ListPartitionReassignmentsResponse, OngoingPartitionReassignment, OngoingTopicReassignment,
};

use crate::{Image, Topic};

/// Answers for the partitions that were asked for, or for all. What does not exist is left out, as is what is not being
/// reassigned.
pub(super) fn list(
    image: &Image,
    request: &ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let topics: Vec<OngoingTopicReassignment> = match &request.topics {
        None => image.topics().filter_map(|topic| ongoing(topic, topic.partitions.keys().copied())).collect(),
        Some(asked) => {
            let found = asked.iter().filter_map(|asked| Some((asked, image.topic(&asked.name)?)));
            found
                .filter_map(|(asked, topic)| ongoing(topic, asked.partition_indexes.iter().copied()))
                .collect()
        }
    };
    ListPartitionReassignmentsResponse { topics, ..ListPartitionReassignmentsResponse::default() }
}

fn ongoing(topic: &Topic, indexes: impl Iterator<Item = i32>) -> Option<OngoingTopicReassignment> {
    let found = indexes.filter_map(|index| Some((index, topic.partitions.get(&index)?)));
    let partitions: Vec<_> = found
        .filter(|(_, partition)| partition.is_reassigning())
        .map(|(partition_index, partition)| OngoingPartitionReassignment {
            partition_index,
            replicas: partition.replicas.clone(),
            adding_replicas: partition.adding.clone(),
            removing_replicas: partition.removing.clone(),
            ..OngoingPartitionReassignment::default()
        })
        .collect();
    let name = Str::copy_from(&topic.name);
    (!partitions.is_empty()).then(|| OngoingTopicReassignment { name, partitions, ..Default::default() })
}
