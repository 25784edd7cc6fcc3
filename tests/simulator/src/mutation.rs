//! Rules that are broken on purpose, to show that the invariants notice.
//!
//! Those of the broker's crates live there, behind their feature `mutations`; those of the glue between them, which the
//! server has in its own form, live in the simulated node.

use std::cell::Cell;

/// A rule that can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A rule of the replicas.
    #[cfg(feature = "mutations")]
    Replica(klamm_replica::mutation::Mutation),
    /// A rule of the controller.
    #[cfg(feature = "mutations")]
    Metadata(klamm_metadata::mutation::Mutation),
    /// A rule of the log.
    #[cfg(feature = "mutations")]
    Log(klamm_log::mutation::Mutation),
    /// A rule of the metadata quorum.
    #[cfg(feature = "mutations")]
    Quorum(klamm_quorum::mutation::Mutation),
    /// The leader answers fetches of any leader epoch.
    FetchEpochIgnored,
    /// A producer is answered when its records are appended.
    AckOnAppend,
    /// A controller refuses an ISR without having made sure that it still is the active one.
    RefusesUnconfirmed,
    /// A controller answers although its proposal failed.
    RepliesBeforeCommit,
    /// A process leads before its own registration has reached it, in an epoch of the process before.
    LeadsBeforeRegistration,
    /// A process follows before its own registration has reached it, perhaps a leader that the process before knew to be replaced.
    FollowsBeforeRegistration,
    /// The clean-shutdown marker is written before the logs are closed.
    MarkerBeforeClose,
    /// A process that stops after a failed write says that it stopped cleanly.
    MarkerAfterFailure,
    /// A log that was poisoned while it was truncated is kept as if nothing had happened.
    TruncationFailureIgnored,
    /// The stored recovery point stays where it was when a log is truncated below it.
    RecoveryPointOutlivesTruncation,
    /// A log that was closed cleanly and ends below its recovery point now counts as complete.
    ShortLogBelieved,
    /// A damaged copy is cut while others still count on it.
    DamageCutAtOnce,
    /// A disk counts as full until a write succeeds, also when nothing is left to write.
    DiskFullRemembered,
    /// Lags of replicas, their pauses and the sessions of group members are measured by the wall clock, which jumps.
    PausesByWallClock,
    /// A leader's own session, which decides whether it may say that a batch is out of sequence, is measured by the wall clock.
    SessionByWallClock,
    /// DeleteRecords is acknowledged when the leader has deleted.
    DeletionAcknowledgedAtOnce,
    /// A log that starts over behind deleted records is not told who produced those.
    ProducersNotHandedOver,
    /// The coordinator answers a commit before it is replicated.
    CommitAnsweredEarly,
}

thread_local! {
    static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
}

/// Whether the rule is broken on this thread.
pub(crate) fn is_active(mutation: Mutation) -> bool {
    ACTIVE.get() == Some(mutation)
}

/// Runs `body` with the rule broken.
pub(crate) fn with<T>(mutation: Option<Mutation>, body: impl FnOnce() -> T) -> T {
    ACTIVE.set(mutation);
    let result = within_crates(mutation, body);
    ACTIVE.set(None);
    result
}

#[cfg(not(feature = "mutations"))]
fn within_crates<T>(_: Option<Mutation>, body: impl FnOnce() -> T) -> T {
    body()
}

#[cfg(feature = "mutations")]
fn within_crates<T>(mutation: Option<Mutation>, body: impl FnOnce() -> T) -> T {
    let (mut replica, mut metadata, mut log, mut quorum) = (None, None, None, None);
    match mutation {
        Some(Mutation::Replica(rule)) => replica = Some(rule),
        Some(Mutation::Metadata(rule)) => metadata = Some(rule),
        Some(Mutation::Log(rule)) => log = Some(rule),
        Some(Mutation::Quorum(rule)) => quorum = Some(rule),
        _ => {}
    }
    klamm_replica::mutation::with(replica, || {
        klamm_metadata::mutation::with(metadata, || {
            klamm_log::mutation::with(log, || klamm_quorum::mutation::with(quorum, body))
        })
    })
}

/// Every rule that this build can break.
pub fn all() -> Vec<Mutation> {
    #[allow(unused_mut)]
    let mut all = vec![
        Mutation::FetchEpochIgnored,
        Mutation::AckOnAppend,
        Mutation::RefusesUnconfirmed,
        Mutation::RepliesBeforeCommit,
        Mutation::LeadsBeforeRegistration,
        Mutation::FollowsBeforeRegistration,
        Mutation::MarkerBeforeClose,
        Mutation::MarkerAfterFailure,
        Mutation::TruncationFailureIgnored,
        Mutation::DiskFullRemembered,
        Mutation::ShortLogBelieved,
        Mutation::DamageCutAtOnce,
        Mutation::RecoveryPointOutlivesTruncation,
        Mutation::PausesByWallClock,
        Mutation::SessionByWallClock,
        Mutation::DeletionAcknowledgedAtOnce,
        Mutation::ProducersNotHandedOver,
        Mutation::CommitAnsweredEarly,
    ];
    #[cfg(feature = "mutations")]
    {
        all.extend(klamm_replica::mutation::Mutation::ALL.iter().copied().map(Mutation::Replica));
        all.extend(klamm_metadata::mutation::Mutation::ALL.iter().copied().map(Mutation::Metadata));
        all.extend(klamm_log::mutation::Mutation::ALL.iter().copied().map(Mutation::Log));
        all.extend(klamm_quorum::mutation::Mutation::ALL.iter().copied().map(Mutation::Quorum));
    }
    all
}

impl Mutation {
    /// The name on the command line.
    pub fn name(self) -> String {
        let debug = format!("{self:?}");
        let inner = debug.split_once('(').map_or(&*debug, |(_, inner)| inner.trim_end_matches(')'));
        inner.to_owned()
    }

    /// The rule of this name.
    pub fn named(name: &str) -> Option<Self> {
        all().into_iter().find(|mutation| mutation.name().eq_ignore_ascii_case(name))
    }
}
