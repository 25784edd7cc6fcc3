//! The `.snapshot` file: producer states at one offset, Kafka's version 1.
//!
//! Layout: version i16, CRC-32C u32 of everything after it, number of entries i32, entries of 46 bytes. Only the last
//! batch of each producer is needed to go on, but a batch whose answer was lost comes again, so that each of the last fifteen
//! is an entry of its own, oldest first: who knows one entry a producer, as Kafka does, takes the last.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use bytes::{Buf, BufMut};

use super::{ProducerBatch, ProducerEntry, ProducerStates};
use crate::disk::{Disk, is_unreadable, read_file};

const VERSION: i16 = 1;
const HEADER: usize = 6;
const ENTRY: usize = 46;
const NO_TRANSACTION: i64 = -1;

/// The file's contents.
pub(crate) fn encode(states: &ProducerStates) -> Vec<u8> {
    let mut entries: Vec<_> = states.iter().collect();
    entries.sort_by_key(|(id, _)| *id);
    let count: usize = entries.iter().map(|(_, entry)| entry.batches.len().max(1)).sum();
    let mut body = Vec::with_capacity(4 + count * ENTRY);
    body.put_i32(count as i32);
    for (id, entry) in entries {
        if entry.batches.is_empty() {
            encode_entry(&mut body, id, entry, None);
        }
        entry.batches.iter().for_each(|batch| encode_entry(&mut body, id, entry, Some(batch)));
    }
    let mut contents = Vec::with_capacity(HEADER + body.len());
    contents.put_i16(VERSION);
    contents.put_u32(crc32c::crc32c(&body));
    contents.extend_from_slice(&body);
    contents
}

fn encode_entry(body: &mut Vec<u8>, id: i64, entry: &ProducerEntry, batch: Option<&ProducerBatch>) {
    body.put_i64(id);
    body.put_i16(entry.epoch);
    body.put_i32(batch.map_or(-1, |batch| batch.last_sequence));
    body.put_i64(batch.map_or(-1, |batch| batch.last_offset));
    body.put_i32(batch.map_or(0, |batch| batch.offset_delta));
    body.put_i64(batch.map_or(entry.last_timestamp, |batch| batch.timestamp));
    body.put_i32(entry.coordinator_epoch);
    body.put_i64(entry.transaction_start.unwrap_or(NO_TRANSACTION));
}

/// Reads a file; `None` if the disk cannot, or its contents are damaged or of another version.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<ProducerStates>> {
    match read_file(disk, path) {
        Err(error) if is_unreadable(&error) => Ok(None),
        contents => Ok(decode(&contents?)),
    }
}

/// Decodes the file's contents; `None` if they are damaged or of another version.
pub(crate) fn decode(contents: &[u8]) -> Option<ProducerStates> {
    let mut header = contents.get(..HEADER)?;
    let mut body = contents.get(HEADER..)?;
    if header.get_i16() != VERSION || header.get_u32() != crc32c::crc32c(body) {
        return None;
    }
    let count = usize::try_from(body.try_get_i32().ok()?).ok()?;
    if body.len() != count.checked_mul(ENTRY)? {
        return None;
    }
    let mut states = ProducerStates::default();
    for mut entry in body.chunks_exact(ENTRY) {
        let (id, entry) = decode_entry(&mut entry);
        states.restore(id, entry);
    }
    Some(states)
}

/// Reads one entry; `fields` holds exactly [`ENTRY`] bytes.
fn decode_entry(fields: &mut &[u8]) -> (i64, ProducerEntry) {
    let (id, epoch) = (fields.get_i64(), fields.get_i16());
    let (last_sequence, last_offset, offset_delta) = (fields.get_i32(), fields.get_i64(), fields.get_i32());
    let (timestamp, coordinator_epoch) = (fields.get_i64(), fields.get_i32());
    let transaction_start = Some(fields.get_i64()).filter(|offset| *offset >= 0);
    let batch = ProducerBatch { last_sequence, last_offset, offset_delta, timestamp };
    let batches = if last_sequence >= 0 { VecDeque::from([batch]) } else { VecDeque::new() };
    (id, ProducerEntry { epoch, batches, coordinator_epoch, transaction_start, last_timestamp: timestamp })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> ProducerStates {
        let mut states = ProducerStates::default();
        for id in 0..3 {
            let batch =
                ProducerBatch { last_sequence: 4, last_offset: 100 + id, offset_delta: 4, timestamp: 77 };
            let entry = ProducerEntry {
                epoch: 2,
                batches: VecDeque::from([batch]),
                coordinator_epoch: -1,
                transaction_start: (id == 1).then_some(96),
                last_timestamp: 77,
            };
            states.restore(id, entry);
        }
        states
    }

    #[test]
    fn all_batches_that_a_retry_may_repeat_are_kept() {
        let mut states = ProducerStates::default();
        let batch = |last_sequence: i32| ProducerBatch {
            last_sequence,
            last_offset: 100 + i64::from(last_sequence),
            offset_delta: 0,
            timestamp: 70 + i64::from(last_sequence),
        };
        let entry = ProducerEntry {
            epoch: 2,
            batches: (0..5).map(batch).collect(),
            coordinator_epoch: -1,
            transaction_start: None,
            last_timestamp: 74,
        };
        states.restore(9, entry);
        assert_eq!(decode(&encode(&states)), Some(states));
    }

    #[test]
    fn a_snapshot_survives_the_round_trip() {
        let contents = encode(&states());
        assert_eq!(contents.len(), HEADER + 4 + 3 * ENTRY);
        assert_eq!(decode(&contents), Some(states()));
        assert_eq!(decode(&encode(&ProducerStates::default())), Some(ProducerStates::default()));
    }

    #[test]
    fn damage_is_noticed_wherever_it_is() {
        let contents = encode(&states());
        for at in 0..contents.len() {
            let mut damaged = contents.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None, "byte {at}");
            assert_eq!(decode(&contents[..at]), None, "cut at {at}");
        }
    }
}
