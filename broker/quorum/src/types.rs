//! How openraft's types are filled in: terms are leader epochs, indexes are offsets, payloads are encoded records.

use std::fmt;

use bytes::Bytes;
use openraft::impls::leader_id_std::LeaderId;
use uuid::Uuid;

use crate::mutation::{self, Mutation};

openraft::declare_raft_types!(
    /// Standard Raft: at most one leader per term, so that a term is a leader epoch.
    pub(crate) TypeConfig:
        D = Proposal,
        R = (),
        NodeId = u64,
        Node = Voter,
        LeaderId = LeaderId<u64, u64>,
        AsyncRuntime = crate::runtime::Runtime,
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

/// A member of the quorum as the log knows it: one disk of one node. The address is where it was when it became one; for a
/// node that the configuration names, the configuration's address counts, so that names may change without an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Voter {
    /// The disk; nil where the member is known by its node id alone.
    pub(crate) directory_id: Uuid,
    /// Host of its CONTROLLER listener; empty when only the configuration knows it.
    pub(crate) host: String,
    pub(crate) port: u16,
}

pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new_term_index(term, index)
}

/// The term of a log id. Terms are kept within `i32` by every encoder, as leader epochs are.
pub(crate) fn term_of(id: &LogId) -> u64 {
    id.committed_leader_id().term
}

/// The raft id of one disk of one node: the node id below, 32 bits drawn from the directory id above.
///
/// Raft forbids that a member comes back without what it acknowledged, so a disk that is replaced must be somebody else to
/// the others although the node is the same. The bits above are never all zero: the ids below 2^32 are those of nodes
/// without a known disk.
pub(crate) fn raft_id(node_id: i32, directory_id: Uuid) -> u64 {
    if mutation::is_active(Mutation::ReusedControllerId) {
        return diskless_raft_id(node_id);
    }
    let bits = directory_id.as_u128();
    let folded = (0..4).fold(0, |folded, word| folded ^ (bits >> (32 * word)) as u32).max(1);
    (u64::from(folded) << 32) | u64::from(node_id.unsigned_abs())
}

/// The raft id of a node that is known by its node id alone.
pub(crate) fn diskless_raft_id(node_id: i32) -> u64 {
    u64::from(node_id.unsigned_abs())
}

/// The node whose disk has this raft id.
pub(crate) fn node_id(raft_id: u64) -> i32 {
    (raft_id & u64::from(u32::MAX)).try_into().unwrap_or(-1)
}

/// A term as a leader epoch.
pub(crate) fn epoch_of(term: u64) -> i32 {
    i32::try_from(term).unwrap_or(i32::MAX)
}

/// A leader epoch as a term; one that no term has if it is negative.
pub(crate) fn term_of_epoch(epoch: i32) -> u64 {
    u64::try_from(epoch).unwrap_or(u64::MAX)
}

/// A log index as an offset.
pub(crate) fn offset_of(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_disk_of_a_node_is_another_member() {
        let (first, second) = (Uuid::from_u128(7), Uuid::from_u128(7 << 40));
        assert_ne!(raft_id(3, first), raft_id(3, second));
        assert_ne!(raft_id(3, Uuid::nil()), diskless_raft_id(3));
        for id in [raft_id(3, first), raft_id(3, second), diskless_raft_id(3)] {
            assert_eq!(node_id(id), 3);
        }
    }
}
