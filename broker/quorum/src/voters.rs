//! Changes of the voters, on the leader: one at a time, by joint consensus.
//!
//! Who becomes a voter receives the log as an observer first and has caught up. Who is removed stays an observer if it
//! answers; the leader itself hands over before it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::members::{self, Member};
use crate::types::{Metrics, Raft, Voter, node_id, offset_of, raft_id};
use crate::{Peer, QuorumConfig, QuorumStatus, VoterError};

/// How long a change waits for another one to end.
const TURN: Duration = Duration::from_secs(1);
/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(10);
/// Time for a change that nobody waits for.
pub(crate) const UNHURRIED: Duration = Duration::from_secs(10);
/// Observers that may be known at a time.
const MOST_OBSERVERS: usize = 32;

pub(crate) type Change = ChangeMembers<u64, Voter>;

/// Changes the voters, if this node leads.
pub(crate) struct Voters {
    pub(crate) raft: Raft,
    pub(crate) config: Arc<QuorumConfig>,
    pub(crate) status: watch::Receiver<QuorumStatus>,
    /// Held while a change is under way.
    pub(crate) turn: Mutex<()>,
    /// Observers that want to vote.
    pub(crate) volunteers: parking_lot::Mutex<BTreeSet<u64>>,
}

impl Voters {
    /// Makes a disk of a node a voter within `limit`.
    pub(crate) async fn add(
        &self,
        peer: Peer,
        directory_id: Uuid,
        limit: Duration,
    ) -> Result<(), VoterError> {
        let deadline = Instant::now() + limit;
        let _turn = self.begin(deadline).await?;
        let (id, before) = (raft_id(peer.id, directory_id), self.members());
        if before.iter().any(|member| member.votes && node_id(member.raft_id) == peer.id) {
            return Err(VoterError::Duplicate(peer.id));
        }
        let is_new = !before.iter().any(|member| member.raft_id == id);
        if is_new {
            let observer = Voter { directory_id, host: peer.host, port: peer.port };
            self.observe(id, observer, &before, deadline).await?;
        }
        if let Err(error) = self.caught_up(id, deadline).await {
            if is_new {
                let undo = Change::RemoveNodes(BTreeSet::from([id]));
                // It is forgotten later if this fails.
                drop(self.change(undo, Instant::now() + TURN).await);
            }
            return Err(error);
        }
        self.change(Change::AddVoterIds(BTreeSet::from([id])), deadline).await
    }

    /// Removes a voter other than this node within `limit`.
    pub(crate) async fn remove(
        &self,
        id: i32,
        directory_id: Uuid,
        limit: Duration,
    ) -> Result<(), VoterError> {
        let deadline = Instant::now() + limit;
        let _turn = self.begin(deadline).await?;
        let (gone, goal) = self.rest_answers(id, directory_id, deadline).await?;
        let is_kept = gone.answered_within(self.config.lease() * 2);
        self.change_keeping(Change::ReplaceAllVoters(goal), is_kept, deadline).await
    }

    /// The voter that shall go and those that would be left, once a majority of the latter answers. A leader that has
    /// just taken over has not heard of everybody yet, so it waits before it says no.
    async fn rest_answers(
        &self,
        id: i32,
        directory_id: Uuid,
        deadline: Instant,
    ) -> Result<(Member, BTreeSet<u64>), VoterError> {
        let (me, recent) = (self.metrics().id, self.config.lease() * 2);
        let until = deadline.min(Instant::now() + recent);
        loop {
            self.check_leader()?;
            let members = self.members();
            let gone = find(&members, id, directory_id)?;
            let rest = || members.iter().filter(|member| member.votes && member.raft_id != gone.raft_id);
            let answers = |member: &&Member| member.raft_id == me || member.answered_within(recent);
            if rest().filter(answers).count() > rest().count() / 2 {
                return Ok((gone.clone(), rest().map(|member| member.raft_id).collect()));
            }
            if Instant::now() >= until {
                return Err(VoterError::NoMajority(id));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Checks whether a voter may be removed at all; true if it is this node, which hands over first.
    pub(crate) fn is_me(&self, id: i32, directory_id: Uuid) -> Result<bool, VoterError> {
        self.check_leader()?;
        let members = self.members();
        let gone = find(&members, id, directory_id)?;
        if members.iter().filter(|member| member.votes).count() == 1 {
            return Err(VoterError::LastVoter(id));
        }
        Ok(gone.raft_id == self.metrics().id)
    }

    /// Lets a disk have the log, unless it is a member already.
    pub(crate) async fn admit(&self, id: u64, observer: Voter) -> Result<(), VoterError> {
        let deadline = Instant::now() + UNHURRIED;
        let _turn = self.begin(deadline).await?;
        let before = self.members();
        if before.iter().any(|member| member.raft_id == id) {
            return Ok(());
        }
        tracing::info!(node = node_id(id), directory = %observer.directory_id, "a controller observes the quorum");
        self.observe(id, observer, &before, deadline).await
    }

    /// Adds an observer in the place of other disks of its node that do not vote.
    async fn observe(
        &self,
        id: u64,
        observer: Voter,
        before: &[Member],
        deadline: Instant,
    ) -> Result<(), VoterError> {
        let is_old = |member: &&Member| !member.votes && node_id(member.raft_id) == node_id(id);
        let old: BTreeSet<u64> = before.iter().filter(is_old).map(|member| member.raft_id).collect();
        let observers = before.iter().filter(|member| !member.votes).count();
        if observers >= MOST_OBSERVERS + old.len() {
            return Err(VoterError::TimedOut("no place among the observers became free".to_owned()));
        }
        let changes = vec![Change::RemoveNodes(old), Change::AddNodes(BTreeMap::from([(id, observer)]))];
        self.change(Change::Batch(changes), deadline).await
    }

    /// Waits until the observer has what was committed when it was asked for, and then what was committed meanwhile.
    async fn caught_up(&self, id: u64, deadline: Instant) -> Result<(), VoterError> {
        for _ in 0..2 {
            let goal = self.status.borrow().log.committed;
            loop {
                self.check_leader()?;
                let members = self.members();
                if members.iter().any(|member| member.raft_id == id && member.log_end >= goal) {
                    break;
                }
                if Instant::now() >= deadline {
                    let who = format!("node {} did not catch up", node_id(id));
                    return Err(VoterError::TimedOut(who));
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    pub(crate) async fn change(&self, change: Change, deadline: Instant) -> Result<(), VoterError> {
        self.change_keeping(change, true, deadline).await
    }

    /// Changes the members and waits for the commit. Past the deadline the outcome is open; what is half done is finished
    /// by the leader, whoever that is then (`tending`).
    pub(crate) async fn change_keeping(
        &self,
        change: Change,
        keeps_removed: bool,
        deadline: Instant,
    ) -> Result<(), VoterError> {
        loop {
            let changing = self.raft.change_membership(change.clone(), keeps_removed);
            let Ok(outcome) = timeout_at(deadline, changing).await else {
                return Err(VoterError::TimedOut("a majority did not confirm the change".to_owned()));
            };
            match outcome {
                Ok(written) => return self.shown(offset_of(written.log_id.index), deadline).await,
                // An entry of the leader before, or one that nobody waited for.
                Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                    ChangeMembershipError::InProgress(_),
                ))) if Instant::now() < deadline => tokio::time::sleep(LOOK).await,
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                    return Err(VoterError::NotLeader { hint: forward.leader_id.map(node_id) });
                }
                Err(error) => {
                    tracing::warn!(%error, "the voters were not changed");
                    return Err(VoterError::InProgress);
                }
            }
        }
    }

    /// Waits until the status shows a change, so that whoever asked for it and looks again finds it.
    async fn shown(&self, offset: i64, deadline: Instant) -> Result<(), VoterError> {
        let mut status = self.status.clone();
        let shown = status.wait_for(|status| status.log.committed > offset || status.stopped.is_some());
        match timeout_at(deadline, shown).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(VoterError::TimedOut("the change is made, and this node does not show it".to_owned())),
        }
    }

    /// Waits for the turn of a change.
    pub(crate) async fn begin(&self, deadline: Instant) -> Result<MutexGuard<'_, ()>, VoterError> {
        self.check_leader()?;
        let until = deadline.min(Instant::now() + TURN);
        timeout_at(until, self.turn.lock()).await.map_err(|_| VoterError::InProgress)
    }

    pub(crate) fn check_leader(&self) -> Result<(), VoterError> {
        let status = self.status.borrow();
        if status.is_active { Ok(()) } else { Err(VoterError::NotLeader { hint: status.leader }) }
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow_watched().clone()
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        members::members(&self.metrics())
    }
}

fn find(members: &[Member], id: i32, directory_id: Uuid) -> Result<&Member, VoterError> {
    let is_it = |member: &&Member| {
        member.votes && node_id(member.raft_id) == id && member.voter.directory_id == directory_id
    };
    members.iter().find(is_it).ok_or(VoterError::NotFound { id, directory_id })
}
