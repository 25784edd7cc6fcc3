//! Rules that simulations break on purpose, one at a time.

klamm_mutation::mutations! {
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
