//! Rules that simulations break on purpose, one at a time, to show that their invariants would notice.
//!
//! Only builds with the feature `mutations` can break any; in all others the question is answered at compile time.

/// A rule that can be broken in tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Replicas stay eligible although the ISR is large enough again (KIP-966).
    ElrKeptTooLong,
    /// A broker that did not stop cleanly stays an eligible leader (KIP-966).
    LostTailStaysEligible,
    /// A broker is unfenced before it has applied its own registration.
    UnfencedBeforeCaughtUp,
    /// A proposal against an older partition epoch is accepted.
    StalePartitionEpochAccepted,
    /// A proposed ISR is accepted whatever process of its members it names (KIP-903).
    BrokerEpochOfMembersIgnored,
    /// A broker counts as stopped cleanly whatever registration its marker names (KIP-966).
    BrokerEpochOfMarkerIgnored,
    /// The leader epoch stays when a replica is removed.
    RemovalKeepsEpoch,
    /// The partition epoch stays when a proposal is refused.
    RefusalKeepsEpoch,
}

/// Whether the rule is broken at the moment.
#[cfg(not(feature = "mutations"))]
pub(crate) const fn is_active(_: Mutation) -> bool {
    false
}

#[cfg(feature = "mutations")]
pub(crate) use seeded::is_active;
#[cfg(feature = "mutations")]
pub use seeded::with;

#[cfg(feature = "mutations")]
mod seeded {
    use std::cell::Cell;

    use super::Mutation;

    impl Mutation {
        /// Every rule.
        pub const ALL: [Self; 8] = [
            Self::ElrKeptTooLong,
            Self::LostTailStaysEligible,
            Self::UnfencedBeforeCaughtUp,
            Self::StalePartitionEpochAccepted,
            Self::BrokerEpochOfMembersIgnored,
            Self::BrokerEpochOfMarkerIgnored,
            Self::RemovalKeepsEpoch,
            Self::RefusalKeepsEpoch,
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
