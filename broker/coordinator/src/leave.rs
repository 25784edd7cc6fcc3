//! LeaveGroup: members go, on their own or removed by an administrator.

use klamm_wire::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use klamm_wire::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};
use klamm_wire::{ErrorCode, Str};

use crate::group::{Group, Turn};
use crate::reply::{self, GroupReply};
use crate::request::Call;
use crate::shard::{Effects, GroupShard};

/// From this version on a request names several members, and each has its own error (KIP-345).
const BATCHED_SINCE: i16 = 3;

impl GroupShard {
    pub(crate) fn leave(&mut self, call: &Call, mut request: LeaveGroupRequest, effects: &mut Effects) {
        let mut turn = Turn { config: &self.config, now: call.now, effects };
        if call.context.version < BATCHED_SINCE {
            request.members =
                vec![MemberIdentity { member_id: request.member_id.clone(), ..MemberIdentity::default() }];
        }
        let response = if request.group_id.is_empty() {
            reply::leave_error(ErrorCode::InvalidGroupId)
        } else {
            let results = match self.groups.get_mut(&*request.group_id) {
                None => vec![Err(ErrorCode::UnknownMemberId); request.members.len()],
                Some(group) => group.leave(&request.members, &mut turn),
            };
            response(call.context.version, request.members, &results)
        };
        turn.reply(call.token, GroupReply::Leave(response));
    }
}

fn response(
    version: i16,
    members: Vec<MemberIdentity>,
    results: &[Result<(), ErrorCode>],
) -> LeaveGroupResponse {
    let code = |result: &Result<(), ErrorCode>| result.err().unwrap_or(ErrorCode::None).code();
    if version < BATCHED_SINCE {
        return LeaveGroupResponse {
            error_code: results.first().map_or(ErrorCode::None.code(), code),
            ..LeaveGroupResponse::default()
        };
    }
    let members = members.into_iter().zip(results).map(|(member, result)| MemberResponse {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        error_code: code(result),
        ..MemberResponse::default()
    });
    LeaveGroupResponse { members: members.collect(), ..LeaveGroupResponse::default() }
}

impl Group {
    fn leave(&mut self, leaving: &[MemberIdentity], turn: &mut Turn<'_>) -> Vec<Result<(), ErrorCode>> {
        let members_before = self.members.len();
        let results = leaving.iter().map(|member| self.remove_leaving(member, turn)).collect();
        if self.members.len() < members_before {
            self.on_members_removed(turn);
        } else {
            self.complete_join_if_all_joined(turn);
        }
        results
    }

    /// An administrator names a static member by its instance id alone.
    fn remove_leaving(&mut self, leaving: &MemberIdentity, turn: &mut Turn<'_>) -> Result<(), ErrorCode> {
        if self.pending_join.remove(&*leaving.member_id).is_some() {
            return Ok(());
        }
        let instance_id = leaving.group_instance_id.as_ref();
        let member_id: Str = if leaving.member_id.is_empty() {
            let current = instance_id.and_then(|instance_id| self.static_members.get(&**instance_id));
            current.cloned().ok_or(ErrorCode::UnknownMemberId)?
        } else {
            self.validate_member(&leaving.member_id, instance_id)?;
            leaving.member_id.clone()
        };
        self.evict(&member_id, turn);
        Ok(())
    }
}
