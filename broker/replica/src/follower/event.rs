//! What happens to a follower and what it asks for.

use crate::divergence::EpochEnd;

/// Where the local log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnds {
    /// First offset.
    pub start: i64,
    /// Offset after the last record, in memory or on disk.
    pub end: i64,
    /// Offset after the last record that counts as stored: durable, or written, as the flush policy has it.
    pub durable_end: i64,
    /// Leader epoch of the last record, -1 for a log that never held one.
    pub last_epoch: i32,
}

/// How a follower begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerStart {
    /// The leader.
    pub leader: i32,
    /// Its epoch.
    pub leader_epoch: i32,
    /// The local log.
    pub log: LogEnds,
    /// The high watermark known so far.
    pub high_watermark: i64,
}

/// What a fetch asks for (`FetchPartition` of FetchRequest 12 and above).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPosition {
    /// `FetchOffset`.
    pub offset: i64,
    /// `LastFetchedEpoch`, -1 for none.
    pub last_fetched_epoch: i32,
    /// `CurrentLeaderEpoch`.
    pub current_leader_epoch: i32,
}

/// When to fetch next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextFetch {
    /// At once.
    Now(FetchPosition),
    /// When the log's end is durable.
    AfterFlush,
    /// Not before this time.
    At(i64),
    /// When the metadata names a newer leader epoch.
    AfterMetadata,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowerEvent {
    /// A fetch from `asked` was answered.
    Answered {
        /// The position that was asked for; an answer to another than the current one is stale and ignored.
        asked: FetchPosition,
        /// The answer.
        answer: Answer,
    },
    /// The local log was appended to, flushed, truncated, restarted or lost its head.
    LogChanged(LogEnds),
    /// The records that came do not fit the log, or it cannot take any now.
    AppendFailed,
}

/// The leader's answer for this partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The logs agree up to the position.
    Records {
        /// The leader's high watermark.
        high_watermark: i64,
        /// The leader's first offset.
        log_start_offset: i64,
        /// Whether no record came.
        is_empty: bool,
    },
    /// The logs part (`DivergingEpoch`).
    Diverging {
        /// The answer.
        leader: EpochEnd,
        /// The local log's end of its largest epoch that is not above the leader's; `None` when all are above.
        own: Option<EpochEnd>,
        /// The leader's first offset, -1 when it does not say.
        leader_start: i64,
    },
    /// `OFFSET_OUT_OF_RANGE`, with the leader's offsets from ListOffsets.
    OutOfRange {
        /// The leader's first offset.
        leader_start: i64,
        /// The leader's log end.
        leader_end: i64,
    },
    /// Another error.
    Error(FetchError),
}

/// Classes of errors of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// `FENCED_LEADER_EPOCH`: the leader is in a newer epoch, of which the metadata will tell.
    FencedLeaderEpoch,
    /// The leader does not know its role yet (`UNKNOWN_LEADER_EPOCH`, `NOT_LEADER_OR_FOLLOWER`), cannot be reached, or
    /// fails otherwise.
    Retriable,
}

/// A change of the local log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogAction {
    /// Append the records that came.
    Append,
    /// Remove everything from this offset on.
    TruncateTo(i64),
    /// Remove everything and begin at this offset.
    RestartAt(i64),
}

/// What the caller has to do; afterwards it tells [`FollowerEvent::LogChanged`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct FollowerEffects {
    /// Change of the log.
    pub log: Option<LogAction>,
    /// The high watermark advanced to this offset.
    pub high_watermark: Option<i64>,
    /// The leader dropped everything below this offset: so does the follower, after the change of the log.
    pub log_start: Option<i64>,
}
