//! Rules that simulations break on purpose, one at a time.

klamm_mutation::mutations! {
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
