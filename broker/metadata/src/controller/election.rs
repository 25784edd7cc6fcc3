//! Elections that are not about a departing broker: asked for, for partitions without a leader, and back to balance.

use std::collections::BTreeMap;

use klamm_wire::messages::elect_leaders_request::ElectLeadersRequest;
use klamm_wire::messages::elect_leaders_response::{
    ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use klamm_wire::{ErrorCode, Str};

use super::draft::{Draft, PartitionTarget};
use super::error::{ApiError, code_and_message};
use super::isr::Election;
use crate::{Image, Partition, Topic};

/// `ElectLeadersRequest.ElectionType`.
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;
/// Leaders moved by one look at the balance, so that its entry stays small.
const MAX_MOVES: usize = 1_000;

/// Decides ElectLeaders (43). Without a list of partitions it answers for those that needed an election.
pub(super) fn elect(draft: &mut Draft<'_>, request: &ElectLeadersRequest) -> ElectLeadersResponse {
    let election = match request.election_type {
        PREFERRED => Election::Preferred,
        UNCLEAN => Election::Unclean,
        _ => {
            return ElectLeadersResponse {
                error_code: ErrorCode::InvalidRequest.code(),
                ..Default::default()
            };
        }
    };
    let asked = match &request.topic_partitions {
        Some(topics) => {
            topics.iter().map(|topic| (topic.topic.to_string(), topic.partitions.clone())).collect()
        }
        None => all_partitions(draft.image()),
    };
    let answers_all = request.topic_partitions.is_some();
    let mut results = Vec::with_capacity(asked.len());
    for (topic, partitions) in asked {
        let elected = partitions.into_iter().map(|index| (index, elect_one(draft, &topic, index, election)));
        let needed = |result: &Result<(), ApiError>| {
            answers_all || !matches!(result, Err(error) if error.code == ErrorCode::ElectionNotNeeded)
        };
        let shown = elected
            .filter(|(_, result)| needed(result))
            .map(|(index, result)| partition_result(index, result));
        let partition_result: Vec<_> = shown.collect();
        if !partition_result.is_empty() {
            results.push(ReplicaElectionResult {
                topic: Str::from(topic),
                partition_result,
                ..Default::default()
            });
        }
    }
    ElectLeadersResponse { replica_election_results: results, ..Default::default() }
}

fn all_partitions(image: &Image) -> BTreeMap<String, Vec<i32>> {
    image.topics().map(|topic| (topic.name.clone(), topic.partitions.keys().copied().collect())).collect()
}

fn partition_result(index: i32, result: Result<(), ApiError>) -> PartitionResult {
    let (error_code, error_message) = code_and_message(result);
    PartitionResult { partition_id: index, error_code, error_message, ..PartitionResult::default() }
}

fn elect_one(draft: &mut Draft<'_>, name: &str, index: i32, election: Election) -> Result<(), ApiError> {
    let (topic, partition) = draft.partition(name, index)?;
    let (topic, partition) = (&*topic, &*partition);
    let in_place = match election {
        Election::Preferred => partition.preferred_leader() == Some(partition.leader),
        Election::Unclean | Election::KeepLeader => partition.has_leader(),
    };
    if in_place {
        let message = format!("{name}-{index} is led by broker {} already.", partition.leader);
        return Err(ApiError::new(ErrorCode::ElectionNotNeeded, message));
    }
    let rules = draft.rules(name);
    draft.change_partition(PartitionTarget {
        election,
        ..PartitionTarget::unchanged(topic, index, partition, rules)
    });
    let leader = draft.image().partition(name, index).map_or(-1, |partition| partition.leader);
    match election {
        Election::Preferred if Some(leader) != partition.preferred_leader() => {
            let preferred = partition.preferred_leader().unwrap_or(-1);
            let message =
                format!("Broker {preferred}, the preferred leader of {name}-{index}, cannot lead it now.");
            Err(ApiError::new(ErrorCode::PreferredLeaderNotAvailable, message))
        }
        _ if leader < 0 => {
            let message = format!("No replica of {name}-{index} can lead it now.");
            Err(ApiError::new(ErrorCode::EligibleLeadersNotAvailable, message))
        }
        _ => Ok(()),
    }
}

/// Elects a leader for every partition that has none and is `concerned`.
pub(super) fn lead_what_nobody_leads(draft: &mut Draft<'_>, concerned: impl Fn(&Partition) -> bool) {
    for topic in draft.topics() {
        let leaderless = |partition: &Partition| !partition.has_leader() && concerned(partition);
        revisit(draft, &topic, leaderless);
    }
}

/// Decides partitions of a topic anew with the rules that hold now: elects where there is no leader, and ends the
/// eligibility of replicas outside an ISR that has become large enough.
pub(super) fn revisit(draft: &mut Draft<'_>, topic: &Topic, concerned: impl Fn(&Partition) -> bool) {
    if !topic.partitions.values().any(|partition| concerned(partition)) {
        return;
    }
    let rules = draft.rules(&topic.name);
    for (index, partition) in topic.partitions.iter().filter(|(_, partition)| concerned(partition)) {
        draft.change_partition(PartitionTarget::unchanged(topic, *index, partition, rules));
    }
}

/// When to look next whether leadership can return to preferred replicas.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Balance {
    next_look_ms: Option<i64>,
}

impl Balance {
    pub(super) fn next_look(&self) -> Option<i64> {
        self.next_look_ms
    }

    /// Looks no later than at this time.
    pub(super) fn look_by(&mut self, at_ms: i64) {
        self.next_look_ms = Some(self.next_look_ms.map_or(at_ms, |planned| planned.min(at_ms)));
    }

    /// Gives leadership back to preferred replicas that are in the ISR, when it is time to look.
    pub(super) fn restore(&mut self, draft: &mut Draft<'_>, now_ms: i64) {
        if self.next_look_ms.is_none_or(|at| now_ms < at) {
            return;
        }
        let settings = draft.settings;
        self.next_look_ms = settings.rebalance_interval_ms.map(|interval| {
            let wait = if restore_leaders(draft) { settings.prompt_rebalance_interval_ms } else { interval };
            now_ms.saturating_add(wait)
        });
    }
}

/// Returns whether more can be moved soon: the limit was reached, or a preferred replica is alive and catching up.
fn restore_leaders(draft: &mut Draft<'_>) -> bool {
    let mut moved = 0;
    let mut more = false;
    for topic in draft.topics() {
        let is_misplaced = |partition: &Partition| {
            let preferred = partition.preferred_leader().and_then(|id| draft.image().broker(id));
            preferred.is_some_and(|broker| {
                partition.has_leader() && partition.leader != broker.id && broker.is_active()
            })
        };
        let misplaced: Vec<_> =
            topic.partitions.iter().filter(|(_, partition)| is_misplaced(partition)).collect();
        if misplaced.is_empty() {
            continue;
        }
        let rules = draft.rules(&topic.name);
        for (index, partition) in misplaced {
            let ready = partition.preferred_leader().is_some_and(|id| partition.isr.contains(&id));
            if !ready || moved == MAX_MOVES {
                more = true;
                continue;
            }
            let target = PartitionTarget::unchanged(&topic, *index, partition, rules);
            draft.change_partition(PartitionTarget { election: Election::Preferred, ..target });
            moved += 1;
        }
    }
    more
}
