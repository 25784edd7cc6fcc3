//! Rules that the simulator breaks on purpose, one at a time, to show that its properties notice.
//!
//! Only builds with the feature `mutations` can break any; in all others the question is answered at compile time.

/// A rule that can be broken in tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The raft id is that of the node, whichever disk it has, so that a disk that replaces another votes in its name.
    ReusedControllerId,
    /// A vote is answered before it is durable.
    VoteNotSynced,
    /// Entries are acknowledged before they are durable.
    AppendAcknowledgedBeforeSync,
    /// A snapshot is not durable when the entries that it holds are purged.
    SnapshotNotSynced,
    /// Of the two places of a vote, the one that a disk may have set back is believed.
    OldVoteBelieved,
    /// A log that ends before what it has acknowledged is taken for one that lost power over a write.
    LostEndIgnored,
    /// Who proposed is told that nothing was written, although it was and may yet be committed.
    UnknownCalledRefused,
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
        pub const ALL: [Self; 7] = [
            Self::ReusedControllerId,
            Self::VoteNotSynced,
            Self::AppendAcknowledgedBeforeSync,
            Self::SnapshotNotSynced,
            Self::OldVoteBelieved,
            Self::LostEndIgnored,
            Self::UnknownCalledRefused,
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
