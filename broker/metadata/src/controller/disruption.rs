//! Disruptions: leave for one node at a time to stop for a while, given only when nothing that works depends on the node.
//!
//! A grant is a record, so that it outlives the controller that gave it. Its end is a record too: whoever asked says that
//! it is over, or the active controller finds that it took too long. A new controller gives each grant its full time again.

mod blockers;
mod clock;

use klamm_wire::messages::begin_disruption_request::BeginDisruptionRequest;
use klamm_wire::messages::begin_disruption_response::{BeginDisruptionResponse, DisruptionBlocker};
use klamm_wire::messages::describe_disruptions_response::{DescribeDisruptionsResponse, DisruptionGrant};
use klamm_wire::messages::disruption_end_record::DisruptionEndRecord;
use klamm_wire::messages::end_disruption_request::EndDisruptionRequest;
use klamm_wire::messages::end_disruption_response::EndDisruptionResponse;
use klamm_wire::{ErrorCode, Str};

use super::QuorumHealth;
use super::draft::{Draft, Turn};
use super::error::ApiError;
use crate::{Disruption, Image, Partition};
pub(super) use clock::Disruptions;

/// Longest disruption; a longer one that is asked for is granted for this long.
const MAX_DURATION_MS: i32 = 3_600_000;
/// Largest holder or reason, in bytes: both are kept in the metadata log.
const MAX_TEXT: usize = 512;
/// Blockers that an answer names; the others are counted.
const MAX_BLOCKERS: usize = 20;
/// Largest grant id: exact in every language that a client may be written in.
const ID_MASK: u64 = (1 << 53) - 1;

/// Decides BeginDisruption (1020).
pub(super) fn begin(
    turn: &mut Turn<'_>,
    disruptions: &mut Disruptions,
    request: &BeginDisruptionRequest,
    quorum: &QuorumHealth,
) -> BeginDisruptionResponse {
    if let Err(error) = check(request) {
        let error_code = error.code.code();
        return BeginDisruptionResponse { error_code, error_message: error.text(), ..Default::default() };
    }
    let granted = match renewed(turn.draft.image(), request) {
        Some(granted) => granted,
        None => {
            let against = blockers::against(&turn.draft, disruptions, request.node_id, quorum, turn.now_ms);
            if !against.is_empty() {
                return denied(against);
            }
            new_grant(turn, request)
        }
    };
    let granted = Disruption { duration_ms: request.duration_ms.min(MAX_DURATION_MS), ..granted };
    // A renewal is recorded too: whoever is told of it can rely on it under every later controller.
    turn.draft.push(granted.to_record());
    disruptions.start(&granted, turn.now_ms);
    BeginDisruptionResponse {
        granted: true,
        grant_id: granted.id,
        expires_in_ms: granted.duration_ms,
        ..BeginDisruptionResponse::default()
    }
}

fn check(request: &BeginDisruptionRequest) -> Result<(), ApiError> {
    if request.node_id < 0 {
        let message = format!("{} is no node id; node ids are 0 or greater.", request.node_id);
        return Err(ApiError::invalid_request(message));
    }
    if request.duration_ms <= 0 {
        let message =
            format!("A disruption of {} ms cannot be granted; ask for 1 or more.", request.duration_ms);
        return Err(ApiError::invalid_request(message));
    }
    if request.holder.is_empty() {
        return Err(ApiError::invalid_request("The holder is empty; name who asks, the same every time."));
    }
    if request.holder.len() > MAX_TEXT || request.reason.len() > MAX_TEXT {
        let message = format!("Holder and reason may have {MAX_TEXT} bytes each.");
        return Err(ApiError::invalid_request(message));
    }
    Ok(())
}

/// The grant that this holder already has for this node, with the reason that it gives now.
fn renewed(image: &Image, request: &BeginDisruptionRequest) -> Option<Disruption> {
    let mut granted = image.disruptions();
    let own = granted.find(|g| g.node == request.node_id && *g.holder == *request.holder)?;
    Some(Disruption { reason: request.reason.to_string(), ..(**own).clone() })
}

fn new_grant(turn: &mut Turn<'_>, request: &BeginDisruptionRequest) -> Disruption {
    let image = turn.draft.image();
    Disruption {
        // Not the offset: two grants may be decided for one entry of the log.
        id: i64::try_from((turn.rng)() & ID_MASK).unwrap_or_default(),
        node: request.node_id,
        holder: request.holder.to_string(),
        reason: request.reason.to_string(),
        duration_ms: request.duration_ms,
        broker_epoch: image.broker(request.node_id).map_or(-1, |broker| broker.epoch),
    }
}

fn denied(mut blockers: Vec<DisruptionBlocker>) -> BeginDisruptionResponse {
    let more = blockers.len().saturating_sub(MAX_BLOCKERS);
    blockers.truncate(MAX_BLOCKERS);
    let more_blockers = i32::try_from(more).unwrap_or(i32::MAX);
    BeginDisruptionResponse { blockers, more_blockers, ..BeginDisruptionResponse::default() }
}

/// Decides EndDisruption (1021). Ending what is not granted changes nothing.
pub(super) fn end(draft: &mut Draft<'_>, request: &EndDisruptionRequest) -> EndDisruptionResponse {
    let is_out = draft.image().disruptions().any(|g| g.node == request.node_id && g.id == request.grant_id);
    if is_out {
        draft.push(ended(request.node_id, request.grant_id));
    }
    EndDisruptionResponse { error_code: ErrorCode::None.code(), ..EndDisruptionResponse::default() }
}

fn ended(node_id: i32, grant_id: i64) -> DisruptionEndRecord {
    DisruptionEndRecord { grant_id, node_id, ..DisruptionEndRecord::default() }
}

/// Answers DescribeDisruptions (1022).
pub(super) fn describe(
    turn: &Turn<'_>,
    disruptions: &Disruptions,
    quorum: &QuorumHealth,
) -> DescribeDisruptionsResponse {
    let image = turn.draft.image();
    let grants = image.disruptions().map(|granted| DisruptionGrant {
        node_id: granted.node,
        grant_id: granted.id,
        holder: Str::copy_from(&granted.holder),
        reason: Str::copy_from(&granted.reason),
        expires_in_ms: disruptions.left_ms(granted, turn.now_ms),
        restored: is_restored(image, granted, quorum),
        ..DisruptionGrant::default()
    });
    DescribeDisruptionsResponse { grants: grants.collect(), ..DescribeDisruptionsResponse::default() }
}

/// Whether the node does again what it did before: as a broker it has registered since, is unfenced and in every ISR that
/// it belongs to, and as a voter it is caught up.
fn is_restored(image: &Image, granted: &Disruption, quorum: &QuorumHealth) -> bool {
    let node = granted.node;
    let is_voter = quorum.0.contains_key(&node);
    let is_back = match image.broker(node) {
        Some(broker) => broker.epoch != granted.broker_epoch && broker.is_active(),
        None => is_voter && granted.broker_epoch < 0,
    };
    let mut partitions = image.topics().flat_map(|topic| topic.partitions.values());
    // A replica that is on its way to the node was not there when the node stopped.
    let owes =
        |partition: &Partition| partition.replicas.contains(&node) && !partition.adding.contains(&node);
    is_back
        && (!is_voter || quorum.is_caught_up(node))
        && partitions.all(|partition| !owes(partition) || partition.isr.contains(&node))
}
