//! What the leader does about the members unasked: it finishes changes that were left half done, puts a new disk in the
//! place of a lost one, lets volunteers vote, and forgets observers that are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::QuorumConfig;
use crate::members::Member;
use crate::types::node_id;
use crate::voters::{Change, UNHURRIED, Voters};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// How long a change may be half done before it is taken for abandoned.
const ABANDONED: Duration = Duration::from_secs(1);
/// How recently who is let in must have answered.
const RECENT: Duration = Duration::from_secs(1);

/// Entries that a member which has caught up may lack: under load the newest are always on their way.
const NEARLY: i64 = 64;

/// What is to be done.
#[derive(Debug, PartialEq)]
enum Due {
    /// The voters are these, and nobody else's agreement is needed any more.
    Finish(BTreeSet<u64>),
    /// The second disk takes the place of the first.
    Replace(u64, u64),
    /// An observer that asked for it becomes a voter.
    Promote(u64),
    /// An observer is gone.
    Forget(u64),
}

/// Tends the members while this node leads, until openraft stops.
pub(crate) async fn run(voters: Arc<Voters>) {
    let mut seen = Seen::default();
    loop {
        tokio::time::sleep(LOOK).await;
        let metrics = voters.metrics();
        if metrics.running_state.is_err() {
            return;
        }
        if voters.check_leader().is_err() {
            seen = Seen::default();
            continue;
        }
        let sets = metrics.membership_config.membership().get_joint_config().clone();
        let members = voters.members();
        seen.update(&members, sets.len() > 1, metrics.id);
        let volunteers = voters.volunteers.lock().clone();
        let high_watermark = voters.status.borrow().log.committed;
        if let Some(due) = seen.due(&voters.config, &sets, &members, &volunteers, high_watermark)
            && let Ok(_turn) = voters.turn.try_lock()
        {
            carry_out(&voters, due, &members).await;
        }
    }
}

async fn carry_out(voters: &Voters, due: Due, members: &[Member]) {
    tracing::info!(?due, "the leader changes the members of the quorum");
    let deadline = Instant::now() + UNHURRIED;
    let outcome = match due {
        Due::Finish(goal) => voters.change(Change::ReplaceAllVoters(goal), deadline).await,
        Due::Replace(old, new) => {
            let rest = members.iter().filter(|member| member.votes && member.raft_id != old);
            let goal = rest.map(|member| member.raft_id).chain([new]).collect();
            voters.change_keeping(Change::ReplaceAllVoters(goal), false, deadline).await
        }
        Due::Promote(id) => voters.change(Change::AddVoterIds(BTreeSet::from([id])), deadline).await,
        Due::Forget(id) => voters.change(Change::RemoveNodes(BTreeSet::from([id])), deadline).await,
    };
    if let Err(error) = outcome {
        tracing::info!(%error, "the members were not changed; trying again");
    }
}

/// Since when things are as they are, as far as this leader has seen.
#[derive(Default)]
struct Seen {
    joint_since: Option<Instant>,
    /// Members that have not answered, and since when.
    silent_since: BTreeMap<u64, Instant>,
}

impl Seen {
    fn update(&mut self, members: &[Member], is_joint: bool, me: u64) {
        self.joint_since = is_joint.then(|| self.joint_since.unwrap_or_else(Instant::now));
        let silent: BTreeSet<u64> = members
            .iter()
            .filter(|member| member.raft_id != me && !member.answered_within(RECENT))
            .map(|member| member.raft_id)
            .collect();
        self.silent_since.retain(|id, _| silent.contains(id));
        for id in silent {
            self.silent_since.entry(id).or_insert_with(Instant::now);
        }
    }

    fn is_silent_for(&self, id: u64, time: Duration) -> bool {
        self.silent_since.get(&id).is_some_and(|since| since.elapsed() >= time)
    }

    fn due(
        &self,
        config: &QuorumConfig,
        sets: &[BTreeSet<u64>],
        members: &[Member],
        volunteers: &BTreeSet<u64>,
        high_watermark: i64,
    ) -> Option<Due> {
        if let (Some(since), Some(goal)) = (self.joint_since, sets.last()) {
            // No other change can be made before.
            return (since.elapsed() >= ABANDONED).then(|| Due::Finish(goal.clone()));
        }
        let voter_of =
            |node: i32| members.iter().find(|member| member.votes && node_id(member.raft_id) == node);
        let is_ready =
            |member: &Member| member.answered_within(RECENT) && member.log_end + NEARLY >= high_watermark;
        for observer in members.iter().filter(|member| !member.votes) {
            match voter_of(node_id(observer.raft_id)) {
                Some(voter)
                    if is_ready(observer) && self.is_silent_for(voter.raft_id, config.replace_after) =>
                {
                    return Some(Due::Replace(voter.raft_id, observer.raft_id));
                }
                None if is_ready(observer) && volunteers.contains(&observer.raft_id) => {
                    return Some(Due::Promote(observer.raft_id));
                }
                _ if self.is_silent_for(observer.raft_id, config.forget_after) => {
                    return Some(Due::Forget(observer.raft_id));
                }
                _ => {}
            }
        }
        None
    }
}
