//! Registration: a broker process introduces itself and gets its broker epoch.

use std::collections::BTreeSet;

use klamm_wire::ErrorCode;
use klamm_wire::messages::broker_registration_request::BrokerRegistrationRequest;
use klamm_wire::messages::broker_registration_response::BrokerRegistrationResponse;
use klamm_wire::messages::register_broker_record::{BrokerEndpoint, BrokerFeature, RegisterBrokerRecord};

use super::departure::{Departure, leave};
use super::draft::Turn;
use super::sessions::Sessions;
use crate::Broker;
use crate::mutation::{Mutation, is_active};

/// Decides BrokerRegistration (62).
pub(super) fn register(
    turn: &mut Turn<'_>,
    sessions: &mut Sessions,
    request: &BrokerRegistrationRequest,
) -> BrokerRegistrationResponse {
    let (error, broker_epoch) = match try_register(turn, sessions, request) {
        Ok(epoch) => (ErrorCode::None, epoch),
        Err(error) => (error, -1),
    };
    BrokerRegistrationResponse { error_code: error.code(), broker_epoch, ..Default::default() }
}

fn try_register(
    turn: &mut Turn<'_>,
    sessions: &mut Sessions,
    request: &BrokerRegistrationRequest,
) -> Result<i64, ErrorCode> {
    check(turn, request)?;
    let id = request.broker_id;
    let existing = turn.draft.image().broker(id).cloned();
    if let Some(existing) = existing.as_deref() {
        if existing.incarnation == request.incarnation_id {
            return Ok(refresh(turn, existing, request));
        }
        // An epoch names one registration, so two of one entry cannot share a broker.
        if is_defended(turn, sessions, existing, request) || existing.epoch >= turn.next_offset {
            return Err(ErrorCode::DuplicateBrokerRegistration);
        }
    }
    sessions.end(id);
    let epoch = turn.next_offset;
    turn.draft.push(record(request, epoch, true, false));
    leave(&mut turn.draft, id, departure(existing.as_deref(), request));
    Ok(epoch)
}

fn check(turn: &Turn<'_>, request: &BrokerRegistrationRequest) -> Result<(), ErrorCode> {
    if *request.cluster_id != *turn.draft.settings.cluster_id {
        return Err(ErrorCode::InconsistentClusterId);
    }
    let names: BTreeSet<&str> = request.listeners.iter().map(|listener| &*listener.name).collect();
    let directories: BTreeSet<_> = request.log_dirs.iter().collect();
    let sound = request.broker_id >= 0
        && !names.is_empty()
        && names.len() == request.listeners.len()
        && directories.len() == request.log_dirs.len();
    if sound { Ok(()) } else { Err(ErrorCode::InvalidRegistration) }
}

/// The same process again: its epoch and state stay.
fn refresh(turn: &mut Turn<'_>, existing: &Broker, request: &BrokerRegistrationRequest) -> i64 {
    let record = record(request, existing.epoch, existing.fenced, existing.in_controlled_shutdown);
    if record != existing.to_record() {
        turn.draft.push(record);
    }
    existing.epoch
}

/// Whether the process that holds the id is alive, so that another must not take it. A process that advertises the very
/// same addresses has taken them over: the old one cannot be listening there any more.
fn is_defended(
    turn: &Turn<'_>,
    sessions: &Sessions,
    existing: &Broker,
    request: &BrokerRegistrationRequest,
) -> bool {
    let settings = turn.draft.settings;
    let (timeout_ms, inherited_ms) = (settings.session_timeout_ms, settings.inherited_session_ms);
    !existing.fenced
        && !same_addresses(existing, request)
        && sessions.is_alive(existing.id, existing.epoch, timeout_ms, inherited_ms, turn.now_ms)
}

fn same_addresses(existing: &Broker, request: &BrokerRegistrationRequest) -> bool {
    let old: BTreeSet<_> =
        existing.listeners.iter().map(|listener| (&*listener.host, listener.port)).collect();
    let new: BTreeSet<_> =
        request.listeners.iter().map(|listener| (&*listener.host, listener.port)).collect();
    old == new
}

/// A process that names the broker epoch of the registration before it has stopped cleanly then (KIP-966).
fn departure(existing: Option<&Broker>, request: &BrokerRegistrationRequest) -> Departure {
    let trusts_any = request.previous_broker_epoch >= 0 && is_active(Mutation::BrokerEpochOfMarkerIgnored);
    match existing {
        Some(existing) if existing.epoch == request.previous_broker_epoch || trusts_any => Departure::Fenced,
        Some(existing) if has_other_disks(existing, request) => Departure::DiskLost,
        _ => Departure::Unclean,
    }
}

/// Whether no log directory is one of those that the broker had.
fn has_other_disks(existing: &Broker, request: &BrokerRegistrationRequest) -> bool {
    let is_known = !existing.directories.is_empty() && !request.log_dirs.is_empty();
    is_known && !request.log_dirs.iter().any(|directory| existing.directories.contains(directory))
}

fn record(
    request: &BrokerRegistrationRequest,
    broker_epoch: i64,
    fenced: bool,
    in_controlled_shutdown: bool,
) -> RegisterBrokerRecord {
    let end_points = request.listeners.iter().map(|listener| BrokerEndpoint {
        name: listener.name.clone(),
        host: listener.host.clone(),
        port: listener.port,
        security_protocol: listener.security_protocol,
        ..BrokerEndpoint::default()
    });
    let features = request.features.iter().map(|feature| BrokerFeature {
        name: feature.name.clone(),
        min_supported_version: feature.min_supported_version,
        max_supported_version: feature.max_supported_version,
        ..BrokerFeature::default()
    });
    RegisterBrokerRecord {
        broker_id: request.broker_id,
        incarnation_id: request.incarnation_id,
        broker_epoch,
        end_points: end_points.collect(),
        features: features.collect(),
        rack: request.rack.clone(),
        fenced,
        in_controlled_shutdown,
        log_dirs: request.log_dirs.clone(),
        ..RegisterBrokerRecord::default()
    }
}
