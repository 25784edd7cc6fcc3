//! How openraft's types are filled in: terms are leader epochs, indexes are offsets, payloads are encoded records.

use std::fmt;

use bytes::Bytes;
use openraft::impls::leader_id_std::LeaderId;
use uuid::Uuid;

openraft::declare_raft_types!(
    /// Standard Raft: at most one leader per term, so that a term is a leader epoch.
    pub(crate) TypeConfig:
        D = Proposal,
        R = (),
        NodeId = u64,
        Node = Voter,
        LeaderId = LeaderId<u64, u64>,
);

pub(crate) type Raft = openraft::Raft<TypeConfig, crate::state_machine::StateMachine>;
pub(crate) type Vote = openraft::Vote<LeaderId<u64, u64>>;
type CommittedLeaderId = openraft::alias::CommittedLeaderIdOf<TypeConfig>;
pub(crate) type LogId = openraft::LogId<CommittedLeaderId>;
pub(crate) type Entry = openraft::alias::EntryOf<TypeConfig>;
pub(crate) type Payload = openraft::EntryPayload<Proposal, u64, Voter>;
pub(crate) type Membership = openraft::Membership<u64, Voter>;
pub(crate) type StoredMembership = openraft::StoredMembership<CommittedLeaderId, u64, Voter>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<CommittedLeaderId, u64, Voter>;
pub(crate) type Snapshot = openraft::Snapshot<CommittedLeaderId, u64, Voter, Bytes>;
pub(crate) type Metrics = openraft::RaftMetrics<TypeConfig>;

/// The encoded metadata records of one entry. The log never looks inside.
#[derive(Clone, PartialEq)]
pub(crate) struct Proposal(pub(crate) Bytes);

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of records", self.0.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A member of the quorum as the log knows it. Addresses are not part of it: they come from the configuration and may
/// change without a membership change. The directory id is nil for the voters of a static bootstrap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Voter {
    pub(crate) directory_id: Uuid,
}

pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new_term_index(term, index)
}

/// The term of a log id. Terms are kept within `i32` by every encoder, as leader epochs are.
pub(crate) fn term_of(id: &LogId) -> u64 {
    id.committed_leader_id().term
}

/// A node id of the configuration as openraft's. Negative ids are refused when the configuration is checked.
pub(crate) fn raft_id(node_id: i32) -> u64 {
    u64::try_from(node_id).unwrap_or(u64::MAX)
}

/// A raft node id as the configuration's.
pub(crate) fn node_id(raft_id: u64) -> i32 {
    i32::try_from(raft_id).unwrap_or(-1)
}

/// A term as a leader epoch.
pub(crate) fn epoch_of(term: u64) -> i32 {
    i32::try_from(term).unwrap_or(i32::MAX)
}

/// A log index as an offset.
pub(crate) fn offset_of(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}
