//! Rules that simulations break on purpose, one at a time.

klamm_mutation::mutations! {
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
