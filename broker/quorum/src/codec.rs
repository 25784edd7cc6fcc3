//! Bytes of the small values that messages, control batches and files are made of. Big endian, lengths checked.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::impls::leader_id_std::LeaderId;
use uuid::Uuid;

use crate::QuorumError;
use crate::types::{LogId, Membership, StoredMembership, Vote, Voter, log_id, term_of};

/// What a membership with addresses begins with: more sets of voters than can be.
const WITH_ADDRESSES: u32 = u32::MAX;

/// Takes values off the front of bytes that come from a peer or a disk.
pub(crate) struct Reader {
    bytes: Bytes,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Reader {
        Reader { bytes }
    }

    fn need(&self, len: usize) -> Result<(), QuorumError> {
        if self.bytes.len() < len { Err(QuorumError::Malformed("it ends too early")) } else { Ok(()) }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, QuorumError> {
        self.need(1)?;
        Ok(self.bytes.get_u8())
    }

    pub(crate) fn i32(&mut self) -> Result<i32, QuorumError> {
        self.need(4)?;
        Ok(self.bytes.get_i32())
    }

    pub(crate) fn u32(&mut self) -> Result<u32, QuorumError> {
        self.need(4)?;
        Ok(self.bytes.get_u32())
    }

    pub(crate) fn u64(&mut self) -> Result<u64, QuorumError> {
        self.need(8)?;
        Ok(self.bytes.get_u64())
    }

    pub(crate) fn bool(&mut self) -> Result<bool, QuorumError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(QuorumError::Malformed("a flag is neither 0 nor 1")),
        }
    }

    /// A length-prefixed slice of the same allocation.
    pub(crate) fn bytes(&mut self) -> Result<Bytes, QuorumError> {
        let len = self.u32()? as usize;
        self.need(len)?;
        Ok(self.bytes.split_to(len))
    }

    /// How many elements of at least `min_size` bytes follow.
    pub(crate) fn count(&mut self, min_size: usize) -> Result<usize, QuorumError> {
        let count = self.u32()? as usize;
        self.need(count.saturating_mul(min_size))?;
        Ok(count)
    }

    pub(crate) fn finish(self) -> Result<(), QuorumError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(QuorumError::Malformed("bytes follow its end")) }
    }

    /// A term, which must be a leader epoch.
    pub(crate) fn term(&mut self) -> Result<u64, QuorumError> {
        let term = self.u64()?;
        if i32::try_from(term).is_err() {
            return Err(QuorumError::Malformed("a term is not a leader epoch"));
        }
        Ok(term)
    }

    pub(crate) fn log_id(&mut self) -> Result<LogId, QuorumError> {
        let (term, index) = (self.term()?, self.u64()?);
        if i64::try_from(index).is_err() || index == i64::MAX as u64 {
            return Err(QuorumError::Malformed("an index is not an offset"));
        }
        Ok(log_id(term, index))
    }

    pub(crate) fn optional_log_id(&mut self) -> Result<Option<LogId>, QuorumError> {
        if self.bool()? { self.log_id().map(Some) } else { Ok(None) }
    }

    pub(crate) fn vote(&mut self) -> Result<Vote, QuorumError> {
        let (term, voted_for, committed) = (self.term()?, self.u64()?, self.bool()?);
        Ok(Vote { leader_id: LeaderId { term, voted_for }, committed })
    }

    pub(crate) fn uuid(&mut self) -> Result<Uuid, QuorumError> {
        self.need(16)?;
        Ok(Uuid::from_u128(self.bytes.get_u128()))
    }

    /// Text of at most 64 KiB.
    pub(crate) fn text(&mut self) -> Result<String, QuorumError> {
        self.need(2)?;
        let len = usize::from(self.bytes.get_u16());
        self.need(len)?;
        let bytes = self.bytes.split_to(len).to_vec();
        String::from_utf8(bytes).map_err(|_| QuorumError::Malformed("a text is not UTF-8"))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, QuorumError> {
        self.need(2)?;
        Ok(self.bytes.get_u16())
    }

    pub(crate) fn voter(&mut self) -> Result<Voter, QuorumError> {
        Ok(Voter { directory_id: self.uuid()?, host: self.text()?, port: self.u16()? })
    }

    /// A membership, in either layout: one without addresses begins with a count, the other with a number that is none.
    pub(crate) fn membership(&mut self) -> Result<Membership, QuorumError> {
        let has_addresses = self.bytes.starts_with(&WITH_ADDRESSES.to_be_bytes());
        if has_addresses {
            self.u32()?;
        }
        let mut configs = Vec::new();
        for _ in 0..self.count(4)? {
            let mut config = BTreeSet::new();
            for _ in 0..self.count(8)? {
                config.insert(self.u64()?);
            }
            configs.push(config);
        }
        let mut nodes = BTreeMap::new();
        for _ in 0..self.count(24)? {
            let id = self.u64()?;
            let voter = match has_addresses {
                true => self.voter()?,
                false => Voter { directory_id: self.uuid()?, ..Voter::default() },
            };
            nodes.insert(id, voter);
        }
        if configs.is_empty() && nodes.is_empty() {
            return Ok(Membership::default());
        }
        Membership::new(configs, nodes).map_err(|_| QuorumError::Malformed("a membership contradicts itself"))
    }

    pub(crate) fn stored_membership(&mut self) -> Result<StoredMembership, QuorumError> {
        Ok(StoredMembership::new(self.optional_log_id()?, self.membership()?))
    }
}

pub(crate) fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

pub(crate) fn put_log_id(out: &mut BytesMut, id: &LogId) {
    out.put_u64(term_of(id));
    out.put_u64(id.index);
}

pub(crate) fn put_optional_log_id(out: &mut BytesMut, id: Option<&LogId>) {
    out.put_u8(u8::from(id.is_some()));
    if let Some(id) = id {
        put_log_id(out, id);
    }
}

pub(crate) fn put_vote(out: &mut BytesMut, vote: &Vote) {
    out.put_u64(vote.leader_id.term);
    out.put_u64(vote.leader_id.voted_for);
    out.put_u8(u8::from(vote.committed));
}

/// Text longer than 64 KiB is left out; names of hosts are shorter.
pub(crate) fn put_text(out: &mut BytesMut, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(0);
    out.put_u16(length);
    out.put_slice(text.as_bytes().get(..usize::from(length)).unwrap_or_default());
}

pub(crate) fn put_voter(out: &mut BytesMut, voter: &Voter) {
    out.put_u128(voter.directory_id.as_u128());
    put_text(out, &voter.host);
    out.put_u16(voter.port);
}

pub(crate) fn put_membership(out: &mut BytesMut, membership: &Membership) {
    out.put_u32(WITH_ADDRESSES);
    put_count(out, membership.get_joint_config().len());
    for config in membership.get_joint_config() {
        put_count(out, config.len());
        config.iter().for_each(|id| out.put_u64(*id));
    }
    put_count(out, membership.nodes().count());
    for (id, voter) in membership.nodes() {
        out.put_u64(*id);
        put_voter(out, voter);
    }
}

pub(crate) fn put_stored_membership(out: &mut BytesMut, stored: &StoredMembership) {
    put_optional_log_id(out, stored.log_id().as_ref());
    put_membership(out, stored.membership());
}

pub(crate) fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_longer_than_the_message_is_refused_before_anything_is_reserved() {
        let mut reader = Reader::new(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 1, 2]));
        assert!(reader.bytes().is_err());
        let mut reader = Reader::new(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 1, 2]));
        assert!(reader.count(8).is_err());
    }

    fn voter(id: u64) -> Voter {
        Voter { directory_id: Uuid::from_u128(id.into()), host: format!("kafka-{id}"), port: 9093 }
    }

    #[test]
    fn a_membership_without_addresses_is_understood() {
        let mut out = BytesMut::new();
        put_count(&mut out, 1);
        put_count(&mut out, 1);
        out.put_u64(7);
        put_count(&mut out, 1);
        out.put_u64(7);
        out.put_u128(0);
        let membership = Reader::new(out.freeze()).membership().expect("decodes");
        assert_eq!(membership.get_node(&7), Some(&Voter::default()));
    }

    #[test]
    fn a_joint_membership_survives_encoding() {
        let configs = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([2, 3, 4])];
        let nodes: BTreeMap<u64, Voter> = (1..=5).map(|id| (id, voter(id))).collect();
        let membership = Membership::new(configs, nodes).expect("valid");
        let stored = StoredMembership::new(Some(log_id(3, 7)), membership);
        let mut out = BytesMut::new();
        put_stored_membership(&mut out, &stored);
        let mut reader = Reader::new(out.freeze());
        assert_eq!(reader.stored_membership().expect("decodes"), stored);
        reader.finish().expect("nothing is left");
    }

    #[test]
    fn a_term_beyond_a_leader_epoch_is_refused() {
        let mut out = BytesMut::new();
        put_vote(&mut out, &Vote::new(u64::from(u32::MAX), 1));
        assert!(Reader::new(out.freeze()).vote().is_err());
    }
}
