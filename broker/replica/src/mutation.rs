//! Rules that simulations break on purpose, one at a time, to show that their invariants would notice.
//!
//! Only tests, and builds with the feature `mutations`, can break any; in all others the question is answered at compile
//! time.

/// A rule that can be broken in tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The high watermark moves although the ISR is below `min.insync.replicas`.
    HighWatermarkBelowMinIsr,
    /// The high watermark does not wait for a replica whose addition to the ISR is under way.
    HighWatermarkIgnoresPendingExpansion,
    /// The leader counts its own records before they are durable.
    LeaderCountsUndurable,
    /// A follower joins the ISR wherever its log ends.
    ExpandBelowHighWatermark,
    /// A follower joins the ISR below the start of the leader's epoch.
    ExpandBelowEpochStart,
    /// A fetch counts whatever process sent it (without KIP-903).
    BrokerEpochIgnored,
    /// A follower fetches on before its records are durable.
    FollowerFetchesBeforeFlush,
    /// The leader serves a follower whose log differs from its own.
    DivergenceIgnored,
    /// A follower whose log parts from the leader's truncates to its high watermark (before KIP-101).
    TruncatesToHighWatermark,
    /// A follower fetches from the leader of an epoch that is over, as its own log shows.
    FollowsOldLeader,
    /// A follower takes answers to whatever it asked for before.
    StaleAnswerTaken,
    /// A proposal that is made again names the processes that are there by then.
    RetryNamesSuccessors,
    /// A follower joins the ISR while it holds what was deleted.
    ExpandBelowLogStart,
    /// The low watermark does not wait for the ELR.
    DeletionIgnoresElr,
}

/// Whether the rule is broken at the moment.
#[cfg(not(any(test, feature = "mutations")))]
pub(crate) const fn is_active(_: Mutation) -> bool {
    false
}

#[cfg(any(test, feature = "mutations"))]
pub(crate) use seeded::is_active;
#[cfg(any(test, feature = "mutations"))]
pub use seeded::with;

#[cfg(any(test, feature = "mutations"))]
mod seeded {
    use std::cell::Cell;

    use super::Mutation;

    impl Mutation {
        /// Every rule.
        pub const ALL: [Self; 14] = [
            Self::HighWatermarkBelowMinIsr,
            Self::HighWatermarkIgnoresPendingExpansion,
            Self::LeaderCountsUndurable,
            Self::ExpandBelowHighWatermark,
            Self::ExpandBelowEpochStart,
            Self::BrokerEpochIgnored,
            Self::FollowerFetchesBeforeFlush,
            Self::DivergenceIgnored,
            Self::TruncatesToHighWatermark,
            Self::FollowsOldLeader,
            Self::StaleAnswerTaken,
            Self::RetryNamesSuccessors,
            Self::ExpandBelowLogStart,
            Self::DeletionIgnoresElr,
        ];
    }

    thread_local! {
        static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    pub(crate) fn is_active(mutation: Mutation) -> bool {
        ACTIVE.get() == Some(mutation)
    }

    /// Runs `body` with the rule broken on this thread.
    pub fn with<T>(mutation: Option<Mutation>, body: impl FnOnce() -> T) -> T {
        ACTIVE.set(mutation);
        let result = body();
        ACTIVE.set(None);
        result
    }
}
