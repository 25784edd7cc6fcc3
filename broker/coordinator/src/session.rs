//! What happens when a group's deadlines pass, and when the connection of a waiting member closes.

use klamm_wire::Str;

use crate::group::{Group, GroupState, JoinTimer, Turn};
use crate::member::{Joining, Member, Parked};

impl Group {
    /// Acts on every deadline that has come, and works out when the group must be looked at next.
    pub(crate) fn on_deadline(&mut self, turn: &mut Turn<'_>) {
        self.expire_pending_members(turn);
        self.expire_sessions(turn);
        if self.join_timer.is_some_and(|timer| timer.at() <= turn.now.steady_ms) {
            self.on_join_timer(turn);
        }
        if self.sync_deadline.is_some_and(|at| at <= turn.now.steady_ms) {
            self.on_sync_deadline(turn);
        }
        self.earliest = self.earliest_deadline();
    }

    /// Ids handed out with MEMBER_ID_REQUIRED that were never used no longer hold up a rebalance.
    fn expire_pending_members(&mut self, turn: &mut Turn<'_>) {
        let before = self.pending_join.len();
        self.pending_join.retain(|_, deadline| *deadline > turn.now.steady_ms);
        if self.pending_join.len() < before {
            self.complete_join_if_all_joined(turn);
        }
    }

    /// Members that were not heard of within their session timeout are gone; the others rebalance.
    fn expire_sessions(&mut self, turn: &mut Turn<'_>) {
        let is_expired =
            |member: &&Member| member.session_deadline <= turn.now.steady_ms && !member.may_be_silent();
        let expired: Vec<Str> =
            self.members.values().filter(is_expired).map(|member| member.id.clone()).collect();
        if expired.is_empty() {
            return;
        }
        for member_id in &expired {
            self.evict(member_id, turn);
        }
        self.on_members_removed(turn);
    }

    /// Lets the remaining members go on after others have left.
    pub(crate) fn on_members_removed(&mut self, turn: &mut Turn<'_>) {
        if !self.is(GroupState::Empty) {
            self.rebalance_or_complete_join(turn);
        }
    }

    /// The connection of a waiting member has closed, so its reply cannot arrive. A member that has never had a reply is
    /// gone for good: nobody knows its id. Others have their session timeout to come back.
    pub(crate) fn on_cancelled(&mut self, token: u64, turn: &mut Turn<'_>) {
        let waits = |parked: Parked| parked.token == token;
        let is_sync = |member: &Member| member.syncing.is_some_and(waits);
        let is_join = |member: &Member| matches!(member.joining, Joining::Parked(parked) if waits(parked));
        let Some(member) = self.members.values_mut().find(|member| is_sync(member) || is_join(member)) else {
            return;
        };
        let member_id = member.id.clone();
        if is_sync(member) {
            member.syncing = None;
            self.restart_session(&member_id, turn);
        } else if member.is_new {
            self.remove(&member_id);
            self.on_members_removed(turn);
        } else {
            self.set_joining(&member_id, Joining::Abandoned);
            self.restart_session(&member_id, turn);
        }
    }

    fn earliest_deadline(&self) -> i64 {
        let sessions = self.members.values().filter(|m| !m.may_be_silent()).map(|m| m.session_deadline);
        let pending = self.pending_join.values().copied();
        let phases = self.join_timer.map(JoinTimer::at).into_iter().chain(self.sync_deadline);
        sessions.chain(pending).chain(phases).min().unwrap_or(i64::MAX)
    }
}
