//! JoinGroup: a client asks to be a member of the next generation.

use bytes::Bytes;
use klamm_wire::messages::join_group_request::JoinGroupRequest;
use klamm_wire::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use klamm_wire::{ErrorCode, Str};

use crate::config::GroupConfig;
use crate::group::{Group, GroupState, JoinTimer, Turn, answer_waiting};
use crate::member::{Joining, Member, Parked, Protocol, offered};
use crate::records::MAX_STRING;
use crate::reply::{GroupReply, join_error};
use crate::request::{Call, RequestContext};
use crate::shard::{Effects, GroupShard};

/// From this version on a dynamic member must join with an id that the coordinator gave it (KIP-394).
const MEMBER_ID_REQUIRED_SINCE: i16 = 4;
/// From this version on the leader of an unchanged generation can be told not to assign again (KIP-814).
const SKIP_ASSIGNMENT_SINCE: i16 = 9;
/// Room for "-" and a UUID, appended to a client id or instance id to make a member id.
const MEMBER_ID_SUFFIX: usize = 37;

/// A JoinGroup request, checked, with the values that the group keeps.
struct Applicant {
    parked: Parked,
    context: RequestContext,
    member_id: Str,
    instance_id: Option<Str>,
    protocol_type: Str,
    protocols: Vec<Protocol>,
    rebalance_timeout_ms: i32,
    session_timeout_ms: i32,
}

impl Applicant {
    fn new(call: &Call, request: &JoinGroupRequest) -> Self {
        let version = call.context.version;
        Self {
            parked: Parked { token: call.token, version },
            context: call.context.clone(),
            member_id: Str::copy_from(&request.member_id),
            instance_id: request.group_instance_id.as_deref().map(Str::copy_from),
            protocol_type: Str::copy_from(&request.protocol_type),
            protocols: offered(&request.protocols),
            rebalance_timeout_ms: if version == 0 {
                request.session_timeout_ms
            } else {
                request.rebalance_timeout_ms
            },
            session_timeout_ms: request.session_timeout_ms,
        }
    }

    fn new_member_id(&self) -> Str {
        let prefix = self.instance_id.as_ref().unwrap_or(&self.context.client_id);
        Str::from(format!("{prefix}-{}", self.context.member_id_seed))
    }

    fn refuse(&self, member_id: &str, error: ErrorCode, turn: &mut Turn<'_>) {
        turn.reply(self.parked.token, GroupReply::Join(join_error(member_id, error, self.parked.version)));
    }
}

impl GroupShard {
    pub(crate) fn join(&mut self, call: &Call, request: &JoinGroupRequest, effects: &mut Effects) {
        let applicant = Applicant::new(call, request);
        let valid = validate(request, &applicant, &self.config);
        if valid.is_ok() && applicant.member_id.is_empty() {
            self.group_or_new(&request.group_id);
        }
        let mut turn = Turn { config: &self.config, now: call.now, effects };
        match (valid, self.groups.get_mut(&*request.group_id)) {
            (Err(error), _) => applicant.refuse(&applicant.member_id, error, &mut turn),
            (Ok(()), None) => applicant.refuse(&applicant.member_id, ErrorCode::UnknownMemberId, &mut turn),
            (Ok(()), Some(group)) => group.join(applicant, &mut turn),
        }
    }
}

fn validate(
    request: &JoinGroupRequest,
    applicant: &Applicant,
    config: &GroupConfig,
) -> Result<(), ErrorCode> {
    if request.group_id.is_empty() || request.group_id.len() > MAX_STRING {
        return Err(ErrorCode::InvalidGroupId);
    }
    let allowed = config.min_session_timeout_ms..=config.max_session_timeout_ms;
    if !allowed.contains(&request.session_timeout_ms) {
        return Err(ErrorCode::InvalidSessionTimeout);
    }
    let strings = [&applicant.member_id, &applicant.protocol_type, &applicant.context.client_host];
    let prefixes = applicant.instance_id.iter().chain([&applicant.context.client_id]);
    let names = applicant.protocols.iter().map(|protocol| &protocol.name);
    let fits = strings.into_iter().chain(names).all(|text| text.len() <= MAX_STRING)
        && prefixes.into_iter().all(|text| text.len() <= MAX_STRING - MEMBER_ID_SUFFIX);
    if fits { Ok(()) } else { Err(ErrorCode::InvalidRequest) }
}

impl Group {
    fn join(&mut self, applicant: Applicant, turn: &mut Turn<'_>) {
        if !self.has_room_for(&applicant.member_id, turn.config) {
            self.evict(&applicant.member_id, turn);
            applicant.refuse("", ErrorCode::GroupMaxSizeReached, turn);
            return self.complete_join_if_all_joined(turn);
        }
        if !self.supports(&applicant.protocol_type, &applicant.protocols) {
            return applicant.refuse(&applicant.member_id, ErrorCode::InconsistentGroupProtocol, turn);
        }
        if applicant.member_id.is_empty() {
            self.join_new_member(applicant, turn);
        } else if self.pending_join.contains_key(&*applicant.member_id) {
            let member_id = applicant.member_id.clone();
            self.admit(applicant, member_id, turn);
        } else {
            self.join_known_member(applicant, turn);
        }
    }

    /// While a rebalance is prepared only those that have joined count, as the others may be gone.
    fn has_room_for(&self, member_id: &str, config: &GroupConfig) -> bool {
        let max_size = usize::try_from(config.max_size).unwrap_or(0);
        match self.state {
            GroupState::Empty | GroupState::Dead => true,
            GroupState::PreparingRebalance => {
                self.members.get(member_id).is_some_and(Member::has_joined) || self.joined() < max_size
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.members.contains_key(member_id) || self.members.len() < max_size
            }
        }
    }

    fn join_new_member(&mut self, applicant: Applicant, turn: &mut Turn<'_>) {
        let new_id = applicant.new_member_id();
        let current_id =
            applicant.instance_id.as_ref().and_then(|id| self.static_members.get(&**id)).cloned();
        if let Some(current_id) = current_id {
            self.replace_static_member(applicant, &current_id, new_id, turn);
        } else if applicant.instance_id.is_none() && applicant.parked.version >= MEMBER_ID_REQUIRED_SINCE {
            let deadline = turn.deadline(applicant.session_timeout_ms);
            self.pending_join.insert(new_id.clone(), deadline);
            self.schedule(deadline);
            applicant.refuse(&new_id, ErrorCode::MemberIdRequired, turn);
        } else {
            self.admit(applicant, new_id, turn);
        }
    }

    /// Adds a member, which then waits for the next generation.
    fn admit(&mut self, applicant: Applicant, member_id: Str, turn: &mut Turn<'_>) {
        if let Some(JoinTimer::Initial { member_added, .. }) = &mut self.join_timer {
            *member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(applicant.protocol_type);
        }
        let session_deadline = turn.deadline(turn.config.new_member_join_timeout_ms);
        self.add(Member {
            id: member_id,
            instance_id: applicant.instance_id,
            client_id: Str::copy_from(&applicant.context.client_id),
            client_host: Str::copy_from(&applicant.context.client_host),
            rebalance_timeout_ms: applicant.rebalance_timeout_ms,
            session_timeout_ms: applicant.session_timeout_ms,
            protocols: applicant.protocols,
            assignment: Bytes::new(),
            is_new: true,
            joining: Joining::Parked(applicant.parked),
            syncing: None,
            session_deadline,
        });
        self.schedule(session_deadline);
        self.rebalance_or_complete_join(turn);
    }

    fn join_known_member(&mut self, applicant: Applicant, turn: &mut Turn<'_>) {
        if let Err(error) = self.validate_member(&applicant.member_id, applicant.instance_id.as_ref()) {
            return applicant.refuse(&applicant.member_id, error, turn);
        }
        let member = self.members.get(&*applicant.member_id);
        let unchanged = member.is_some_and(|member| member.offers_exactly(&applicant.protocols));
        let answer_now = match self.state {
            GroupState::CompletingRebalance => unchanged,
            // A leader that joins again wants a new assignment, for example because a topic has changed.
            GroupState::Stable => unchanged && !self.is_leader(&applicant.member_id),
            _ => false,
        };
        match self.state {
            GroupState::Empty | GroupState::Dead => {
                applicant.refuse(&applicant.member_id, ErrorCode::UnknownMemberId, turn);
            }
            _ if answer_now => {
                let response = self.join_response(&applicant.member_id);
                turn.reply(applicant.parked.token, GroupReply::Join(response));
            }
            _ => self.rejoin(applicant, turn),
        }
    }

    /// A member joins again, with what it offers now.
    fn rejoin(&mut self, applicant: Applicant, turn: &mut Turn<'_>) {
        let member_id = applicant.member_id;
        self.update_member(
            &member_id,
            applicant.protocols,
            applicant.rebalance_timeout_ms,
            applicant.session_timeout_ms,
        );
        let before = self.set_joining(&member_id, Joining::Parked(applicant.parked));
        if let Joining::Parked(superseded) = before {
            let error = join_error(&member_id, ErrorCode::RebalanceInProgress, superseded.version);
            turn.reply(superseded.token, GroupReply::Join(error));
        }
        self.rebalance_or_complete_join(turn);
    }

    /// A static member has restarted: it takes the place of its former self, whose id is fenced (KIP-345). In a stable
    /// group whose protocol stays the same nobody else notices.
    fn replace_static_member(
        &mut self,
        applicant: Applicant,
        current_id: &str,
        new_id: Str,
        turn: &mut Turn<'_>,
    ) {
        let leader_before = self.leader.clone();
        let Some(mut member) = self.remove(current_id) else { return };
        answer_waiting(&member, ErrorCode::FencedInstanceId, turn);
        if leader_before.as_deref() == Some(current_id) {
            self.leader = Some(new_id.clone());
        }
        let stays_stable = self.is(GroupState::Stable);
        member.id = new_id.clone();
        member.client_id = Str::copy_from(&applicant.context.client_id);
        member.client_host = Str::copy_from(&applicant.context.client_host);
        member.rebalance_timeout_ms = applicant.rebalance_timeout_ms;
        member.session_timeout_ms = applicant.session_timeout_ms;
        member.protocols = applicant.protocols;
        member.is_new = false;
        member.syncing = None;
        member.joining = if stays_stable { Joining::No } else { Joining::Parked(applicant.parked) };
        self.add(member);
        self.restart_session(&new_id, turn);

        if stays_stable
            && self.protocol == self.elect_protocol()
            && self.store(turn, |m| m.assignment.clone())
        {
            let response = self.replaced_response(&new_id, leader_before, applicant.parked.version);
            turn.reply(applicant.parked.token, GroupReply::Join(response));
            return;
        }
        self.set_joining(&new_id, Joining::Parked(applicant.parked));
        self.rebalance_or_complete_join(turn);
    }

    /// What a replaced static member of a stable group is told. Before KIP-814 a leader could not be told to leave the
    /// assignment alone, so it is shown its former self as the leader.
    fn replaced_response(
        &self,
        member_id: &Str,
        leader_before: Option<Str>,
        version: i16,
    ) -> JoinGroupResponse {
        let mut response = self.join_response(member_id);
        if version >= SKIP_ASSIGNMENT_SINCE {
            response.skip_assignment = self.is_leader(member_id);
        } else {
            response.leader = leader_before.unwrap_or_default();
            response.members = Vec::new();
        }
        response
    }

    /// What `member_id` is told about the present generation: the leader learns who the members are.
    pub(crate) fn join_response(&self, member_id: &Str) -> JoinGroupResponse {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = if self.is_leader(member_id) { self.members_for_leader(&protocol) } else { Vec::new() };
        JoinGroupResponse {
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: Some(protocol),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: member_id.clone(),
            members,
            ..JoinGroupResponse::default()
        }
    }

    fn members_for_leader(&self, protocol: &str) -> Vec<JoinGroupResponseMember> {
        let describe = |member: &Member| JoinGroupResponseMember {
            member_id: member.id.clone(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
            ..JoinGroupResponseMember::default()
        };
        self.members.values().map(describe).collect()
    }
}
