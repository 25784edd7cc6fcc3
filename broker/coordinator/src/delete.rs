//! DeleteGroups, one group: only a group without members can be deleted, with its offsets.

use klamm_wire::{ErrorCode, Str};

use crate::group::{Group, GroupState, Turn};
use crate::records;
use crate::reply::{self, GroupReply};
use crate::request::Call;
use crate::shard::{Effects, GroupShard};

impl GroupShard {
    pub(crate) fn delete_group(&mut self, call: &Call, group_id: Str, effects: &mut Effects) {
        let mut turn = Turn { config: &self.config, now: call.now, effects };
        let error = match self.groups.get_mut(&*group_id) {
            None => ErrorCode::GroupIdNotFound,
            Some(group) if !group.is(GroupState::Empty) => ErrorCode::NonEmptyGroup,
            Some(group) => {
                group.offsets.remove_where(&group.id, &mut turn, |_, _, _| true);
                group.pending_join.clear();
                group.forget(&mut turn);
                ErrorCode::None
            }
        };
        turn.reply(call.token, GroupReply::DeleteGroup(reply::delete_group(group_id, error)));
    }
}

impl Group {
    /// Removes the group's metadata record, if it has one.
    pub(crate) fn forget(&mut self, turn: &mut Turn<'_>) {
        if self.stored.is_some() {
            turn.effects.records.push(records::group_tombstone(&self.id));
            self.apply_metadata(None);
        }
    }
}
