//! What can go wrong, by origin.

use std::io;

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
    /// A request or a response of a peer does not decode.
    #[error("malformed message of the metadata quorum: {0}")]
    Malformed(&'static str),
    /// The number is not a request of the quorum.
    #[error("request {0} does not belong to the metadata quorum")]
    UnknownRequest(i16),
    /// A message claims to come from this node or from a node that is not a voter.
    #[error("node {0} is not another voter of this metadata quorum")]
    NotAPeer(i32),
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
