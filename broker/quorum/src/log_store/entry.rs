//! One raft entry as one record batch: base offset = index, leader epoch = term, one record.
//!
//! Records of the metadata log are the value of an ordinary batch. Entries that only the quorum needs are control
//! batches; their key is Kafka's, `version(i16 = 0) type(i16)`, with types that Kafka does not use.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use klamm_records::{Batch, BatchBuilder, BatchError};

use crate::QuorumError;
use crate::messages::{payload_from_parts, payload_parts};
use crate::sealed;
use crate::types::{Entry, Payload, epoch_of, log_id, offset_of, term_of};

/// First type number of control records of the quorum; the kind of the payload is added.
const CONTROL_BASE: i16 = 100;
const CONTROL_VERSION: i16 = 0;
const KEY_SIZE: usize = 4;
const NORMAL: u8 = 1;

/// The batch that stores `entry`.
pub(super) fn to_batch(entry: &Entry) -> io::Result<BytesMut> {
    let (kind, bytes) = payload_parts(&entry.payload);
    let builder =
        BatchBuilder::new(offset_of(entry.log_id.index)).leader_epoch(epoch_of(term_of(&entry.log_id)));
    let mut builder = if matches!(entry.payload, Payload::Normal(_)) { builder } else { builder.control() };
    let pushed = match kind {
        NORMAL => builder.push(now_ms(), None, Some(&bytes), &[]),
        kind => builder.push(now_ms(), Some(&control_key(kind)), Some(&bytes), &[]),
    };
    pushed.and_then(|()| builder.finish()).map_err(invalid)
}

/// The entry that `batch` stores.
pub(super) fn from_batch(batch: &Batch) -> io::Result<Entry> {
    batch.verify_crc().map_err(invalid)?;
    let (offset, epoch) = (batch.header.base_offset, batch.header.leader_epoch);
    let (Ok(index), Ok(term)) = (u64::try_from(offset), u64::try_from(epoch)) else {
        return Err(malformed(offset));
    };
    let record =
        batch.records(batch.bytes.len()).map_err(invalid)?.next().ok_or_else(|| malformed(offset))?;
    let record = record.map_err(invalid)?;
    let kind = match &record.key {
        None => NORMAL,
        Some(key) => control_kind(key, offset)?,
    };
    let payload = payload_from_parts(kind, record.value.unwrap_or_default());
    let payload = payload.map_err(|error| match error {
        QuorumError::UnknownFormat { .. } => sealed::unknown(error),
        _ => malformed(offset),
    })?;
    Ok(Entry { log_id: log_id(term, index), payload })
}

fn control_key(kind: u8) -> [u8; KEY_SIZE] {
    let mut key = [0; KEY_SIZE];
    key[..2].copy_from_slice(&CONTROL_VERSION.to_be_bytes());
    key[2..].copy_from_slice(&(CONTROL_BASE + i16::from(kind)).to_be_bytes());
    key
}

/// The kind of a payload that a control record's key names, whether or not it is known.
fn control_kind(key: &Bytes, offset: i64) -> io::Result<u8> {
    let &[major, minor, high, low] = key.as_ref() else { return Err(malformed(offset)) };
    let (version, kind) = (i16::from_be_bytes([major, minor]), i16::from_be_bytes([high, low]));
    if version != CONTROL_VERSION {
        let what = format!("the control record at offset {offset} of the metadata log");
        let (found, known) = (version.into(), CONTROL_VERSION.into());
        return Err(sealed::unknown(QuorumError::UnknownFormat { what, found, known }));
    }
    u8::try_from(kind.saturating_sub(CONTROL_BASE)).map_err(|_| malformed(offset))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(0)
}

fn invalid(error: BatchError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

fn malformed(offset: i64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the batch at offset {offset} is not an entry of the metadata log"),
    )
}
