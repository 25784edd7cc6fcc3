//! What can go wrong, by origin.

use std::io;
use std::path::Path;

/// Why the quorum did not start or could not serve a request.
#[derive(Debug, thiserror::Error)]
pub enum QuorumError {
    /// The configuration contradicts itself.
    #[error("metadata quorum: {0}")]
    Config(String),
    /// Something in the metadata directory cannot be read or written.
    #[error("metadata quorum, {what}: {source}")]
    Storage {
        /// The file or the step.
        what: String,
        /// What the disk said.
        source: io::Error,
    },
    /// What this disk has acknowledged is not there any more: it must not take part.
    #[error(
        "metadata quorum: {what}. What a voter has acknowledged must not be missing, so it does not start. If a majority of \
         the other voters is whole, start this node with an empty data directory in the place of that of {dir}: with a \
         `meta.properties` of its own it joins as another voter. {dir} alone must not be emptied, as the empty log would vote \
         in the name of this one"
    )]
    Damaged {
        /// The file, and what is wrong with it.
        what: String,
        /// The directory of the metadata log.
        dir: String,
    },
    /// A file or a message has a format that this version does not know; it is left as it is.
    #[error("{what} has format {found}, of a newer version; this one knows {known}")]
    UnknownFormat {
        /// The file or the message.
        what: String,
        /// Its format.
        found: i32,
        /// The newest format that this version knows.
        known: i32,
    },
    /// A request or a response of a peer does not decode.
    #[error("malformed message of the metadata quorum: {0}")]
    Malformed(&'static str),
    /// The number is not a request of the quorum.
    #[error("request {0} does not belong to the metadata quorum")]
    UnknownRequest(i16),
    /// A request was not answered in time; whether it has had an effect is unknown.
    #[error("the request took too long")]
    TooSlow,
    /// A message claims to come from this node, or from somebody else than its sender.
    #[error("node {0} is not another member of this metadata quorum")]
    NotAPeer(i32),
    /// A message is meant for a disk that this node does not have any more.
    #[error("the disk of node {0} that this is for is not here")]
    AnotherDisk(i32),
    /// A message comes from a controller whose metadata log was founded as another one.
    #[error("the sender's metadata quorum was founded as {theirs}, the one here as {ours}")]
    AnotherFounding {
        /// The founding of the log here.
        ours: uuid::Uuid,
        /// The founding that the message names.
        theirs: uuid::Uuid,
    },
    /// The disk is an older copy of itself.
    #[error("the metadata log here has lost what it acknowledged, up to offset {acknowledged}")]
    LostEntries {
        /// The last offset that was acknowledged.
        acknowledged: i64,
    },
    /// The request needs the leader, and this node is not the leader.
    #[error("this node does not lead the metadata quorum")]
    NotLeader {
        /// The leader that this node knows of.
        hint: Option<i32>,
    },
    /// No other voter has answered lately.
    #[error("no other voter can take the leadership over")]
    NoSuccessor,
    /// The leadership was not taken over in time.
    #[error("no other voter took the leadership over in time")]
    TransferTimedOut,
    /// This member takes no part any more; its status says why.
    #[error("this member takes no part in the metadata quorum any more")]
    Unfit,
    /// The offset lies past what this node has applied.
    #[error("offset {offset} lies past the end {end} of the metadata log")]
    OffsetOutOfRange {
        /// The offset that was asked for.
        offset: i64,
        /// The first offset that is not committed here.
        end: i64,
    },
    /// The quorum has stopped on this node: shut down, or a disk failed.
    #[error("the metadata quorum has stopped on this node: {0}")]
    Fatal(String),
}

impl QuorumError {
    pub(crate) fn storage(what: impl Into<String>, source: io::Error) -> QuorumError {
        QuorumError::Storage { what: what.into(), source }
    }

    /// What keeps the directory of the metadata log from being opened.
    pub(crate) fn opening(dir: &Path, source: io::Error) -> QuorumError {
        let dir = dir.display().to_string();
        match source.kind() {
            io::ErrorKind::InvalidData => QuorumError::Damaged { what: source.to_string(), dir },
            _ => QuorumError::Storage { what: dir, source },
        }
    }
}

/// Why a proposal was not applied.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProposeError {
    /// Nothing was written; the leader should be asked.
    #[error("this node does not lead the metadata quorum")]
    NotLeader {
        /// The leader that this node knows of.
        hint: Option<i32>,
    },
    /// The leadership was lost after the entry was written: it may still be committed by the next leader, or not.
    #[error("leadership was lost while the entry was replicated; its outcome is unknown")]
    Unknown,
    /// The quorum has stopped on this node.
    #[error("the metadata quorum has stopped on this node: {0}")]
    Fatal(String),
}

/// Why the voters were not changed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VoterError {
    /// The leader should be asked.
    #[error("this node does not lead the metadata quorum")]
    NotLeader {
        /// The leader that this node knows of.
        hint: Option<i32>,
    },
    /// A voter has the node id already.
    #[error("node {0} is a voter already")]
    Duplicate(i32),
    /// No voter has this node id and directory id.
    #[error("node {id} with directory id {directory_id} is no voter")]
    NotFound {
        /// Node id.
        id: i32,
        /// Directory id.
        directory_id: uuid::Uuid,
    },
    /// The only voter stays.
    #[error("node {0} is the only voter")]
    LastVoter(i32),
    /// Another change is under way, or one of before has not been committed yet.
    #[error("another change of the voters is under way")]
    InProgress,
    /// The new voter did not catch up, or a majority did not confirm the change, in time.
    #[error("{0} in time")]
    TimedOut(String),
    /// The voters that would remain and answer are no majority of those that would remain.
    #[error("without node {0} the voters that answer could not decide anything")]
    NoMajority(i32),
}

/// Why a peer did not answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Nobody listens at the peer's address, or no connection can be made.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// No answer within the timeout.
    #[error("timed out")]
    TimedOut,
    /// The connection broke, or the peer answered with an error.
    #[error("{0}")]
    Failed(String),
}
