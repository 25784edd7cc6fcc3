//! What every request between members is wrapped in: which disk it is for, and which disk sends it.
//!
//! A node whose disk was replaced listens at the same address as before. Nothing that is meant for the lost disk may be
//! answered in its name.

use bytes::{BufMut, Bytes, BytesMut};

use crate::QuorumError;
use crate::codec::{Reader, put_bytes, put_optional_log_id};
use crate::messages::Message;
use crate::types::LogId;

/// A request on its way.
#[derive(Debug, PartialEq)]
pub(crate) struct Envelope {
    /// Raft id of the disk that it is for.
    pub(crate) to: u64,
    /// Raft id of the disk that sends it.
    pub(crate) from: u64,
    /// The last entry that the receiver has acknowledged to the sender in the sender's present term.
    pub(crate) acknowledged: Option<LogId>,
    /// The encoded request.
    pub(crate) request: Bytes,
}

impl Message for Envelope {
    fn put(&self, out: &mut BytesMut) {
        out.put_u64(self.to);
        out.put_u64(self.from);
        put_optional_log_id(out, self.acknowledged.as_ref());
        put_bytes(out, &self.request);
    }

    fn take(reader: &mut Reader) -> Result<Self, QuorumError> {
        let (to, from) = (reader.u64()?, reader.u64()?);
        Ok(Envelope { to, from, acknowledged: reader.optional_log_id()?, request: reader.bytes()? })
    }
}
