//! The question that controllers ask each other before they are members, and its answer.

use bytes::{BufMut, BytesMut};
use uuid::Uuid;

use crate::codec::{Reader, put_count, put_text};
use crate::messages::Message;
use crate::{Peer, QuorumError};

/// Bytes of the shortest address.
const ADDRESS_MIN: usize = 8;

/// Who asks, and what for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Identify {
    /// Who asks, and where it listens.
    pub(crate) asker: Peer,
    /// The disk of who asks.
    pub(crate) directory_id: Uuid,
    /// Its raft id.
    pub(crate) raft_id: u64,
    /// It wants to receive the log.
    pub(crate) wants_log: bool,
    /// It wants to become a voter once it has the log (`controller.quorum.auto.join.enable`).
    pub(crate) wants_vote: bool,
}

/// Who answers, and what it knows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Identified {
    /// Node id of who answers.
    pub(crate) node_id: i32,
    /// Its disk.
    pub(crate) directory_id: Uuid,
    /// Its log has entries, so there is a quorum already.
    pub(crate) is_founded: bool,
    /// Whom to ask as well.
    pub(crate) controllers: Vec<Peer>,
}

fn put_peer(out: &mut BytesMut, peer: &Peer) {
    out.put_i32(peer.id);
    put_text(out, &peer.host);
    out.put_u16(peer.port);
}

fn take_peer(reader: &mut Reader) -> Result<Peer, QuorumError> {
    Ok(Peer { id: reader.i32()?, host: reader.text()?, port: reader.u16()? })
}

impl Message for Identify {
    fn put(&self, out: &mut BytesMut) {
        put_peer(out, &self.asker);
        out.put_u128(self.directory_id.as_u128());
        out.put_u64(self.raft_id);
        out.put_u8(u8::from(self.wants_log));
        out.put_u8(u8::from(self.wants_vote));
    }

    fn take(reader: &mut Reader) -> Result<Self, QuorumError> {
        let (asker, directory_id, raft_id) = (take_peer(reader)?, reader.uuid()?, reader.u64()?);
        Ok(Identify { asker, directory_id, raft_id, wants_log: reader.bool()?, wants_vote: reader.bool()? })
    }
}

impl Message for Identified {
    fn put(&self, out: &mut BytesMut) {
        out.put_i32(self.node_id);
        out.put_u128(self.directory_id.as_u128());
        out.put_u8(u8::from(self.is_founded));
        put_count(out, self.controllers.len());
        self.controllers.iter().for_each(|peer| put_peer(out, peer));
    }

    fn take(reader: &mut Reader) -> Result<Self, QuorumError> {
        let (node_id, directory_id, is_founded) = (reader.i32()?, reader.uuid()?, reader.bool()?);
        let count = reader.count(ADDRESS_MIN)?;
        let controllers = (0..count).map(|_| take_peer(reader)).collect::<Result<_, _>>()?;
        Ok(Identified { node_id, directory_id, is_founded, controllers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_and_answer_survive_encoding_and_no_prefix_of_them_decodes() {
        let peer = Peer { id: 4, host: "kafka-4".to_owned(), port: 9093 };
        let directory_id = Uuid::from_u128(9);
        let question = Identify {
            asker: peer.clone(),
            directory_id,
            raft_id: 7 << 40,
            wants_log: true,
            wants_vote: false,
        };
        let answer = Identified { node_id: 1, directory_id, is_founded: true, controllers: vec![peer] };
        assert_eq!(Identify::decode(question.encode()).expect("decodes"), question);
        let bytes = answer.encode();
        for len in 0..bytes.len() {
            assert!(Identified::decode(bytes.slice(..len)).is_err());
        }
        assert_eq!(Identified::decode(bytes).expect("decodes"), answer);
    }
}
