//! Rules that simulations break on purpose, one at a time, to show that their invariants would notice.
//!
//! Only builds with the feature `mutations` can break any; in all others the question is answered at compile time.

/// A rule that can be broken in tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// One batch less than a client may have in flight is kept to recognise duplicates.
    DedupWindowTooSmall,
    /// A batch that was appended before is appended again.
    DuplicateAppended,
    /// A batch of an older producer epoch is appended.
    OldProducerEpochAppended,
    /// A failed sync is tried again as if nothing had happened.
    SyncRetriedAfterError,
    /// Recovery takes batches without comparing their checksums.
    RecoveryChecksNoCrc,
    /// Reads serve what was on the disk before this process without looking at it.
    ReadsUnchecked,
    /// A follower appends batches without comparing their checksums.
    ReplicationChecksNoCrc,
    /// A job syncs contents but not the names of new files.
    DirectoryNotSynced,
    /// Truncation leaves the leader epochs as they are.
    EpochsNotTruncated,
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
        pub const ALL: [Self; 9] = [
            Self::DedupWindowTooSmall,
            Self::DuplicateAppended,
            Self::OldProducerEpochAppended,
            Self::SyncRetriedAfterError,
            Self::RecoveryChecksNoCrc,
            Self::ReadsUnchecked,
            Self::ReplicationChecksNoCrc,
            Self::DirectoryNotSynced,
            Self::EpochsNotTruncated,
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
