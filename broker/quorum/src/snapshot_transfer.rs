//! A snapshot in pieces: the leader sends them one after another, the follower puts them together and installs the whole.

use std::cmp::Ordering;

use bytes::{Bytes, BytesMut};
use openraft::errors::{NetworkError, RPCError, StreamingError};
use openraft::network::RPCTypes;
use openraft::raft::SnapshotResponse;
use parking_lot::Mutex;

use crate::messages::{SnapshotChunk, SnapshotChunkResponse};
use crate::network::{Connection, RpcError};
use crate::transport::api;
use crate::types::{Snapshot, SnapshotMeta, TypeConfig, Vote};
use crate::{QuorumError, Transport};

/// Bytes of the largest snapshot that a voter takes.
const MAX_SNAPSHOT: u64 = 2 * 1024 * 1024 * 1024;
/// How often a receiver may lose its place before the transfer is given up and tried again from the start.
const MAX_REWINDS: u32 = 3;

/// Sends `snapshot` piece by piece and returns when the peer has installed it or knows a greater vote.
pub(crate) async fn send<T: Transport>(
    peer: &Connection<T>,
    vote: Vote,
    snapshot: Snapshot,
) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
    let data = snapshot.snapshot;
    let total = data.len() as u64;
    let (mut position, mut rewinds) = (0, 0);
    loop {
        let chunk = chunk_at(&data, position, peer.config.snapshot.chunk_bytes, vote, &snapshot.meta);
        let sent_to = position + chunk.data.len() as u64;
        let timeout = peer.config.snapshot.deadline;
        let answer: Result<SnapshotChunkResponse, RpcError> =
            peer.call(api::SNAPSHOT, RPCTypes::InstallSnapshot, &chunk, timeout).await;
        let answer = answer.map_err(into_streaming)?;
        if answer.vote.partial_cmp(&vote) == Some(Ordering::Greater) {
            return Ok(SnapshotResponse::new(answer.vote));
        }
        if answer.next != sent_to {
            rewinds += 1;
        } else if sent_to == total {
            return Ok(SnapshotResponse::new(answer.vote));
        }
        if rewinds > MAX_REWINDS || answer.next > total {
            let why = "the receiver of a snapshot keeps losing its place";
            return Err(NetworkError::from_string(why).into());
        }
        position = answer.next;
    }
}

fn chunk_at(data: &Bytes, position: u64, size: usize, vote: Vote, meta: &SnapshotMeta) -> SnapshotChunk {
    let start = usize::try_from(position).unwrap_or(usize::MAX).min(data.len());
    let end = start.saturating_add(size).min(data.len());
    let (meta, total) = (meta.clone(), data.len() as u64);
    SnapshotChunk { vote, meta, total, position, data: data.slice(start..end) }
}

fn into_streaming(error: RpcError) -> StreamingError<TypeConfig> {
    match error {
        RPCError::Timeout(error) => error.into(),
        RPCError::Unreachable(error) => error.into(),
        RPCError::Network(error) => error.into(),
        RPCError::RemoteError(error) => NetworkError::new(&error).into(),
    }
}

/// What a piece leads to.
#[derive(Debug)]
pub(crate) enum Received {
    /// More is missing; the next piece starts here.
    Next(u64),
    /// The snapshot is whole.
    Whole(SnapshotMeta, Bytes),
}

/// Puts the pieces of the snapshot that is being received together. A piece of another snapshot starts anew.
#[derive(Default)]
pub(crate) struct SnapshotReceiver {
    incoming: Mutex<Option<Incoming>>,
}

struct Incoming {
    vote: Vote,
    meta: SnapshotMeta,
    total: u64,
    data: BytesMut,
}

impl SnapshotReceiver {
    pub(crate) fn receive(&self, chunk: SnapshotChunk) -> Result<Received, QuorumError> {
        if chunk.total > MAX_SNAPSHOT {
            return Err(QuorumError::Malformed("the snapshot is too large"));
        }
        let mut slot = self.incoming.lock();
        let same = slot.as_ref().is_some_and(|incoming| incoming.is_of(&chunk));
        if !same || chunk.position == 0 {
            let SnapshotChunk { vote, ref meta, total, .. } = chunk;
            *slot = Some(Incoming { vote, meta: meta.clone(), total, data: BytesMut::new() });
        }
        let Some(incoming) = slot.as_mut() else { return Ok(Received::Next(0)) };
        let have = incoming.data.len() as u64;
        if chunk.position != have {
            return Ok(Received::Next(have));
        }
        let next = have.saturating_add(chunk.data.len() as u64);
        if next > incoming.total {
            *slot = None;
            return Err(QuorumError::Malformed("a piece reaches past the end of its snapshot"));
        }
        incoming.data.extend_from_slice(&chunk.data);
        if next < incoming.total {
            return Ok(Received::Next(next));
        }
        Ok(slot.take().map_or(Received::Next(0), |whole| Received::Whole(whole.meta, whole.data.freeze())))
    }
}

impl Incoming {
    fn is_of(&self, chunk: &SnapshotChunk) -> bool {
        self.vote == chunk.vote && self.meta == chunk.meta && self.total == chunk.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{StoredMembership, log_id};

    fn meta(index: u64) -> SnapshotMeta {
        SnapshotMeta { last_log_id: Some(log_id(1, index)), last_membership: StoredMembership::default() }
    }

    fn piece(data: &Bytes, position: u64, index: u64) -> SnapshotChunk {
        chunk_at(data, position, 4, Vote::new_committed(1, 1), &meta(index))
    }

    #[test]
    fn pieces_make_the_whole_again() {
        let data = Bytes::from_static(b"0123456789");
        let receiver = SnapshotReceiver::default();
        assert!(matches!(receiver.receive(piece(&data, 0, 5)), Ok(Received::Next(4))));
        assert!(matches!(receiver.receive(piece(&data, 4, 5)), Ok(Received::Next(8))));
        let Ok(Received::Whole(got, bytes)) = receiver.receive(piece(&data, 8, 5)) else {
            panic!("not whole")
        };
        assert_eq!((got, bytes), (meta(5), data));
    }

    #[test]
    fn a_repeated_piece_is_not_appended_twice() {
        let data = Bytes::from_static(b"0123456789");
        let receiver = SnapshotReceiver::default();
        let _ = receiver.receive(piece(&data, 0, 5));
        let _ = receiver.receive(piece(&data, 4, 5));
        assert!(matches!(receiver.receive(piece(&data, 4, 5)), Ok(Received::Next(8))));
    }

    #[test]
    fn a_piece_of_another_snapshot_starts_anew() {
        let data = Bytes::from_static(b"0123456789");
        let receiver = SnapshotReceiver::default();
        let _ = receiver.receive(piece(&data, 0, 5));
        assert!(matches!(receiver.receive(piece(&data, 4, 6)), Ok(Received::Next(0))));
    }

    #[test]
    fn an_empty_snapshot_is_whole_at_once() {
        let receiver = SnapshotReceiver::default();
        assert!(matches!(receiver.receive(piece(&Bytes::new(), 0, 5)), Ok(Received::Whole(..))));
    }

    #[test]
    fn a_piece_past_the_end_is_refused() {
        let receiver = SnapshotReceiver::default();
        let mut chunk = piece(&Bytes::from_static(b"0123"), 0, 5);
        chunk.total = 3;
        assert!(receiver.receive(chunk).is_err());
    }
}
