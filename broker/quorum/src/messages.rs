//! The requests and responses between voters as bytes.
//!
//! Every message starts with a format byte. Entries are sent as they are stored: a kind, then their bytes, untouched.

use bytes::{BufMut, Bytes, BytesMut};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};

use crate::QuorumError;
use crate::codec::{
    Reader, put_bytes, put_count, put_log_id, put_membership, put_optional_log_id, put_stored_membership,
    put_vote,
};
use crate::types::{Entry, LogId, Payload, Proposal, SnapshotMeta, TypeConfig, Vote};

const FORMAT: u8 = 1;
/// Bytes of the smallest entry: log id, kind and length.
const ENTRY_MIN: usize = 21;

const BLANK: u8 = 0;
const NORMAL: u8 = 1;
const MEMBERSHIP: u8 = 2;

/// A value that travels between voters.
pub(crate) trait Message: Sized {
    fn put(&self, out: &mut BytesMut);
    fn take(reader: &mut Reader) -> Result<Self, QuorumError>;

    fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_u8(FORMAT);
        self.put(&mut out);
        out.freeze()
    }

    fn decode(bytes: Bytes) -> Result<Self, QuorumError> {
        let mut reader = Reader::new(bytes);
        let found = reader.u8()?;
        if found != FORMAT {
            let what = "a message of the metadata quorum".to_owned();
            return Err(QuorumError::UnknownFormat { what, found: found.into(), known: FORMAT.into() });
        }
        let message = Self::take(&mut reader)?;
        reader.finish()?;
        Ok(message)
    }
}

/// The kind of a payload and its bytes, as they are stored and sent.
pub(crate) fn payload_parts(payload: &Payload) -> (u8, Bytes) {
    match payload {
        Payload::Blank => (BLANK, Bytes::new()),
        Payload::Normal(proposal) => (NORMAL, proposal.0.clone()),
        Payload::Membership(membership) => {
            let mut out = BytesMut::new();
            put_membership(&mut out, membership);
            (MEMBERSHIP, out.freeze())
        }
    }
}

/// The payload of a kind and its bytes.
pub(crate) fn payload_from_parts(kind: u8, bytes: Bytes) -> Result<Payload, QuorumError> {
    match kind {
        BLANK if bytes.is_empty() => Ok(Payload::Blank),
        NORMAL => Ok(Payload::Normal(Proposal(bytes))),
        MEMBERSHIP => {
            let mut reader = Reader::new(bytes);
            let membership = reader.membership()?;
            reader.finish()?;
            Ok(Payload::Membership(membership))
        }
        BLANK => Err(QuorumError::Malformed("an entry that should be empty is not")),
        found => {
            let what = "the kind of an entry of the metadata log".to_owned();
            Err(QuorumError::UnknownFormat { what, found: found.into(), known: MEMBERSHIP.into() })
        }
    }
}

fn put_entry(out: &mut BytesMut, entry: &Entry) {
    put_log_id(out, &entry.log_id);
    let (kind, bytes) = payload_parts(&entry.payload);
    out.put_u8(kind);
    put_bytes(out, &bytes);
}

fn take_entry(reader: &mut Reader) -> Result<Entry, QuorumError> {
    let log_id = reader.log_id()?;
    let kind = reader.u8()?;
    let payload = payload_from_parts(kind, reader.bytes()?)?;
    Ok(Entry { log_id, payload })
}

/// Entries follow each other and `prev` without a hole, in terms that never fall.
fn check_consecutive(prev: Option<&LogId>, entries: &[Entry]) -> Result<(), QuorumError> {
    let mut last = prev.copied();
    for entry in entries {
        let expected = last.map_or(0, |last| last.index.saturating_add(1));
        if entry.log_id.index != expected || last.is_some_and(|last| last > entry.log_id) {
            return Err(QuorumError::Malformed("its entries are not consecutive"));
        }
        last = Some(entry.log_id);
    }
    Ok(())
}

impl Message for AppendEntriesRequest<TypeConfig> {
    fn put(&self, out: &mut BytesMut) {
        put_vote(out, &self.vote);
        put_optional_log_id(out, self.prev_log_id.as_ref());
        put_optional_log_id(out, self.leader_commit.as_ref());
        put_count(out, self.entries.len());
        self.entries.iter().for_each(|entry| put_entry(out, entry));
    }

    fn take(reader: &mut Reader) -> Result<Self, QuorumError> {
        let vote = reader.vote()?;
        let prev_log_id = reader.optional_log_id()?;
        let leader_commit = reader.optional_log_id()?;
        let mut entries = Vec::new();
        for _ in 0..reader.count(ENTRY_MIN)? {
            entries.push(take_entry(reader)?);
        }
        check_consecutive(prev_log_id.as_ref(), &entries)?;
        Ok(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
    }
}

impl Message for AppendEntriesResponse<TypeConfig> {
    fn put(&self, out: &mut BytesMut) {
        match self {
            AppendEntriesResponse::Success => out.put_u8(0),
            AppendEntriesResponse::PartialSuccess(matching) => {
                out.put_u8(1);
                put_optional_log_id(out, matching.as_ref());
            }
            AppendEntriesResponse::Conflict => out.put_u8(2),
            AppendEntriesResponse::HigherVote(vote) => {
                out.put_u8(3);
                put_vote(out, vote);
            }
        }
    }

    fn take(reader: &mut Reader) -> Result<Self, QuorumError> {
        Ok(match reader.u8()? {
            0 => AppendEntriesResponse::Success,
            1 => AppendEntriesResponse::PartialSuccess(reader.optional_log_id()?),
            2 => AppendEntriesResponse::Conflict,
            3 => AppendEntriesResponse::HigherVote(reader.vote()?),
            _ => return Err(QuorumError::Malformed("the outcome of an append is unknown")),
        })
    }
}

impl Message for VoteRequest<TypeConfig> {
    fn put(&self, out: &mut BytesMut) {
        put_vote(out, &self.vote);
        put_optional_log_id(out, self.last_log_id.as_ref());
        out.put_u8(u8::from(self.leadership_transfer));
    }

    fn take(reader: &mut Reader) -> Result<Self, QuorumError> {
        let mut request = VoteRequest::new(reader.vote()?, reader.optional_log_id()?);
        request.leadership_transfer = reader.bool()?;
        Ok(request)
    }
}

impl Message for VoteResponse<TypeConfig> {
    fn put(&self, out: &mut BytesMut) {
        put_vote(out, &self.vote);
        put_optional_log_id(out, self.last_log_id.as_ref());
        out.put_u8(u8::from(self.vote_granted));
    }

    fn take(reader: &mut Reader) -> Result<Self, QuorumError> {
        let (vote, last_log_id) = (reader.vote()?, reader.optional_log_id()?);
        Ok(VoteResponse::new(vote, last_log_id, reader.bool()?))
    }
}

impl Message for TransferLeaderRequest<TypeConfig> {
    fn put(&self, out: &mut BytesMut) {
        put_vote(out, self.from_leader());
        out.put_u64(*self.to_node_id());
        put_optional_log_id(out, self.last_log_id());
    }

    fn take(reader: &mut Reader) -> Result<Self, QuorumError> {
        Ok(TransferLeaderRequest::new(reader.vote()?, reader.u64()?, reader.optional_log_id()?))
    }
}

impl Message for TransferLeaderResponse<TypeConfig> {
    fn put(&self, out: &mut BytesMut) {
        match self {
            Ok(()) => out.put_u8(0),
            Err(TransferLeaderError::VoteChanged { expected, actual }) => {
                out.put_u8(1);
                put_vote(out, expected);
                put_vote(out, actual);
            }
            Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
                out.put_u8(2);
                put_optional_log_id(out, expected.as_ref());
                put_optional_log_id(out, actual.as_ref());
            }
        }
    }

    fn take(reader: &mut Reader) -> Result<Self, QuorumError> {
        Ok(match reader.u8()? {
            0 => Ok(()),
            1 => Err(TransferLeaderError::VoteChanged { expected: reader.vote()?, actual: reader.vote()? }),
            2 => Err(TransferLeaderError::LogNotFlushed {
                expected: reader.optional_log_id()?,
                actual: reader.optional_log_id()?,
            }),
            _ => return Err(QuorumError::Malformed("the outcome of a transfer is unknown")),
        })
    }
}

impl Message for SnapshotMeta {
    fn put(&self, out: &mut BytesMut) {
        put_optional_log_id(out, self.last_log_id.as_ref());
        put_stored_membership(out, &self.last_membership);
    }

    fn take(reader: &mut Reader) -> Result<Self, QuorumError> {
        Ok(SnapshotMeta {
            last_log_id: reader.optional_log_id()?,
            last_membership: reader.stored_membership()?,
        })
    }
}

/// One piece of a snapshot, in order. The last piece is answered when the snapshot is installed.
#[derive(Debug, PartialEq)]
pub(crate) struct SnapshotChunk {
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    /// Bytes of the whole snapshot.
    pub(crate) total: u64,
    /// Where this piece starts.
    pub(crate) position: u64,
    pub(crate) data: Bytes,
}

impl Message for SnapshotChunk {
    fn put(&self, out: &mut BytesMut) {
        put_vote(out, &self.vote);
        self.meta.put(out);
        out.put_u64(self.total);
        out.put_u64(self.position);
        put_bytes(out, &self.data);
    }

    fn take(reader: &mut Reader) -> Result<Self, QuorumError> {
        Ok(SnapshotChunk {
            vote: reader.vote()?,
            meta: SnapshotMeta::take(reader)?,
            total: reader.u64()?,
            position: reader.u64()?,
            data: reader.bytes()?,
        })
    }
}

/// The answer to a piece of a snapshot.
#[derive(Debug, PartialEq)]
pub(crate) struct SnapshotChunkResponse {
    /// The receiver's vote; a greater one than the sender's ends the transfer.
    pub(crate) vote: Vote,
    /// Where the receiver wants the next piece to start; it differs when the receiver has lost its place.
    pub(crate) next: u64,
}

impl Message for SnapshotChunkResponse {
    fn put(&self, out: &mut BytesMut) {
        put_vote(out, &self.vote);
        out.put_u64(self.next);
    }

    fn take(reader: &mut Reader) -> Result<Self, QuorumError> {
        Ok(SnapshotChunkResponse { vote: reader.vote()?, next: reader.u64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::log_id;

    fn normal(term: u64, index: u64, bytes: &'static [u8]) -> Entry {
        Entry { log_id: log_id(term, index), payload: Payload::Normal(Proposal(Bytes::from_static(bytes))) }
    }

    #[test]
    fn an_append_carries_records_without_blowing_them_up() {
        let request = AppendEntriesRequest::<TypeConfig> {
            vote: Vote::new_committed(3, 1),
            prev_log_id: Some(log_id(2, 4)),
            entries: vec![normal(3, 5, &[7; 1000]), Entry { log_id: log_id(3, 6), payload: Payload::Blank }],
            leader_commit: Some(log_id(2, 4)),
        };
        let bytes = request.encode();
        assert!(bytes.len() < 1120, "{} bytes", bytes.len());
        let decoded = AppendEntriesRequest::<TypeConfig>::decode(bytes).expect("decodes");
        assert_eq!(decoded.entries, request.entries);
        assert_eq!(decoded.leader_commit, request.leader_commit);
    }

    #[test]
    fn an_entry_of_an_unknown_kind_is_named_and_not_taken() {
        let request = AppendEntriesRequest::<TypeConfig> {
            vote: Vote::new_committed(3, 1),
            prev_log_id: None,
            entries: vec![normal(0, 0, b"x")],
            leader_commit: None,
        };
        let mut bytes = request.encode().to_vec();
        let kind = bytes.len() - 6;
        assert_eq!(bytes[kind], NORMAL);
        bytes[kind] = 9;
        let refused = AppendEntriesRequest::<TypeConfig>::decode(bytes.into()).expect_err("unknown");
        assert!(matches!(refused, QuorumError::UnknownFormat { found: 9, .. }), "{refused}");
    }

    #[test]
    fn an_append_with_a_hole_is_refused() {
        let request = AppendEntriesRequest::<TypeConfig> {
            vote: Vote::new_committed(3, 1),
            prev_log_id: Some(log_id(2, 4)),
            entries: vec![normal(3, 6, b"x")],
            leader_commit: None,
        };
        assert!(AppendEntriesRequest::<TypeConfig>::decode(request.encode()).is_err());
    }

    #[test]
    fn no_prefix_of_a_message_decodes() {
        let request = VoteRequest::<TypeConfig>::new(Vote::new(9, 2), Some(log_id(8, 100)));
        let bytes = request.encode();
        for len in 0..bytes.len() {
            assert!(VoteRequest::<TypeConfig>::decode(bytes.slice(..len)).is_err());
        }
        assert_eq!(VoteRequest::<TypeConfig>::decode(bytes).expect("decodes"), request);
    }
}
