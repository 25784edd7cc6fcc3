//! What happens to a leader and what it asks for.

/// What the metadata says about the partition and the brokers that hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Partition epoch: the compare-and-set token of AlterPartition.
    pub partition_epoch: i32,
    /// In-sync replicas.
    pub isr: Vec<i32>,
    /// Eligible leader replicas (KIP-966): out of the ISR, but one of them may be elected when it is empty.
    pub elr: Vec<i32>,
    /// All replicas.
    pub replicas: Vec<i32>,
    /// `min.insync.replicas`; more than the replicas there are counts as that many.
    pub min_isr: usize,
    /// Replicas that may be in the ISR, i.e. neither fenced nor shutting down, with the epochs of their registrations.
    pub eligible: Vec<(i32, i64)>,
}

/// How a leader begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderStart {
    /// This broker.
    pub local: i32,
    /// The epoch in which it leads.
    pub leader_epoch: i32,
    /// The log's first offset.
    pub log_start: i64,
    /// The log's end: the epoch starts here.
    pub log_end: i64,
    /// The end of what counts as stored on the leader.
    pub counted_end: i64,
    /// The high watermark known so far.
    pub high_watermark: i64,
    /// `replica.lag.time.max.ms`.
    pub lag_time_max_ms: i64,
    /// The partition in the metadata.
    pub membership: Membership,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaderEvent {
    /// The log grew to `end` in memory.
    LocalAppended {
        /// New log end.
        end: i64,
    },
    /// The leader's own copy counts up to `end`: written, or durable, as the flush policy has it.
    LocalDurable {
        /// New counted end.
        end: i64,
    },
    /// A follower fetched in this leader epoch and its log agrees with the leader's up to `fetch_offset`.
    FollowerFetched {
        /// The follower.
        replica: i32,
        /// The epoch of its registration (`ReplicaState.ReplicaEpoch`).
        broker_epoch: i64,
        /// Everything below is durable on the follower.
        fetch_offset: i64,
        /// The follower's first offset (`LogStartOffset`), -1 unknown.
        log_start: i64,
    },
    /// The log lost its head: it begins at `start` now.
    LocalStartMoved {
        /// New first offset.
        start: i64,
    },
    /// The metadata about the partition or about a broker that holds it changed.
    MetadataChanged(Membership),
    /// The proposal that was last asked for came back.
    AlterPartitionDone(AlterPartitionOutcome),
    /// Every half `replica.lag.time.max.ms`: looks for followers that lag.
    Tick,
}

/// Kafka's classes of answers to AlterPartition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlterPartitionOutcome {
    /// Committed.
    Committed {
        /// Leader epoch in the answer.
        leader_epoch: i32,
        /// New partition epoch.
        partition_epoch: i32,
        /// New in-sync replicas.
        isr: Vec<i32>,
    },
    /// Outcome unknown or the controller is busy: the same proposal is asked for again.
    Retry,
    /// `FENCED_LEADER_EPOCH`, `INVALID_UPDATE_VERSION`, `UNKNOWN_TOPIC_ID`, `INVALID_REQUEST`, `NEW_LEADER_ELECTED`:
    /// the metadata will tell; until then the proposal stays pending, so that its maximal ISR still holds.
    AwaitMetadata,
    /// `INELIGIBLE_REPLICA`, `OPERATION_NOT_ATTEMPTED`: the committed ISR stands.
    Revert,
}

/// A proposal to the controller (AlterPartition, key 56). At most one is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterPartition {
    /// Leader epoch.
    pub leader_epoch: i32,
    /// Partition epoch that the proposal replaces.
    pub partition_epoch: i32,
    /// Proposed ISR with the broker epochs known from fetches, -1 unknown (`NewIsrWithEpochs`).
    pub new_isr: Vec<(i32, i64)>,
}

/// What the caller has to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct LeaderEffects {
    /// The high watermark advanced to this offset: waiting producers and consumers may go on.
    pub high_watermark: Option<i64>,
    /// The low watermark advanced to this offset: who waits for the deletion of what lies below may go on.
    pub low_watermark: Option<i64>,
    /// Send this to the controller and report its outcome.
    pub alter_partition: Option<AlterPartition>,
}

/// Answer to "is a record replicated as acks=all demands?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acked {
    /// Not yet.
    Pending,
    /// Yes.
    Acked,
    /// It was, but the ISR has fallen below `min.insync.replicas` since (`NOT_ENOUGH_REPLICAS_AFTER_APPEND`).
    NotEnoughReplicasAfterAppend,
}
