//! Rules that the simulation breaks on purpose, one at a time, to show that its invariants would notice.

/// A rule that can be broken in tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// The high watermark moves although the ISR is below `min.insync.replicas`.
    HighWatermarkBelowMinIsr,
    /// The high watermark does not wait for a replica whose addition to the ISR is under way.
    HighWatermarkIgnoresPendingExpansion,
    /// The leader counts its own records before they are durable.
    LeaderCountsUndurable,
    /// A follower joins the ISR wherever its log ends.
    ExpandBelowHighWatermark,
    /// A fetch counts whatever process sent it (without KIP-903).
    BrokerEpochIgnored,
    /// A follower fetches on before its records are durable.
    FollowerFetchesBeforeFlush,
    /// The leader serves a follower whose log differs from its own.
    DivergenceIgnored,
}

/// Whether the rule is broken at the moment.
#[cfg(not(test))]
pub(crate) const fn is_active(_: Mutation) -> bool {
    false
}

#[cfg(test)]
pub(crate) use seeded::{is_active, with};

#[cfg(test)]
mod seeded {
    use std::cell::Cell;

    use super::Mutation;

    thread_local! {
        static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    pub(crate) fn is_active(mutation: Mutation) -> bool {
        ACTIVE.get() == Some(mutation)
    }

    /// Runs `body` with the rule broken.
    pub(crate) fn with<T>(mutation: Option<Mutation>, body: impl FnOnce() -> T) -> T {
        ACTIVE.set(mutation);
        let result = body();
        ACTIVE.set(None);
        result
    }
}
