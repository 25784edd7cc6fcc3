//! What the bytes of a log hold.

use bytes::Bytes;
use klamm_records::batches;

/// One batch in a replica's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// First offset.
    pub base: i64,
    /// Offset behind the last.
    pub next: i64,
    /// Leader epoch.
    pub epoch: i32,
    /// Hash of all bytes.
    pub hash: u64,
    /// Producer id, -1 for none.
    pub producer: i64,
    /// Producer epoch.
    pub producer_epoch: i16,
    /// First sequence number.
    pub sequence: i32,
    /// Whether the checksum fits.
    pub is_sound: bool,
}

/// Where the batches do not follow one another from `from` on: the offset that is missed, and the one that is there. What is
/// not sound has no offsets to speak of. A log may begin within its first batch.
pub(crate) fn hole(from: i64, batches: &[Digest]) -> Option<(i64, i64)> {
    let mut at = from;
    for batch in batches.iter().take_while(|batch| batch.is_sound) {
        let is_first = at == from && (batch.base..batch.next).contains(&at);
        if batch.base != at && !is_first {
            return Some((at, batch.base));
        }
        at = batch.next;
    }
    None
}

/// The batches in these bytes; what cannot be parsed is one unsound batch.
pub(crate) fn digests(bytes: Bytes) -> Vec<Digest> {
    let mut found = Vec::new();
    for batch in batches(bytes) {
        let Ok(batch) = batch else {
            let at = found.last().map_or(-1, |digest: &Digest| digest.next);
            let unsound = Digest {
                base: at,
                next: at,
                epoch: -1,
                hash: 0,
                producer: -1,
                producer_epoch: -1,
                sequence: -1,
                is_sound: false,
            };
            found.push(unsound);
            return found;
        };
        let header = &batch.header;
        found.push(Digest {
            base: header.base_offset,
            next: header.next_offset(),
            epoch: header.leader_epoch,
            hash: hash(&batch.bytes),
            producer: header.producer_id,
            producer_epoch: header.producer_epoch,
            sequence: header.base_sequence,
            is_sound: batch.verify_crc().is_ok(),
        });
    }
    found
}

/// Offsets and values of the clients' records in these bytes; `None` when a batch is damaged.
pub(crate) fn values(bytes: Bytes) -> Option<Vec<(i64, u64)>> {
    let mut found = Vec::new();
    for batch in batches(bytes) {
        let batch = batch.ok()?;
        batch.verify_crc().ok()?;
        for record in batch.records(1 << 20).ok()? {
            let record = record.ok()?;
            let value = record.value.as_deref().and_then(|value| value.get(..8)?.try_into().ok());
            found.push((record.offset, u64::from_be_bytes(value.unwrap_or_default())));
        }
    }
    Some(found)
}

pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    hash
}
