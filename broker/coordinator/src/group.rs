//! One group of the classic protocol: its members, its generation and its timers.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use klamm_wire::messages::group_metadata_value::GroupMetadataValue;
use klamm_wire::{ErrorCode, Str};

use crate::config::GroupConfig;
use crate::member::{Joining, Member, Parked, Protocol};
use crate::offsets::Offsets;
use crate::protocols::OfferedProtocols;
use crate::records;
use crate::reply::{GroupReply, join_error, sync_error};
use crate::request::Now;
use crate::shard::Effects;

/// The protocol type of consumers: only its subscriptions are understood by the coordinator.
const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// The states of a classic group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// No members. Offsets may still be there.
    Empty,
    /// Members are asked to join again.
    PreparingRebalance,
    /// All members have joined; the leader's assignment is awaited.
    CompletingRebalance,
    /// All members have, or can get, their assignment.
    Stable,
    /// The group does not exist.
    Dead,
}

impl GroupState {
    /// The state's name in DescribeGroups and ListGroups.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// When the join phase ends although not everybody has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinTimer {
    /// The group was empty: members are collected until `at`, and for longer if others joined meanwhile, but never past
    /// the rebalance timeout.
    Initial { at: i64, delay_ms: i32, remaining_ms: i32, member_added: bool },
    /// Members that have not joined at `at` are removed.
    Rebalance { at: i64 },
}

impl JoinTimer {
    pub(crate) fn at(self) -> i64 {
        match self {
            Self::Initial { at, .. } | Self::Rebalance { at } => at,
        }
    }
}

/// What a group needs to act: the settings, the time, and where replies and records go.
pub(crate) struct Turn<'a> {
    pub(crate) config: &'a GroupConfig,
    pub(crate) now: Now,
    pub(crate) effects: &'a mut Effects,
}

impl Turn<'_> {
    pub(crate) fn reply(&mut self, token: u64, reply: GroupReply) {
        self.effects.replies.push((token, reply));
    }

    /// `timeout_ms` from now; a negative timeout is none.
    pub(crate) fn deadline(&self, timeout_ms: i32) -> i64 {
        self.now.steady_ms.saturating_add(i64::from(timeout_ms.max(0)))
    }
}

/// One group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: Str,
    /// Persisted: the last group metadata record. Changed by [`Group::apply_metadata`] alone.
    pub(crate) stored: Option<GroupMetadataValue>,
    /// Persisted: the committed offsets. Changed by applying offset records alone.
    pub(crate) offsets: Offsets,

    pub(crate) state: GroupState,
    /// When the group entered its state, Unix ms; unknown for groups written by old coordinators.
    pub(crate) state_since: Option<i64>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<Str>,
    pub(crate) protocol: Option<Str>,
    pub(crate) leader: Option<Str>,
    pub(crate) members: BTreeMap<Str, Member>,
    /// Member ids by group instance id (KIP-345).
    pub(crate) static_members: BTreeMap<Str, Str>,
    /// Ids handed out with MEMBER_ID_REQUIRED (KIP-394), each with the time by which it must be used.
    pub(crate) pending_join: BTreeMap<Str, i64>,
    /// Members of this generation that have not sent SyncGroup.
    pub(crate) pending_sync: BTreeSet<Str>,
    pub(crate) join_timer: Option<JoinTimer>,
    pub(crate) sync_deadline: Option<i64>,
    offered: OfferedProtocols,
    joined: usize,
    /// No timer of the group is due before this, by the steady clock.
    pub(crate) earliest: i64,
    /// When the shard will look at this group next, by the steady clock.
    pub(crate) armed: i64,
}

impl Group {
    pub(crate) fn new(id: Str) -> Self {
        Self {
            id,
            stored: None,
            offsets: Offsets::default(),
            state: GroupState::Empty,
            state_since: None,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_join: BTreeMap::new(),
            pending_sync: BTreeSet::new(),
            join_timer: None,
            sync_deadline: None,
            offered: OfferedProtocols::default(),
            joined: 0,
            earliest: i64::MAX,
            armed: i64::MAX,
        }
    }

    pub(crate) fn is(&self, state: GroupState) -> bool {
        self.state == state
    }

    /// Whether nothing is known of the group: forgetting it changes nothing.
    pub(crate) fn is_vacant(&self) -> bool {
        self.is(GroupState::Empty)
            && self.pending_join.is_empty()
            && self.stored.is_none()
            && self.offsets.is_empty()
    }

    pub(crate) fn transition_to(&mut self, state: GroupState, now: Now) {
        self.state = state;
        self.state_since = Some(now.wall_ms);
    }

    // ---- members -----------------------------------------------------------------------------------------------

    pub(crate) fn add(&mut self, member: Member) {
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member.id.clone());
        }
        self.pending_join.remove(&*member.id);
        self.offered.add(&member.protocols);
        self.joined += usize::from(member.has_joined());
        self.members.insert(member.id.clone(), member);
    }

    /// Removes a member without answering it; the next in order becomes the leader if it was.
    pub(crate) fn remove(&mut self, member_id: &str) -> Option<Member> {
        self.pending_join.remove(member_id);
        self.pending_sync.remove(member_id);
        let member = self.members.remove(member_id)?;
        self.offered.remove(&member.protocols);
        self.joined -= usize::from(member.has_joined());
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(&**instance_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Removes a member and tells it, if it waits, that it is unknown, so that it joins again if it is alive.
    pub(crate) fn evict(&mut self, member_id: &str, turn: &mut Turn<'_>) {
        if let Some(member) = self.remove(member_id) {
            answer_waiting(&member, ErrorCode::UnknownMemberId, turn);
        }
    }

    /// Changes what a member offers and asks for.
    pub(crate) fn update_member(
        &mut self,
        member_id: &str,
        protocols: Vec<Protocol>,
        rebalance_timeout_ms: i32,
        session_timeout_ms: i32,
    ) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        self.offered.remove(&member.protocols);
        self.offered.add(&protocols);
        member.protocols = protocols;
        member.rebalance_timeout_ms = rebalance_timeout_ms;
        member.session_timeout_ms = session_timeout_ms;
    }

    /// Sets whether a member has joined, and returns what it was before.
    pub(crate) fn set_joining(&mut self, member_id: &str, joining: Joining) -> Joining {
        let Some(member) = self.members.get_mut(member_id) else { return Joining::No };
        let before = std::mem::replace(&mut member.joining, joining);
        self.joined += usize::from(joining != Joining::No);
        self.joined -= usize::from(before != Joining::No);
        before
    }

    pub(crate) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(crate) fn joined(&self) -> usize {
        self.joined
    }

    pub(crate) fn has_all_joined(&self) -> bool {
        self.joined == self.members.len() && self.pending_join.is_empty()
    }

    /// The longest rebalance timeout among the members, milliseconds.
    pub(crate) fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// Checks that the sender is the member that it says it is.
    pub(crate) fn validate_member(
        &self,
        member_id: &str,
        instance_id: Option<&Str>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(&**instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if **current != *member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        match self.members.contains_key(member_id) {
            true => Ok(()),
            false => Err(ErrorCode::UnknownMemberId),
        }
    }

    // ---- protocols ---------------------------------------------------------------------------------------------

    /// Whether a member with these protocols can be in one generation with the present members.
    pub(crate) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|protocol| self.offered.is_offered_by_all(&protocol.name, self.members.len()))
    }

    pub(crate) fn elect_protocol(&self) -> Option<Str> {
        self.offered.elect(self.members.values())
    }

    pub(crate) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    // ---- timers ------------------------------------------------------------------------------------------------

    /// Makes sure that the group is looked at when `at` has come.
    pub(crate) fn schedule(&mut self, at: i64) {
        self.earliest = self.earliest.min(at);
    }

    /// Gives a member its session timeout again, counted from now.
    pub(crate) fn restart_session(&mut self, member_id: &str, turn: &Turn<'_>) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        let deadline = turn.deadline(member.session_timeout_ms);
        member.session_deadline = deadline;
        self.schedule(deadline);
    }

    // ---- persisted state ---------------------------------------------------------------------------------------

    /// Applies a group metadata record, read or just written.
    pub(crate) fn apply_metadata(&mut self, metadata: Option<GroupMetadataValue>) {
        self.stored = metadata;
    }

    /// Records the present generation, with the assignments that `assignment_of` gives. False if the record would be
    /// too large; nothing has changed then.
    pub(crate) fn store(&mut self, turn: &mut Turn<'_>, assignment_of: impl Fn(&Member) -> Bytes) -> bool {
        let protocol: &str = self.protocol.as_deref().unwrap_or_default();
        let metadata = GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.state_since.unwrap_or(-1),
            members: self.members.values().map(|m| m.to_stored(protocol, assignment_of(m))).collect(),
            ..GroupMetadataValue::default()
        };
        let Some(record) = records::group(&self.id, &metadata, turn.config.max_record_bytes) else {
            return false;
        };
        turn.effects.records.push(record);
        self.apply_metadata(Some(metadata));
        true
    }

    /// Takes up the membership of the last record. Every member has its session timeout to be heard of.
    pub(crate) fn on_loaded(&mut self, turn: &mut Turn<'_>) {
        let Some(stored) = self.stored.clone() else { return };
        self.generation = stored.generation;
        self.protocol_type = Some(stored.protocol_type).filter(|protocol_type| !protocol_type.is_empty());
        self.protocol = stored.protocol;
        self.leader = stored.leader;
        self.state_since = (stored.current_state_timestamp >= 0).then_some(stored.current_state_timestamp);
        self.state = if stored.members.is_empty() { GroupState::Empty } else { GroupState::Stable };
        let protocol = self.protocol.clone().unwrap_or_default();
        for member in &stored.members {
            // A record that lists a member twice is damaged; the last one counts, as in a map.
            self.remove(&member.member_id);
            self.add(Member::from_stored(member, &protocol));
            self.restart_session(&member.member_id, turn);
        }
        if self.members.len() > usize::try_from(turn.config.max_size).unwrap_or(0) {
            self.prepare_rebalance(turn);
        }
    }
}

/// Answers what a member waits for with an error.
pub(crate) fn answer_waiting(member: &Member, error: ErrorCode, turn: &mut Turn<'_>) {
    if let Joining::Parked(Parked { token, version }) = member.joining {
        turn.reply(token, GroupReply::Join(join_error(&member.id, error, version)));
    }
    if let Some(Parked { token, .. }) = member.syncing {
        turn.reply(token, GroupReply::Sync(sync_error(error)));
    }
}
