//! How the other controllers are, for decisions that depend on them.

use std::time::{Duration, Instant};

use klamm_metadata::controller::{QuorumHealth, VoterState};
use klamm_quorum::{Quorum, QuorumStatus};

/// How long a controller may take to show that it is there and complete: some twenty heartbeats.
const PROBE: Duration = Duration::from_secs(1);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// The voters that have answered since this call, or shortly before it ended. Takes as long as the slowest of them, or
/// a second when one is silent.
pub async fn probe(quorum: &Quorum) -> QuorumHealth {
    let asked = Instant::now();
    let goal = quorum.status().borrow().log.committed;
    loop {
        let health = health(&quorum.status().borrow(), asked, goal);
        let complete = health.0.values().all(|state| *state == VoterState::CaughtUp);
        if complete || asked.elapsed() >= PROBE {
            return health;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The voters by what was heard of them lately. Takes no time, and may take a dead one for alive a moment longer.
pub fn recent(quorum: &Quorum) -> QuorumHealth {
    let status = quorum.status();
    let status = status.borrow();
    let since = Instant::now().checked_sub(PROBE).unwrap_or_else(Instant::now);
    health(&status, since, status.log.committed)
}

/// Voters that have answered after `since`, and whether they hold everything before `goal`.
fn health(status: &QuorumStatus, since: Instant, goal: i64) -> QuorumHealth {
    let state = |voter: &klamm_quorum::ReplicaProgress| {
        let answers = voter.last_contact.is_some_and(|at| at >= since);
        match (Some(voter.id) == status.leader, answers) {
            (true, _) => VoterState::CaughtUp,
            (false, true) if voter.log_end >= goal => VoterState::CaughtUp,
            (false, true) => VoterState::Behind,
            (false, false) => VoterState::Silent,
        }
    };
    QuorumHealth(status.voters.iter().map(|voter| (voter.id, state(voter))).collect())
}

#[cfg(test)]
mod tests {
    use klamm_quorum::{LogPositions, Peer, ReplicaProgress};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_voter_counts_when_it_has_answered_and_lacks_nothing() {
        let since = Instant::now();
        let later = since + Duration::from_millis(1);
        let voter = |id, log_end, last_contact| {
            let address = Peer { id, host: String::new(), port: 0 };
            ReplicaProgress { id, directory_id: Uuid::nil(), address, log_end, last_contact }
        };
        let status = QuorumStatus {
            leader: Some(1),
            epoch: 3,
            is_active: true,
            log: LogPositions { committed: 10, log_end: 12, ..LogPositions::default() },
            voters: vec![
                voter(1, 12, None),
                voter(2, 10, Some(later)),
                voter(3, 9, Some(later)),
                voter(4, 12, since.checked_sub(Duration::from_millis(1))),
                voter(5, -1, None),
            ],
            observers: Vec::new(),
            stopped: None,
        };
        use VoterState::{Behind, CaughtUp, Silent};
        let found: Vec<_> = health(&status, since, 10).0.into_values().collect();
        assert_eq!(found, [CaughtUp, CaughtUp, Behind, Silent, Silent]);
    }
}
