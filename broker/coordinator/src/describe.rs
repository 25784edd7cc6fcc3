//! DescribeGroups, one group: its state, its protocol and its members.

use bytes::Bytes;
use klamm_wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use klamm_wire::{ErrorCode, Str};

use crate::group::{Group, GroupState};
use crate::member::Member;
use crate::shard::GroupShard;

/// From this version on an unknown group is an error rather than a dead group (KIP-1043).
const NOT_FOUND_SINCE: i16 = 6;

impl GroupShard {
    pub(crate) fn describe(&self, version: i16, group_id: Str) -> DescribedGroup {
        match self.groups.get(&*group_id) {
            Some(group) => group.describe(group_id),
            None => dead_group(version, group_id),
        }
    }
}

fn dead_group(version: i16, group_id: Str) -> DescribedGroup {
    let mut described =
        DescribedGroup { group_state: GroupState::Dead.name().into(), group_id, ..DescribedGroup::default() };
    if version >= NOT_FOUND_SINCE {
        described.error_code = ErrorCode::GroupIdNotFound.code();
        described.error_message = Some(Str::from(format!("Group {} not found.", described.group_id)));
    }
    described
}

impl Group {
    /// Subscriptions are shown for a stable group alone: between generations no protocol is agreed.
    fn describe(&self, group_id: Str) -> DescribedGroup {
        let protocol = self.protocol.clone().filter(|_| self.is(GroupState::Stable));
        let describe_member = |member: &Member| DescribedGroupMember {
            member_id: member.id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            member_metadata: protocol
                .as_deref()
                .map_or_else(Bytes::new, |protocol| member.metadata(protocol)),
            member_assignment: member.assignment.clone(),
            ..DescribedGroupMember::default()
        };
        DescribedGroup {
            group_state: self.state.name().into(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            members: self.members.values().map(describe_member).collect(),
            protocol_data: protocol.clone().unwrap_or_default(),
            group_id,
            ..DescribedGroup::default()
        }
    }
}
