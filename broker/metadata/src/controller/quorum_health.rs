//! How the voters of the metadata quorum are, as their leader sees them.

use std::collections::BTreeMap;

/// One voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoterState {
    /// It answers, and holds everything that is committed. The leader always does.
    CaughtUp,
    /// It answers, but lacks committed entries.
    Behind,
    /// It does not answer.
    Silent,
}

/// All voters, by node id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumHealth(pub BTreeMap<i32, VoterState>);

impl QuorumHealth {
    /// Whether the node is a voter that holds everything committed.
    pub(super) fn is_caught_up(&self, node: i32) -> bool {
        self.0.get(&node) == Some(&VoterState::CaughtUp)
    }

    /// Voters besides `node` that hold everything committed.
    pub(super) fn caught_up_without(&self, node: i32) -> usize {
        self.0.keys().filter(|id| **id != node && self.is_caught_up(**id)).count()
    }

    /// How many voters have to be caught up while one of them is away: a majority of all of them. One or two voters
    /// cannot spare any, so that there all others are asked for and the quorum waits for the one that is away.
    pub(super) fn needed_without_one(&self) -> usize {
        match self.0.len() {
            few @ 0..=2 => few.saturating_sub(1),
            many => many / 2 + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_of_all_voters_has_to_remain_where_one_can_be_spared() {
        let needed = |voters: i32| {
            QuorumHealth((0..voters).map(|id| (id, VoterState::CaughtUp)).collect()).needed_without_one()
        };
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(needed), [0, 0, 1, 2, 3, 3, 4, 4]);
    }
}
