//! Where two logs part, told by leader epochs (KIP-101, KIP-279, KIP-595).

use crate::mutation::{Mutation, is_active};

/// A leader epoch and the offset after its last record in one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// Leader epoch.
    pub epoch: i32,
    /// Offset after the epoch's last record.
    pub end_offset: i64,
}

/// What a leader answers a follower whose log ends at `fetch_offset` in epoch `last_fetched_epoch`: `None` when the
/// logs agree up to there, else the `DivergingEpoch` of the fetch response.
///
/// `own` is the end, in the leader's log, of its largest epoch that is not above `last_fetched_epoch`.
pub fn diverging_epoch(fetch_offset: i64, last_fetched_epoch: i32, own: EpochEnd) -> Option<EpochEnd> {
    if is_active(Mutation::DivergenceIgnored) {
        return None;
    }
    (own.epoch < last_fetched_epoch || own.end_offset < fetch_offset).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_agree_when_the_epoch_reaches_past_the_fetch_offset() {
        assert_eq!(diverging_epoch(10, 3, EpochEnd { epoch: 3, end_offset: 10 }), None);
        assert_eq!(diverging_epoch(10, 3, EpochEnd { epoch: 3, end_offset: 12 }), None);
    }

    #[test]
    fn a_shorter_epoch_or_a_missing_one_diverges() {
        let shorter = EpochEnd { epoch: 3, end_offset: 9 };
        assert_eq!(diverging_epoch(10, 3, shorter), Some(shorter));
        let missing = EpochEnd { epoch: 2, end_offset: 12 };
        assert_eq!(diverging_epoch(10, 3, missing), Some(missing));
    }
}
