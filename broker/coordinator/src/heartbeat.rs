//! Heartbeat: a member is alive, and learns whether it must join again.

use klamm_wire::ErrorCode;
use klamm_wire::messages::heartbeat_request::HeartbeatRequest;

use crate::group::{Group, GroupState, Turn};
use crate::reply::{self, GroupReply};
use crate::request::Call;
use crate::shard::{Effects, GroupShard};

impl GroupShard {
    pub(crate) fn heartbeat(&mut self, call: &Call, request: &HeartbeatRequest, effects: &mut Effects) {
        let mut turn = Turn { config: &self.config, now: call.now, effects };
        let result = match self.groups.get_mut(&*request.group_id) {
            _ if request.group_id.is_empty() => Err(ErrorCode::InvalidGroupId),
            None => Err(ErrorCode::UnknownMemberId),
            Some(group) => group.heartbeat(request, &turn),
        };
        let error = result.err().unwrap_or(ErrorCode::None);
        turn.reply(call.token, GroupReply::Heartbeat(reply::heartbeat(error)));
    }
}

impl Group {
    fn heartbeat(&mut self, request: &HeartbeatRequest, turn: &Turn<'_>) -> Result<(), ErrorCode> {
        self.validate_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        match self.state {
            GroupState::Empty | GroupState::Dead => Err(ErrorCode::UnknownMemberId),
            GroupState::PreparingRebalance => {
                self.restart_session(&request.member_id, turn);
                Err(ErrorCode::RebalanceInProgress)
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.restart_session(&request.member_id, turn);
                Ok(())
            }
        }
    }
}
