//! Heartbeats: a broker is unfenced when it has caught up, fenced when it asks or is gone, and let go when it stops.

use std::sync::Arc;

use klamm_wire::ErrorCode;
use klamm_wire::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use klamm_wire::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use klamm_wire::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use klamm_wire::messages::unfence_broker_record::UnfenceBrokerRecord;

use super::departure::{self, Departure};
use super::draft::{Draft, Turn};
use super::election::{self, Balance};
use super::sessions::Sessions;
use crate::Broker;
use crate::mutation::{Mutation, is_active};

/// Decides BrokerHeartbeat (63).
pub(super) fn heartbeat(
    turn: &mut Turn<'_>,
    sessions: &mut Sessions,
    balance: &mut Balance,
    request: &BrokerHeartbeatRequest,
) -> BrokerHeartbeatResponse {
    let broker = match registered(&turn.draft, request.broker_id, request.broker_epoch) {
        Ok(broker) => broker,
        Err(error) => return BrokerHeartbeatResponse { error_code: error.code(), ..Default::default() },
    };
    sessions.touch(broker.id, broker.epoch, request.current_metadata_offset, turn.now_ms);
    let is_caught_up =
        request.current_metadata_offset >= broker.epoch || is_active(Mutation::UnfencedBeforeCaughtUp);
    let mut should_shut_down = false;
    if request.want_shut_down {
        should_shut_down = broker.fenced || shut_down(turn, sessions, &broker);
    } else if request.want_fence {
        departure::fence(&mut turn.draft, broker.id);
    } else if broker.fenced && is_caught_up && !broker.in_controlled_shutdown {
        // Who wants to stop has not changed its mind: what says so was overtaken on its way.
        unfence(&mut turn.draft, &broker);
        balance.look_by(turn.now_ms.saturating_add(turn.draft.settings.prompt_rebalance_interval_ms));
    }
    let is_fenced = turn.draft.image().broker(broker.id).is_none_or(|broker| broker.fenced);
    BrokerHeartbeatResponse { is_caught_up, is_fenced, should_shut_down, ..Default::default() }
}

/// The controller's check found the process of this registration dead.
pub(super) fn gone(draft: &mut Draft<'_>, sessions: &mut Sessions, id: i32, epoch: i64) {
    if registered(draft, id, epoch).is_ok() {
        sessions.end(id);
        departure::fence(draft, id);
    }
}

/// The broker, if this is its latest registration.
pub(super) fn registered(draft: &Draft<'_>, id: i32, epoch: i64) -> Result<Arc<Broker>, ErrorCode> {
    let broker = draft.image().broker(id).filter(|broker| broker.epoch == epoch);
    broker.cloned().ok_or(ErrorCode::StaleBrokerEpoch)
}

fn unfence(draft: &mut Draft<'_>, broker: &Broker) {
    draft.push(UnfenceBrokerRecord { id: broker.id, epoch: broker.epoch, ..UnfenceBrokerRecord::default() });
    election::lead_what_nobody_leads(draft, |partition| partition.replicas.contains(&broker.id));
}

/// One step of a controlled shutdown: gives away what others can take, and once they all know, fences the broker and
/// lets it go. Returns whether it may stop.
fn shut_down(turn: &mut Turn<'_>, sessions: &mut Sessions, broker: &Broker) -> bool {
    let draft = &mut turn.draft;
    if !broker.in_controlled_shutdown {
        draft.push(BrokerRegistrationChangeRecord {
            broker_id: broker.id,
            broker_epoch: broker.epoch,
            in_controlled_shutdown: 1,
            ..BrokerRegistrationChangeRecord::default()
        });
    }
    if departure::leave(draft, broker.id, Departure::ShuttingDown) {
        sessions.handed_over(broker.id, turn.next_offset);
        return false;
    }
    let may_stop = sessions.handover_is_known(draft.image(), broker.id);
    if may_stop {
        departure::fence(draft, broker.id);
    }
    may_stop
}
