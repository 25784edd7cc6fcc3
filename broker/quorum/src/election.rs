//! Elections that need not wait for a timer: at start, and when the leader's process is known to be gone.
//!
//! Voters campaign one after another, in slots ordered by node id, so that two do not split the vote. A campaign starts
//! with a pre-vote, which costs nothing when it fails, and a voter whose log is behind loses to the next slot.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::TransferLeaderRequest;
use tokio::time::Instant;

use crate::QuorumConfig;
use crate::types::{Metrics, Raft, Vote, node_id};

/// How long one voter may try before it is the next one's turn.
const SLOT: Duration = Duration::from_millis(40);
/// Between two pre-votes of one slot.
const RETRY: Duration = Duration::from_millis(8);
/// How long voters that start together campaign in turns before openraft's timers are left alone.
const START_CAMPAIGN: Duration = Duration::from_secs(5);

/// Campaigns in turns until a leader is heard of, once the log names voters and this node is one of them.
pub(crate) async fn campaign_at_start(raft: Raft, me: u64) {
    let mut changes = raft.metrics();
    let founded = changes.wait_until(|now| now.membership_config.membership().voter_ids().next().is_some());
    let Ok(remembered) = founded.await else { return };
    let order = order(&remembered, None);
    if order == [me] {
        let _ = raft.trigger().elect(false).await;
        return;
    }
    // What a restarted node remembers of its leader says nothing about now.
    let heard_of_leader = move |now: &Metrics| {
        let news = now.vote != remembered.vote || now.cluster_committed != remembered.cluster_committed;
        news && now.vote.committed && now.vote.leader_id.term > 0
    };
    let until = Instant::now() + START_CAMPAIGN;
    Campaign { order, lease_to_drop: None, until }.run(&raft, me, heard_of_leader).await;
}

/// Stops openraft's clock while this node is the only member and leads: there is nobody to send heartbeats to and nobody
/// to wait for.
pub(crate) async fn rest_when_alone(raft: Raft) {
    let mut changes = raft.metrics();
    loop {
        let alone = is_alone(&changes.borrow_watched());
        raft.runtime_config().tick(!alone);
        if changes.wait_until(|now| is_alone(now) != alone).await.is_err() {
            return;
        }
    }
}

/// Whether this node leads and is the only member.
pub(crate) fn is_alone(now: &Metrics) -> bool {
    let mut members = now.membership_config.membership().nodes();
    now.state == ServerState::Leader
        && members.next().map(|(id, _)| *id) == Some(now.id)
        && members.next().is_none()
}

/// Campaigns in turns after the leader's process was found dead. Returns at once on the leader itself.
///
/// This voter stops honouring the lease that it granted to that leader: the lease is the promise not to vote while the
/// leader may be alive, and this voter has seen that it is not. Others keep their promise until they have seen the same,
/// so a quorum is needed to believe it. Votes, terms and the comparison of logs are untouched: at worst, if the leader
/// lives after all, it is deposed early. Reads that must not be stale use a quorum round, never the lease.
pub(crate) async fn campaign_without_leader(raft: Raft, me: u64, config: Arc<QuorumConfig>) {
    let metrics = raft.metrics().borrow_watched().clone();
    let vote = metrics.vote;
    let gone = vote.leader_id.voted_for;
    if !vote.committed || gone == me || vote.leader_id.term == 0 {
        return;
    }
    let replaced = move |now: &Metrics| now.vote.committed && now.vote.leader_id.term > vote.leader_id.term;
    let until = Instant::now() + config.lease() * 2;
    Campaign { order: order(&metrics, Some(gone)), lease_to_drop: Some(vote), until }
        .run(&raft, me, replaced)
        .await;
}

/// The voters other than `without` in the order in which they campaign.
fn order(metrics: &Metrics, without: Option<u64>) -> Vec<u64> {
    let voters = metrics.membership_config.membership().voter_ids();
    in_turn(voters.filter(|id| Some(*id) != without).collect())
}

/// By node id, so that an operator can tell whose turn it is.
fn in_turn(mut voters: Vec<u64>) -> Vec<u64> {
    voters.sort_unstable_by_key(|id| (node_id(*id), *id));
    voters
}

struct Campaign {
    order: Vec<u64>,
    lease_to_drop: Option<Vote>,
    until: Instant,
}

impl Campaign {
    async fn run(self, raft: &Raft, me: u64, done: impl Fn(&Metrics) -> bool) {
        let Some(rank) = self.order.iter().position(|id| *id == me) else { return };
        let begin = Instant::now();
        let mut seen = (raft.metrics().borrow_watched().vote, begin);
        while Instant::now() < self.until {
            let metrics = raft.metrics().borrow_watched().clone();
            if done(&metrics) || metrics.running_state.is_err() {
                return;
            }
            if metrics.vote != seen.0 {
                seen = (metrics.vote, Instant::now());
            }
            if let Some(vote) = self.lease_to_drop {
                drop_lease(raft, vote).await;
            }
            // A fresh vote that is not committed is an election under way: leave it the time of one slot.
            let undisturbed = metrics.vote.committed || seen.1 == begin || seen.1.elapsed() >= SLOT;
            if undisturbed && slot(begin.elapsed(), self.order.len()) == rank {
                let _ = raft.trigger().elect(true).await;
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Whose turn it is after `elapsed`.
fn slot(elapsed: Duration, voters: usize) -> usize {
    let slots = elapsed.as_millis() / SLOT.as_millis();
    usize::try_from(slots % voters.max(1) as u128).unwrap_or(0)
}

/// Takes the lease of `vote` back on this voter, if that is still its vote. In openraft that is what a voter does that
/// hears of a leadership transfer to somebody else; the leader itself is named as the target, so nobody campaigns here.
async fn drop_lease(raft: &Raft, vote: Vote) {
    let _ =
        raft.handle_transfer_leader(TransferLeaderRequest::new(vote, vote.leader_id.voted_for, None)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voters_campaign_in_turns_by_node_id() {
        let [first, second] = [(9 << 32) | 1, (4 << 32) | 2];
        assert_eq!(in_turn(vec![second, first, 3]), [first, second, 3]);
        assert_eq!(slot(Duration::from_millis(0), 2), 0);
        assert_eq!(slot(SLOT, 2), 1);
        assert_eq!(slot(SLOT * 2, 2), 0);
    }
}
