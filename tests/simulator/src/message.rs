//! What the parties tell each other. Requests carry an id; the answer carries the same.

use std::sync::Arc;

use bytes::Bytes;
use klamm_coordinator::{GroupReply, GroupRequest};
use klamm_metadata::controller::{Command, Reply};
use klamm_replica::{EpochEnd, FetchPosition};
use klamm_wire::ErrorCode;

use crate::party::Party;
use crate::quorum::Entry;

/// Index of a partition in the topology.
pub(crate) type Key = usize;

/// One partition of a follower's fetch.
#[derive(Clone, Debug)]
pub(crate) struct FetchPart {
    pub key: Key,
    pub position: FetchPosition,
    /// The high watermark that the leader told last, `i64::MIN` before; one that differs is news.
    pub told_high_watermark: i64,
    pub max_bytes: usize,
    /// Where the follower's log begins, -1 when its version does not say so.
    pub log_start: i64,
    /// Whether the follower is to be told of the producers of what was deleted.
    pub lacks_producers: bool,
}

/// Who sent a batch, as which request, and on which of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub party: Party,
    pub id: u64,
    pub connection: u32,
}

/// A leader's answer about one partition.
#[derive(Clone, Debug)]
pub(crate) enum Served {
    Records { bytes: Bytes, high_watermark: i64, log_start: i64, producers: Option<Bytes> },
    Diverging { end: EpochEnd, log_start: i64 },
    OutOfRange { start: i64, end: i64 },
    Refused(ErrorCode),
}

/// Where a client finds a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leadership {
    pub leader: Option<usize>,
    pub epoch: i32,
}

/// A message.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// A follower asks its leader.
    Fetch { id: u64, broker_epoch: i64, max_wait_ms: i64, parts: Vec<FetchPart> },
    /// The answer: what was asked and what was served.
    Fetched { id: u64, parts: Vec<(Key, FetchPosition, Served)> },
    /// A producer sends one batch with acks=all. `connection` counts the producer's connections to that node.
    Produce { id: u64, key: Key, connection: u32, batch: Bytes },
    /// The first offset, or why not, on the connection that the batch came on.
    Produced { id: u64, connection: u32, outcome: Result<i64, ErrorCode> },
    /// A consumer reads.
    Read { id: u64, key: Key, position: FetchPosition },
    /// What it gets.
    ReadDone { id: u64, served: Served },
    /// ListOffsets for the latest offset.
    List { id: u64, key: Key, leader_epoch: i32 },
    /// The latest offset.
    Listed { id: u64, outcome: Result<i64, ErrorCode> },
    /// DeleteRecords: what lies before the offset goes, -1 for all that is committed.
    DeleteRecords { id: u64, key: Key, offset: i64, timeout_ms: i64 },
    /// The low watermark, or why not.
    RecordsDeleted { id: u64, outcome: Result<i64, ErrorCode> },
    /// Metadata for all partitions.
    Metadata { id: u64 },
    /// As the broker knows it.
    MetadataAnswer { id: u64, partitions: Vec<Leadership> },
    /// To the coordinator of the one group partition.
    Group { id: u64, request: Box<GroupRequest> },
    /// Its answer.
    GroupAnswer { id: u64, outcome: Result<Box<GroupReply>, ErrorCode> },
    /// To the active controller.
    Command { id: u64, command: Box<Command> },
    /// Its answer.
    Reply { id: u64, outcome: Result<Box<Reply>, ErrorCode> },
    /// A broker pulls committed metadata from `next` on.
    Pull { id: u64, next: i64 },
    /// What there is, and who is the active controller as far as the answering one knows.
    Pulled { id: u64, entries: Vec<Arc<Entry>>, active: Option<usize> },
}

/// What a message to or from a controller is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// A leader wants another ISR.
    Proposal,
    /// A broker registers or shows that it lives.
    SignOfLife,
    /// A broker pulls what is committed.
    Metadata,
}

impl Message {
    /// What it is about, if a fault may single it out.
    pub(crate) fn topic(&self) -> Option<Topic> {
        match self {
            Self::Command { command, .. } => match **command {
                Command::AlterPartition(_) => Some(Topic::Proposal),
                Command::RegisterBroker(_) | Command::BrokerHeartbeat(_) => Some(Topic::SignOfLife),
                _ => None,
            },
            Self::Reply { outcome: Ok(reply), .. } => match **reply {
                Reply::AlterPartition(_) => Some(Topic::Proposal),
                Reply::RegisterBroker(_) | Reply::BrokerHeartbeat(_) => Some(Topic::SignOfLife),
                _ => None,
            },
            Self::Pull { .. } | Self::Pulled { .. } => Some(Topic::Metadata),
            _ => None,
        }
    }

    /// Whether an administrator asks something.
    pub(crate) fn is_of_administrator(&self) -> bool {
        let asks = |command: &Command| matches!(command, Command::AlterPartitionReassignments(_));
        matches!(self, Self::Command { command, .. } if asks(command))
    }

    /// Whether a broker registers.
    pub(crate) fn is_registration(&self) -> bool {
        matches!(self, Self::Command { command, .. } if matches!(**command, Command::RegisterBroker(_)))
    }

    /// Whether it answers another.
    pub(crate) fn is_answer(&self) -> bool {
        let by_controller = matches!(self, Self::Reply { .. } | Self::Pulled { .. });
        let of_group = matches!(self, Self::GroupAnswer { .. } | Self::MetadataAnswer { .. });
        let of_partition =
            matches!(self, Self::Produced { .. } | Self::ReadDone { .. } | Self::Listed { .. });
        let of_replica = matches!(self, Self::Fetched { .. } | Self::RecordsDeleted { .. });
        by_controller || of_group || of_partition || of_replica
    }

    /// The id of the request, or of the one that is answered.
    pub(crate) fn id(&self) -> u64 {
        match self {
            Self::Fetch { id, .. } | Self::Fetched { id, .. } => *id,
            Self::Produce { id, .. } | Self::Produced { id, .. } => *id,
            Self::Read { id, .. } | Self::ReadDone { id, .. } => *id,
            Self::List { id, .. } | Self::Listed { id, .. } => *id,
            Self::DeleteRecords { id, .. } | Self::RecordsDeleted { id, .. } => *id,
            Self::Metadata { id } | Self::MetadataAnswer { id, .. } => *id,
            Self::Group { id, .. } | Self::GroupAnswer { id, .. } => *id,
            Self::Command { id, .. } | Self::Reply { id, .. } => *id,
            Self::Pull { id, .. } | Self::Pulled { id, .. } => *id,
        }
    }

    /// A small number for the trace.
    pub(crate) fn kind(&self) -> u64 {
        match self {
            Self::Fetch { .. } => 1,
            Self::Fetched { .. } => 2,
            Self::Produce { .. } => 3,
            Self::Produced { .. } => 4,
            Self::Read { .. } => 5,
            Self::ReadDone { .. } => 6,
            Self::List { .. } => 7,
            Self::Listed { .. } => 8,
            Self::Metadata { .. } => 9,
            Self::MetadataAnswer { .. } => 10,
            Self::Group { .. } => 11,
            Self::GroupAnswer { .. } => 12,
            Self::Command { .. } => 13,
            Self::Reply { .. } => 14,
            Self::Pull { .. } => 15,
            Self::Pulled { .. } => 16,
            Self::DeleteRecords { .. } => 17,
            Self::RecordsDeleted { .. } => 18,
        }
    }
}
