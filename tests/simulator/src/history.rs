//! What clients did and saw, and what servers hold: all that the invariants are told.

mod batches;

use klamm_quorum::LogPositions;

use crate::message::Key;

pub use batches::Digest;
pub(crate) use batches::{digests, hash, hole, values};

/// Something that a client did or saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// A producer was told that a record is committed.
    Acked {
        /// Producer id.
        producer: i64,
        /// Its epoch.
        epoch: i16,
        /// Partition.
        partition: Key,
        /// Sequence number of the record.
        sequence: i32,
        /// The record.
        value: u64,
        /// Where it is.
        offset: i64,
    },
    /// A producer gave a record up that no broker can have appended.
    Failed {
        /// Partition.
        partition: Key,
        /// The record.
        value: u64,
    },
    /// The batch behind the last acknowledged one was refused as out of order.
    SequenceRefused {
        /// Producer id.
        producer: i64,
        /// Partition.
        partition: Key,
        /// Sequence number of its first record.
        sequence: i32,
        /// Who refused it: only a leader that has not been replaced has all that was acknowledged.
        node: usize,
    },
    /// A consumer got records.
    Polled {
        /// The consumer.
        consumer: usize,
        /// Partition.
        partition: Key,
        /// The position from which it asked.
        position: i64,
        /// Offsets and values.
        records: Vec<(i64, u64)>,
    },
    /// A leader served a consumer that named the leader epoch that is the newest.
    Read {
        /// The consumer.
        consumer: usize,
        /// Partition.
        partition: Key,
        /// The position from which it asked.
        position: i64,
        /// The request: those with larger ids were sent later.
        asked: u64,
        /// The leader epoch that it named.
        leader_epoch: i32,
    },
    /// A consumer starts anew at this offset.
    Sought {
        /// The consumer.
        consumer: usize,
        /// Partition.
        partition: Key,
        /// The new position.
        position: i64,
    },
    /// A consumer was told that the log begins behind its position, where it goes on.
    Skipped {
        /// The consumer.
        consumer: usize,
        /// Partition.
        partition: Key,
        /// Where the log begins.
        start: i64,
    },
    /// An administrator was told that everything before an offset is deleted.
    RecordsDeleted {
        /// Partition.
        partition: Key,
        /// The offset.
        start: i64,
        /// Requests with a larger id were sent later.
        known: u64,
    },
    /// A consumer was told that its position is not in the leader's log, or that the log parted from what it read.
    PositionLost {
        /// The consumer.
        consumer: usize,
        /// Partition.
        partition: Key,
        /// Its position.
        position: i64,
    },
    /// A consumer got a batch whose checksum does not fit.
    DamagedBatch {
        /// Partition.
        partition: Key,
        /// The position from which it asked.
        position: i64,
    },
    /// A client asked for the latest offset.
    Listed {
        /// The client.
        client: usize,
        /// Partition.
        partition: Key,
        /// Behind the last record that this client knew to be acknowledged when it asked.
        acked_end: i64,
        /// The answer.
        latest: i64,
        /// Who gave it.
        node: usize,
        /// The leader epoch that the client named. One that is over does not protect it from a leader that was replaced and
        /// does not know, as in Kafka.
        leader_epoch: i32,
    },
    /// A client is about to propose a change of the metadata to a quorum of controllers.
    Proposed {
        /// The change, by a value of its own.
        value: u64,
    },
    /// A proposal was answered as committed.
    ProposalCommitted {
        /// The change.
        value: u64,
        /// Where it is in the metadata log.
        offset: i64,
        /// The controller epoch of the entry.
        epoch: i32,
    },
    /// A consumer's commit was acknowledged.
    Committed {
        /// The group.
        group: usize,
        /// Partition.
        partition: Key,
        /// The offset.
        offset: i64,
    },
    /// A consumer fetched what its group has committed, -1 for nothing.
    CommittedFetched {
        /// The group.
        group: usize,
        /// Partition.
        partition: Key,
        /// The offset.
        offset: i64,
    },
}

/// Something that happened to a replica or to the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// Batches came below the high watermark that a replica knows.
    Visible {
        /// The node.
        node: usize,
        /// Partition.
        partition: Key,
        /// Whether it leads.
        leads: bool,
        /// Behind what it has shown before, or where its log begins.
        from: i64,
        /// The high watermark.
        end: i64,
        /// The batches, in order, as far as they can be read: what is damaged is refused, and shown when it has been repaired.
        batches: Vec<Digest>,
    },
    /// A leader refused a batch as out of sequence.
    SequenceRefused {
        /// The node.
        node: usize,
        /// Partition.
        partition: Key,
        /// Whether the controllers count it as dead, for its silence.
        counts_as_dead: bool,
    },
    /// A replica became the leader.
    Elected {
        /// The node.
        node: usize,
        /// Which process of it.
        process: u32,
        /// Partition.
        partition: Key,
        /// Leader epoch.
        epoch: i32,
        /// Whether that is the epoch in which the controllers have it lead at this time; a node that learns late leads in
        /// one that is over.
        is_current: bool,
        /// Where its log begins.
        start: i64,
        /// Where its log ends.
        end: i64,
        /// Its log, as far as it can be read: what is damaged is refused, and given up.
        log: Vec<Digest>,
    },
    /// A candidate for leadership and where its log ends.
    Candidate {
        /// The node.
        node: usize,
        /// Partition.
        partition: Key,
        /// Where its log begins; `None` when the controllers do not know that this is another process.
        start: Option<i64>,
        /// End of its log.
        end: i64,
    },
    /// A leader deleted, on its own, what lies before an offset.
    StartMoved {
        /// Partition.
        partition: Key,
        /// The offset.
        start: i64,
    },
    /// A leader acknowledged that everything before an offset is deleted.
    Deleted {
        /// Partition.
        partition: Key,
        /// The offset.
        start: i64,
    },
    /// All who had deleted what was acknowledged as deleted have died before they stored it, as a log start is in memory until
    /// the next checkpoint; or somebody of a version that does not say where its log starts may be elected.
    DeletionForgotten {
        /// Partition.
        partition: Key,
    },
    /// The controller changed a partition.
    PartitionChanged {
        /// Partition.
        partition: Key,
        /// Leader epoch.
        leader_epoch: i32,
        /// Partition epoch.
        partition_epoch: i32,
    },
    /// A broker is registered.
    Registered {
        /// The node.
        node: usize,
        /// Broker epoch.
        epoch: i64,
    },
    /// A broker is unfenced, and its process is the one that is meant.
    Unfenced {
        /// The node.
        node: usize,
        /// Broker epoch.
        epoch: i64,
        /// Whether what the process knows of the metadata has its registration.
        knows_itself: bool,
    },
    /// A controller became active.
    ControllerElected {
        /// The controller.
        controller: usize,
        /// Its epoch.
        epoch: i32,
    },
    /// What a controller of a simulated quorum has recorded.
    ControllerStands {
        /// The controller.
        controller: usize,
        /// Which disk of it; one that replaces another has the next number.
        disk: u32,
        /// Which process.
        process: u32,
        /// The last vote on the disk: the controller epoch, the raft id that it was given to, and whether that was elected.
        vote: Option<(i32, u64, bool)>,
        /// How far its log goes.
        log: LogPositions,
    },
    /// A controller of a simulated quorum has started on a disk that was damaged while nothing ran on it.
    ControllerReturned {
        /// The controller.
        controller: usize,
        /// Where what its disk had synced of the log ended, exclusive.
        synced: i64,
        /// Where the log ends now, exclusive.
        log_end: i64,
    },
    /// A controller of a simulated quorum leads it, by its own knowledge.
    ControllerLeads {
        /// The controller.
        controller: usize,
        /// Which process.
        process: u32,
        /// Its epoch.
        epoch: i32,
        /// Where its log ends.
        log_end: i64,
    },
    /// What a controller has applied came to another image.
    ImageReached {
        /// The controller.
        controller: usize,
        /// Which process.
        process: u32,
        /// The last offset that it has applied.
        offset: i64,
        /// Hash of the image.
        hash: u64,
    },
    /// A controller has an entry of the metadata log that it has applied.
    EntryApplied {
        /// The controller.
        controller: usize,
        /// Where the entry is.
        offset: i64,
        /// Its controller epoch.
        epoch: i32,
        /// Hash of its records.
        hash: u64,
    },
    /// A node applied metadata, and its image is or is not that of the committed log.
    ImageApplied {
        /// The node.
        node: usize,
        /// Up to this offset.
        offset: i64,
        /// Whether it is.
        is_prefix: bool,
    },
    /// A leader took an ISR for committed, which the controller has or has not committed.
    IsrTaken {
        /// Partition.
        partition: Key,
        /// Its epoch.
        partition_epoch: i32,
        /// Whether it has.
        is_committed: bool,
    },
    /// The whole log of a replica at the end, up to its high watermark.
    FinalLog {
        /// The node.
        node: usize,
        /// Partition.
        partition: Key,
        /// Where its log begins.
        start: i64,
        /// The high watermark.
        end: i64,
        /// Its batches.
        batches: Vec<Digest>,
    },
    /// All records of a partition at the end, as its leader has them.
    FinalRecords {
        /// Partition.
        partition: Key,
        /// Offsets and values.
        records: Vec<(i64, u64)>,
    },
    /// The cluster did not come to rest in time.
    NotAtRest {
        /// What is missing.
        reason: String,
    },
    /// The run ended in a panic.
    Panicked {
        /// Its text.
        what: String,
    },
    /// Something waits for ever although the cluster is at rest.
    Leaked {
        /// What it is.
        what: String,
    },
}
