//! ListGroups: the groups of one shard, filtered by state and type.

use klamm_wire::Str;
use klamm_wire::messages::list_groups_request::ListGroupsRequest;
use klamm_wire::messages::list_groups_response::ListedGroup;

use crate::shard::GroupShard;

/// The only group type of this coordinator so far (KIP-848 names the others).
const GROUP_TYPE: &str = "classic";

impl GroupShard {
    pub(crate) fn list(&self, request: &ListGroupsRequest) -> Vec<ListedGroup> {
        if !passes(&request.types_filter, GROUP_TYPE) {
            return Vec::new();
        }
        let wanted = self.groups.values().filter(|group| passes(&request.states_filter, group.state.name()));
        let listed = wanted.map(|group| ListedGroup {
            group_id: group.id.clone(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            group_state: group.state.name().into(),
            group_type: GROUP_TYPE.into(),
            ..ListedGroup::default()
        });
        listed.collect()
    }
}

/// An empty filter lets everything pass; case does not count.
fn passes(filter: &[Str], value: &str) -> bool {
    filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
}
