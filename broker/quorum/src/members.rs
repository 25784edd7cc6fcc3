//! The members of the quorum as openraft's metrics have them: voters and observers, and how far each has got.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::Instant as _;
use tokio::time::Instant;

use crate::types::{Membership, Metrics, Voter, node_id, offset_of};

/// One disk of one node.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) raft_id: u64,
    pub(crate) voter: Voter,
    /// It votes, in one of two sets of voters while they are being changed.
    pub(crate) votes: bool,
    /// End of its log as far as it is acknowledged, exclusive; -1 when unknown.
    pub(crate) log_end: i64,
    /// When it last acknowledged anything; `None` when unknown, and for this node itself.
    pub(crate) last_contact: Option<Instant>,
}

impl Member {
    /// Whether it answered within `time`.
    pub(crate) fn answered_within(&self, time: Duration) -> bool {
        self.last_contact.is_some_and(|at| at.elapsed() < time)
    }
}

/// Every member, by node id, as the newest entry about them has it, whether or not that will be kept: openraft goes by it.
/// The progress of others is known on the leader only.
pub(crate) fn members(metrics: &Metrics) -> Vec<Member> {
    of(metrics, metrics.membership_config.membership())
}

/// Every member, by node id, as it is committed: what counts if this leader is gone the next moment.
pub(crate) fn committed(metrics: &Metrics) -> Vec<Member> {
    of(metrics, metrics.committed_membership_config.membership())
}

fn of(metrics: &Metrics, membership: &Membership) -> Vec<Member> {
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let mut members: Vec<Member> =
        membership.nodes().map(|(id, voter)| member(metrics, *id, voter, voters.contains(id))).collect();
    members.sort_unstable_by_key(|member| (node_id(member.raft_id), member.raft_id));
    members
}

fn member(metrics: &Metrics, raft_id: u64, voter: &Voter, votes: bool) -> Member {
    let voter = voter.clone();
    if raft_id == metrics.id {
        return Member { raft_id, voter, votes, log_end: end(metrics.last_log_index), last_contact: None };
    }
    let matched = metrics.replication.as_ref().and_then(|all| all.get(&raft_id).copied()).flatten();
    let contact = metrics.heartbeat.as_ref().and_then(|all| all.get(&raft_id).copied()).flatten();
    Member {
        raft_id,
        voter,
        votes,
        log_end: matched.map_or(-1, |matched| end(Some(matched.index))),
        last_contact: contact.and_then(|contact| Instant::now().checked_sub(contact.elapsed())),
    }
}

/// The offset after the last index.
pub(crate) fn end(last_index: Option<u64>) -> i64 {
    last_index.map_or(0, |index| offset_of(index.saturating_add(1)))
}
