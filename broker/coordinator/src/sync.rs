//! SyncGroup: the leader brings the assignment of a generation, everybody gets their part of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use klamm_wire::messages::sync_group_request::SyncGroupRequest;
use klamm_wire::{ErrorCode, Str};

use crate::group::{Group, GroupState, Turn};
use crate::member::Parked;
use crate::reply::{GroupReply, sync_error, sync_response};
use crate::request::Call;
use crate::shard::{Effects, GroupShard};

/// From this version on the request must name the protocol type and the protocol (KIP-559).
const PROTOCOL_REQUIRED_SINCE: i16 = 5;

impl GroupShard {
    pub(crate) fn sync(&mut self, call: &Call, request: &SyncGroupRequest, effects: &mut Effects) {
        let mut turn = Turn { config: &self.config, now: call.now, effects };
        let group = self.groups.get_mut(&*request.group_id);
        let checked = match group {
            _ if request.group_id.is_empty() => Err(ErrorCode::InvalidGroupId),
            None => Err(ErrorCode::UnknownMemberId),
            Some(group) => group.validate_sync(call.context.version, request).map(|()| group),
        };
        match checked {
            Ok(group) => group.sync(call, request, &mut turn),
            Err(error) => turn.reply(call.token, GroupReply::Sync(sync_error(error))),
        }
    }
}

impl Group {
    fn validate_sync(&self, version: i16, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
        let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
        if version >= PROTOCOL_REQUIRED_SINCE && !names_protocol {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        self.validate_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        if contradicts(&request.protocol_type, &self.protocol_type)
            || contradicts(&request.protocol_name, &self.protocol)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.state {
            GroupState::Empty | GroupState::Dead => Err(ErrorCode::UnknownMemberId),
            GroupState::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    fn sync(&mut self, call: &Call, request: &SyncGroupRequest, turn: &mut Turn<'_>) {
        self.received_sync(&request.member_id);
        if self.is(GroupState::Stable) {
            let response = sync_response(self, &request.member_id);
            return turn.reply(call.token, GroupReply::Sync(response));
        }
        self.park_sync(call, &request.member_id, turn);
        if self.is_leader(&request.member_id) {
            self.take_assignments(request, turn);
        }
    }

    fn park_sync(&mut self, call: &Call, member_id: &str, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        let parked = Parked { token: call.token, version: call.context.version };
        if let Some(superseded) = member.syncing.replace(parked) {
            turn.reply(superseded.token, GroupReply::Sync(sync_error(ErrorCode::RebalanceInProgress)));
        }
    }

    /// Records the leader's assignments and hands them out. Members that the leader left out get an empty one.
    fn take_assignments(&mut self, request: &SyncGroupRequest, turn: &mut Turn<'_>) {
        let mut assignments: BTreeMap<Str, Bytes> = BTreeMap::new();
        for assigned in &request.assignments {
            if self.members.contains_key(&*assigned.member_id) {
                assignments.insert(assigned.member_id.clone(), Bytes::copy_from_slice(&assigned.assignment));
            }
        }
        for (member_id, member) in &mut self.members {
            member.assignment = assignments.remove(&**member_id).unwrap_or_default();
        }
        self.transition_to(GroupState::Stable, turn.now);
        if self.store(turn, |member| member.assignment.clone()) {
            self.propagate_assignments(turn);
        } else {
            self.withdraw_assignments(ErrorCode::UnknownServerError, turn);
            self.prepare_rebalance(turn);
        }
    }
}

/// Whether the sender names something else than the group; what is not named does not contradict.
fn contradicts(named: &Option<Str>, known: &Option<Str>) -> bool {
    matches!((named, known), (Some(named), Some(known)) if named != known)
}
