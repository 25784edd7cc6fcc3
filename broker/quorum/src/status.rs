//! What the rest of the process sees of the quorum, derived from openraft's metrics.

use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Instant as _, ServerState};
use tokio::sync::watch;

use crate::types::{Metrics, Raft, epoch_of, node_id, offset_of, term_of};

/// How far a voter has got, as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaProgress {
    /// The voter.
    pub id: i32,
    /// End of its log as far as it is acknowledged, exclusive; -1 when unknown.
    pub log_end: i64,
    /// When it last acknowledged anything; `None` when unknown, and for this node itself.
    pub last_contact: Option<Instant>,
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
    /// First offset that is not known to be committed.
    pub high_watermark: i64,
    /// End of this node's log, exclusive.
    pub log_end: i64,
    /// All voters; the progress of others is known on the leader only.
    pub voters: Vec<ReplicaProgress>,
    /// Why the quorum has stopped on this node, once it has.
    pub stopped: Option<String>,
}

impl QuorumStatus {
    pub(crate) fn unknown() -> QuorumStatus {
        QuorumStatus {
            leader: None,
            epoch: -1,
            is_active: false,
            high_watermark: 0,
            log_end: 0,
            voters: Vec::new(),
            stopped: None,
        }
    }

    fn from_metrics(metrics: &Metrics, lease: Duration) -> QuorumStatus {
        QuorumStatus {
            // openraft initialises a log in term 0 in the node's own name, which makes nobody a leader.
            leader: metrics.current_leader.filter(|_| metrics.current_term > 0).map(node_id),
            epoch: epoch_of(metrics.current_term),
            is_active: is_active(metrics, lease),
            high_watermark: metrics.local_committed.map_or(0, |id| offset_of(id.index.saturating_add(1))),
            log_end: end(metrics.last_log_index),
            voters: voters(metrics),
            stopped: metrics.running_state.as_ref().err().map(ToString::to_string),
        }
    }

    /// The voter that should lead next: it answered within `lease`, and its log is the most complete.
    pub(crate) fn successor(&self, lease: Duration) -> Option<i32> {
        let answers = |voter: &&ReplicaProgress| voter.last_contact.is_some_and(|at| at.elapsed() < lease);
        self.voters.iter().filter(answers).max_by_key(|voter| voter.log_end).map(|voter| voter.id)
    }

    /// Equal but for the times of contact, which change with every heartbeat.
    fn same_news(&self, other: &QuorumStatus) -> bool {
        let progress = |status: &QuorumStatus| -> Vec<(i32, i64)> {
            status.voters.iter().map(|voter| (voter.id, voter.log_end)).collect()
        };
        (self.leader, self.epoch, self.is_active) == (other.leader, other.epoch, other.is_active)
            && (self.high_watermark, self.log_end) == (other.high_watermark, other.log_end)
            && self.stopped == other.stopped
            && progress(self) == progress(other)
    }
}

fn end(last_index: Option<u64>) -> i64 {
    last_index.map_or(0, |index| offset_of(index.saturating_add(1)))
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

fn voters(metrics: &Metrics) -> Vec<ReplicaProgress> {
    metrics.membership_config.membership().voter_ids().map(|id| progress_of(metrics, id)).collect()
}

fn progress_of(metrics: &Metrics, id: u64) -> ReplicaProgress {
    if id == metrics.id {
        return ReplicaProgress { id: node_id(id), log_end: end(metrics.last_log_index), last_contact: None };
    }
    let matched = metrics.replication.as_ref().and_then(|all| all.get(&id).copied()).flatten();
    let contact = metrics.heartbeat.as_ref().and_then(|all| all.get(&id).copied()).flatten();
    ReplicaProgress {
        id: node_id(id),
        log_end: matched.map_or(-1, |matched| end(Some(matched.index))),
        last_contact: contact.and_then(|contact| Instant::now().checked_sub(contact.elapsed())),
    }
}

/// Keeps `status` current until openraft stops. Losing the lease is news although no metric changes then.
pub(crate) async fn keep_current(raft: Raft, status: watch::Sender<QuorumStatus>, lease: Duration) {
    let mut changes = raft.metrics();
    loop {
        let metrics = changes.borrow_watched().clone();
        let news = QuorumStatus::from_metrics(&metrics, lease);
        let active = news.is_active;
        status.send_if_modified(|current| {
            let modified = !current.same_news(&news);
            *current = news;
            modified
        });
        let until_lost = lease_left(&metrics, lease).filter(|_| active).unwrap_or(Duration::MAX);
        let changed = tokio::select! {
            changed = changes.changed() => changed.is_ok(),
            () = tokio::time::sleep(until_lost.min(Duration::from_secs(3600))) => true,
        };
        if !changed {
            return mark_stopped(&status);
        }
    }
}

fn mark_stopped(status: &watch::Sender<QuorumStatus>) {
    status.send_modify(|current| {
        current.is_active = false;
        current.stopped.get_or_insert_with(|| "shut down".to_owned());
    });
}
