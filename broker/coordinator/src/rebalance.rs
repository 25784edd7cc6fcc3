//! From the first join to the next generation: collecting members, choosing leader and protocol, awaiting SyncGroup.

use bytes::Bytes;
use klamm_wire::ErrorCode;
use klamm_wire::messages::sync_group_response::SyncGroupResponse;

use crate::group::{Group, GroupState, JoinTimer, Turn};
use crate::member::{Joining, Member, Parked};
use crate::reply::{GroupReply, sync_error, sync_response};

/// A join phase that nobody has joined is looked at again after the rebalance timeout, but not sooner than this.
const MIN_POSTPONEMENT_MS: i32 = 1_000;

impl Group {
    /// Starts a rebalance, or ends its join phase if one is being prepared and everybody is there.
    pub(crate) fn rebalance_or_complete_join(&mut self, turn: &mut Turn<'_>) {
        match self.state {
            GroupState::PreparingRebalance => self.complete_join_if_all_joined(turn),
            _ => self.prepare_rebalance(turn),
        }
    }

    /// Asks all members to join again. A group that was empty waits for more members first.
    pub(crate) fn prepare_rebalance(&mut self, turn: &mut Turn<'_>) {
        if self.is(GroupState::CompletingRebalance) {
            self.withdraw_assignments(ErrorCode::RebalanceInProgress, turn);
        }
        self.sync_deadline = None;
        let was_empty = self.is(GroupState::Empty);
        self.transition_to(GroupState::PreparingRebalance, turn.now);
        if was_empty {
            let delay_ms = turn.config.initial_rebalance_delay_ms;
            let remaining_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms).max(0);
            self.await_first_members(delay_ms, remaining_ms, turn);
        } else if self.has_all_joined() {
            self.complete_join(turn);
        } else {
            self.await_rejoins(self.rebalance_timeout_ms(), turn);
        }
    }

    /// Ends the join phase if everybody is there, except for a group that was empty, which others may yet join.
    pub(crate) fn complete_join_if_all_joined(&mut self, turn: &mut Turn<'_>) {
        let is_initial = matches!(self.join_timer, Some(JoinTimer::Initial { .. }));
        if self.is(GroupState::PreparingRebalance) && !is_initial && self.has_all_joined() {
            self.complete_join(turn);
        }
    }

    /// The time for joining has passed: waits once more for an empty group's late members, else goes on without the
    /// members that have not joined.
    pub(crate) fn on_join_timer(&mut self, turn: &mut Turn<'_>) {
        match self.join_timer {
            Some(JoinTimer::Initial { delay_ms, remaining_ms, member_added: true, .. })
                if remaining_ms > 0 =>
            {
                let next_delay_ms = turn.config.initial_rebalance_delay_ms.min(remaining_ms);
                self.await_first_members(next_delay_ms, remaining_ms.saturating_sub(delay_ms).max(0), turn);
            }
            _ => self.complete_join(turn),
        }
    }

    fn await_first_members(&mut self, delay_ms: i32, remaining_ms: i32, turn: &Turn<'_>) {
        let at = turn.deadline(delay_ms);
        self.join_timer = Some(JoinTimer::Initial { at, delay_ms, remaining_ms, member_added: false });
        self.schedule(at);
    }

    fn await_rejoins(&mut self, timeout_ms: i32, turn: &Turn<'_>) {
        let at = turn.deadline(timeout_ms);
        self.join_timer = Some(JoinTimer::Rebalance { at });
        self.schedule(at);
    }

    /// Ends the join phase: dynamic members that have not joined are gone, the others get the next generation.
    fn complete_join(&mut self, turn: &mut Turn<'_>) {
        self.join_timer = None;
        self.remove_absent_dynamic_members();
        if !self.members.is_empty() && !self.elect_waiting_leader() {
            // Static members that have not come back, or members whose connections closed: their session timeouts decide.
            self.await_rejoins(self.rebalance_timeout_ms().max(MIN_POSTPONEMENT_MS), turn);
            return;
        }
        self.start_next_generation(turn);
        if self.is(GroupState::Empty) {
            // Cannot be too large: the record has no members.
            self.store(turn, |_| Bytes::new());
        } else {
            self.answer_joins(turn);
        }
    }

    fn remove_absent_dynamic_members(&mut self) {
        let is_absent = |member: &&Member| !member.has_joined() && member.instance_id.is_none();
        let absent: Vec<_> =
            self.members.values().filter(is_absent).map(|member| member.id.clone()).collect();
        for member_id in absent {
            self.remove(&member_id);
        }
    }

    /// Keeps the leader if it waits for the generation, else makes the first member that waits the leader.
    fn elect_waiting_leader(&mut self) -> bool {
        let waits = |member: &&Member| matches!(member.joining, Joining::Parked(_));
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(&**leader));
        if leader.filter(waits).is_some() {
            return true;
        }
        match self.members.values().find(waits) {
            Some(member) => {
                self.leader = Some(member.id.clone());
                true
            }
            None => false,
        }
    }

    fn start_next_generation(&mut self, turn: &Turn<'_>) {
        // Generations wrap to zero rather than below it: a negative one means "no generation" in requests.
        self.generation = self.generation.checked_add(1).unwrap_or(0);
        self.protocol = self.elect_protocol();
        self.pending_sync.clear();
        let next = if self.members.is_empty() { GroupState::Empty } else { GroupState::CompletingRebalance };
        self.transition_to(next, turn.now);
    }

    /// Tells every member the new generation and awaits SyncGroup from all of them.
    fn answer_joins(&mut self, turn: &mut Turn<'_>) {
        let member_ids: Vec<_> = self.members.keys().cloned().collect();
        for member_id in &member_ids {
            if let Joining::Parked(Parked { token, .. }) = self.set_joining(member_id, Joining::No) {
                let response = self.join_response(member_id);
                turn.reply(token, GroupReply::Join(response));
            }
            if let Some(member) = self.members.get_mut(&**member_id) {
                member.is_new = false;
            }
            self.restart_session(member_id, turn);
        }
        self.pending_sync = member_ids.into_iter().collect();
        let at = turn.deadline(self.rebalance_timeout_ms());
        self.sync_deadline = Some(at);
        self.schedule(at);
    }

    /// Notes that a member has sent SyncGroup.
    pub(crate) fn received_sync(&mut self, member_id: &str) {
        self.pending_sync.remove(member_id);
        if self.pending_sync.is_empty() {
            self.sync_deadline = None;
        }
    }

    /// Members that have not sent SyncGroup within the rebalance timeout are gone; the others rebalance.
    pub(crate) fn on_sync_deadline(&mut self, turn: &mut Turn<'_>) {
        self.sync_deadline = None;
        let silent = std::mem::take(&mut self.pending_sync);
        for member_id in &silent {
            self.remove(member_id);
        }
        if !silent.is_empty() {
            self.on_members_removed(turn);
        }
    }

    /// Gives every waiting member its assignment.
    pub(crate) fn propagate_assignments(&mut self, turn: &mut Turn<'_>) {
        self.answer_syncs(turn, sync_response);
    }

    /// Takes the assignments back and tells every waiting member why.
    pub(crate) fn withdraw_assignments(&mut self, error: ErrorCode, turn: &mut Turn<'_>) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
        self.answer_syncs(turn, |_, _| sync_error(error));
    }

    fn answer_syncs(&mut self, turn: &mut Turn<'_>, response: impl Fn(&Self, &str) -> SyncGroupResponse) {
        let waiting: Vec<_> =
            self.members.values_mut().filter_map(|m| Some((m.id.clone(), m.syncing.take()?))).collect();
        for (member_id, parked) in waiting {
            turn.reply(parked.token, GroupReply::Sync(response(self, &member_id)));
            self.restart_session(&member_id, turn);
        }
    }
}
