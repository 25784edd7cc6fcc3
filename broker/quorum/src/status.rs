//! What the rest of the process sees of the quorum, derived from openraft's metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Instant as _, ServerState};
use tokio::sync::watch;

use uuid::Uuid;

use crate::members::{self, Member, end};
use crate::network::address;
use crate::types::{LogId, Metrics, Raft, epoch_of, node_id, term_of};
use crate::{Peer, QuorumConfig};

/// How far a member has got, as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaProgress {
    /// The member's node id.
    pub id: i32,
    /// Its disk; nil for one that its members know by its node id alone.
    pub directory_id: Uuid,
    /// Where its CONTROLLER listener is.
    pub address: Peer,
    /// End of its log as far as it is acknowledged, exclusive; -1 when unknown.
    pub log_end: i64,
    /// When it last acknowledged anything; `None` when unknown, and for this node itself.
    pub last_contact: Option<Instant>,
}

/// How far this node's copy of the metadata log goes, each as the first offset that is not part of it. They never fall
/// behind one another: `purged <= snapshot <= applied <= committed <= log_end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPositions {
    /// What is left only in a snapshot.
    pub purged: i64,
    /// What the newest snapshot holds.
    pub snapshot: i64,
    /// What the image holds.
    pub applied: i64,
    /// What is known to be committed.
    pub committed: i64,
    /// What is in the log.
    pub log_end: i64,
}

impl LogPositions {
    fn of(metrics: &Metrics) -> LogPositions {
        let after = |id: Option<LogId>| end(id.map(|id| id.index));
        LogPositions {
            purged: after(metrics.purged),
            snapshot: after(metrics.snapshot),
            applied: after(metrics.last_applied),
            committed: after(metrics.local_committed),
            log_end: end(metrics.last_log_index),
        }
    }
}

/// The quorum as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumStatus {
    /// The leader that this node knows of. Nothing says that it is still alive.
    pub leader: Option<i32>,
    /// The leader epoch.
    pub epoch: i32,
    /// This node leads, a quorum has confirmed that within the lease, and everything committed in earlier epochs is in
    /// its image. It is a hint for who should decide, not a permission: only an applied proposal is.
    pub is_active: bool,
    /// How far this node's log goes.
    pub log: LogPositions,
    /// All voters; the progress of others is known on the leader only. Two may have the same node id while one of them
    /// is a disk that is lost. A change shows when it is committed, and not when a leader has only begun it.
    pub voters: Vec<ReplicaProgress>,
    /// Controllers that have the log but do not vote.
    pub observers: Vec<ReplicaProgress>,
    /// Why the quorum has stopped on this node, once it has.
    pub stopped: Option<String>,
}

impl QuorumStatus {
    pub(crate) fn unknown() -> QuorumStatus {
        QuorumStatus {
            leader: None,
            epoch: -1,
            is_active: false,
            log: LogPositions::default(),
            voters: Vec::new(),
            observers: Vec::new(),
            stopped: None,
        }
    }

    fn from_metrics(metrics: &Metrics, config: &QuorumConfig) -> QuorumStatus {
        let (voters, observers): (Vec<Member>, Vec<Member>) =
            members::committed(metrics).into_iter().partition(|member| member.votes);
        let lease = config.lease();
        QuorumStatus {
            // openraft initialises a log in term 0 in the node's own name, which makes nobody a leader.
            leader: metrics.current_leader.filter(|_| metrics.current_term > 0).map(node_id),
            epoch: epoch_of(metrics.current_term),
            is_active: is_active(metrics, lease),
            log: LogPositions::of(metrics),
            voters: voters.into_iter().map(|member| progress(config, member)).collect(),
            observers: observers.into_iter().map(|member| progress(config, member)).collect(),
            stopped: metrics.running_state.as_ref().err().map(ToString::to_string),
        }
    }

    /// Equal but for the times of contact, which change with every heartbeat, and what a node does with its own log.
    fn same_news(&self, other: &QuorumStatus) -> bool {
        fn progress(status: &QuorumStatus) -> impl Iterator<Item = (bool, i32, Uuid, i64)> {
            let of = |votes| move |one: &ReplicaProgress| (votes, one.id, one.directory_id, one.log_end);
            status.voters.iter().map(of(true)).chain(status.observers.iter().map(of(false)))
        }
        (self.leader, self.epoch, self.is_active) == (other.leader, other.epoch, other.is_active)
            && (self.log.committed, self.log.log_end) == (other.log.committed, other.log.log_end)
            && self.stopped == other.stopped
            && progress(self).eq(progress(other))
    }
}

fn is_active(metrics: &Metrics, lease: Duration) -> bool {
    let leads = metrics.state == ServerState::Leader && metrics.running_state.is_ok();
    let caught_up = metrics.last_applied.is_some_and(|id| term_of(&id) == metrics.current_term);
    leads && caught_up && lease_left(metrics, lease).is_some()
}

/// How long the last confirmation by a quorum still holds; a single voter confirms itself forever.
fn lease_left(metrics: &Metrics, lease: Duration) -> Option<Duration> {
    let mut voters = metrics.membership_config.membership().voter_ids();
    if (voters.next(), voters.next()) == (Some(metrics.id), None) {
        return Some(Duration::MAX);
    }
    let left = lease.checked_sub(metrics.last_quorum_acked?.elapsed())?;
    (!left.is_zero()).then_some(left)
}

/// Whether this node takes part in a quorum that has a leader: it leads and is answered, or has heard of its leader of late.
pub(crate) fn is_led(metrics: &Metrics, lease: Duration, heard: Option<tokio::time::Instant>) -> bool {
    match metrics.current_leader.filter(|_| metrics.current_term > 0 && metrics.running_state.is_ok()) {
        None => false,
        // Who has just been elected has not been answered yet.
        Some(leader) if leader == metrics.id => {
            metrics.last_quorum_acked.is_none() || lease_left(metrics, lease).is_some()
        }
        Some(_) => heard.is_some_and(|at| at.elapsed() < 2 * lease),
    }
}

fn progress(config: &QuorumConfig, member: Member) -> ReplicaProgress {
    ReplicaProgress {
        id: node_id(member.raft_id),
        directory_id: member.voter.directory_id,
        address: address(config, member.raft_id, &member.voter),
        log_end: member.log_end,
        last_contact: member.last_contact.map(tokio::time::Instant::into_std),
    }
}

/// The raft id of the voter that should lead next: it answered within `lease`, and its log is the most complete.
pub(crate) fn successor(metrics: &Metrics, lease: Duration) -> Option<u64> {
    let may = |member: &Member| member.votes && member.answered_within(lease);
    let best = members::members(metrics).into_iter().filter(may).max_by_key(|member| member.log_end);
    best.map(|member| member.raft_id)
}

/// Keeps `status` current until openraft stops or this member is found unfit. Losing the lease is news although no metric
/// changes then.
pub(crate) async fn keep_current(
    raft: Raft,
    status: watch::Sender<QuorumStatus>,
    config: Arc<QuorumConfig>,
    mut unfit: watch::Receiver<Option<String>>,
) {
    let mut changes = raft.metrics();
    loop {
        let metrics = changes.borrow_watched().clone();
        let news = QuorumStatus::from_metrics(&metrics, &config);
        let active = news.is_active;
        status.send_if_modified(|current| {
            let modified = !current.same_news(&news);
            *current = news;
            modified
        });
        let until_lost = lease_left(&metrics, config.lease()).filter(|_| active).unwrap_or(Duration::MAX);
        let changed = tokio::select! {
            biased;
            Ok(why) = unfit.wait_for(Option::is_some) => return mark_stopped(&status, why.clone()),
            changed = changes.changed() => changed.is_ok(),
            () = tokio::time::sleep(until_lost.min(Duration::from_secs(3600))) => true,
        };
        if !changed {
            return mark_stopped(&status, None);
        }
    }
}

/// Returns when this node has not been the confirmed leader for as long as a lease lasts, or the quorum has stopped on it.
/// openraft leaves an accepted proposal pending then, until another leader's log decides it.
pub(crate) async fn leadership_lost(mut status: watch::Receiver<QuorumStatus>, lease: Duration) {
    loop {
        if status.wait_for(|status| !status.is_active).await.is_err() {
            return;
        }
        let regained = tokio::time::timeout(lease, status.wait_for(|status| status.is_active)).await;
        // Neither in time, nor ever again where nobody keeps the status any more.
        if !matches!(regained, Ok(Ok(_))) {
            return;
        }
    }
}

fn mark_stopped(status: &watch::Sender<QuorumStatus>, why: Option<String>) {
    status.send_modify(|current| {
        current.is_active = false;
        current.stopped = why.or_else(|| current.stopped.take()).or_else(|| Some("shut down".to_owned()));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(10);

    fn status(is_active: bool) -> QuorumStatus {
        QuorumStatus { is_active, ..QuorumStatus::unknown() }
    }

    async fn is_lost(statuses: watch::Receiver<QuorumStatus>) -> bool {
        tokio::time::timeout(Duration::from_secs(2), leadership_lost(statuses, SHORT)).await.is_ok()
    }

    #[tokio::test]
    async fn a_quorum_that_has_stopped_has_lost_its_leadership() {
        let (sender, statuses) = watch::channel(status(true));
        sender.send_replace(status(false));
        drop(sender);
        assert!(is_lost(statuses).await);
    }

    #[tokio::test]
    async fn leadership_is_lost_after_a_lease_without_it() {
        let (sender, statuses) = watch::channel(status(true));
        let waiting = tokio::spawn(is_lost(statuses));
        sender.send_replace(status(false));
        assert!(waiting.await.expect("it ends"));
    }
}
