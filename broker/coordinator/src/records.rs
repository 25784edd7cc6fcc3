//! Keys and values of `__consumer_offsets`, in Kafka's formats.
//!
//! A key starts with an int16 record type, a value with an int16 version. Commits are the hot path: they are written
//! by hand into one buffer for the whole request, and the wire tables hold them to account in the tests.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use klamm_wire::messages::group_metadata_key::GroupMetadataKey;
use klamm_wire::messages::group_metadata_value::GroupMetadataValue;
use klamm_wire::messages::offset_commit_key::OffsetCommitKey;
use klamm_wire::messages::offset_commit_value::OffsetCommitValue;
use klamm_wire::{DecodeError, Str, decode_from_bytes, encode_to_bytes};

use crate::offsets::CommittedOffset;

/// Written by very old coordinators; its fields are those of [`OFFSET_KEY`].
const LEGACY_OFFSET_KEY: i16 = 0;
const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;
/// The table version of every key: the record type in front stands in for it.
const KEY_VERSION: i16 = 0;
/// The newest value without tagged fields.
const OFFSET_VALUE: i16 = 3;
/// The only offset value with an expiry timestamp, for OffsetCommit v2-v4 with a retention time.
const EXPIRING_OFFSET_VALUE: i16 = 1;
const GROUP_VALUE: i16 = 3;
/// The longest string in the formats above.
pub(crate) const MAX_STRING: usize = i16::MAX as usize;

/// Key and value of one record; no value is a tombstone.
pub(crate) type KeyValue = (Bytes, Option<Bytes>);

/// One record of `__consumer_offsets` that this coordinator understands.
#[derive(Debug, PartialEq)]
pub(crate) enum Record {
    /// OffsetCommitKey: a committed offset, or its removal.
    Offset { group: Str, topic: Str, partition: i32, committed: Option<CommittedOffset> },
    /// GroupMetadataKey: the state of a group at its last generation, or its removal.
    Group { group: Str, metadata: Option<GroupMetadataValue> },
}

/// Reads a record; `None` for the key types of other coordinators (consumer, share and streams groups).
pub(crate) fn decode(mut key: Bytes, value: Option<Bytes>) -> Result<Option<Record>, DecodeError> {
    let Some(kind) = take_version(&mut key) else { return Ok(None) };
    match kind {
        LEGACY_OFFSET_KEY | OFFSET_KEY => {
            let key: OffsetCommitKey = decode_from_bytes(key, KEY_VERSION)?;
            let committed = value.map(decode_offset_value).transpose()?;
            Ok(Some(Record::Offset {
                group: key.group,
                topic: key.topic,
                partition: key.partition,
                committed,
            }))
        }
        GROUP_KEY => {
            let key: GroupMetadataKey = decode_from_bytes(key, KEY_VERSION)?;
            let metadata = value.map(decode_group_value).transpose()?;
            Ok(Some(Record::Group { group: key.group, metadata }))
        }
        _ => Ok(None),
    }
}

fn take_version(bytes: &mut Bytes) -> Option<i16> {
    bytes.try_get_i16().ok()
}

fn decode_offset_value(mut value: Bytes) -> Result<CommittedOffset, DecodeError> {
    let version = take_version(&mut value).unwrap_or(-1);
    let value: OffsetCommitValue = decode_from_bytes(value, version)?;
    Ok(CommittedOffset {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata,
        commit_timestamp: value.commit_timestamp,
        expire_timestamp: (value.expire_timestamp >= 0).then_some(value.expire_timestamp),
    })
}

fn decode_group_value(mut value: Bytes) -> Result<GroupMetadataValue, DecodeError> {
    let version = take_version(&mut value).unwrap_or(-1);
    decode_from_bytes(value, version)
}

/// The metadata record of a group; `None` when it does not fit in `max_bytes` or in the format's string lengths.
pub(crate) fn group(group: &str, metadata: &GroupMetadataValue, max_bytes: usize) -> Option<KeyValue> {
    let body = encode_to_bytes(metadata, GROUP_VALUE).ok()?;
    if group.len() > MAX_STRING || body.len() > max_bytes {
        return None;
    }
    let mut value = BytesMut::with_capacity(2 + body.len());
    value.put_i16(GROUP_VALUE);
    value.put_slice(&body);
    Some((group_key(group), Some(value.freeze())))
}

/// The record that removes a group.
pub(crate) fn group_tombstone(group: &str) -> KeyValue {
    (group_key(group), None)
}

fn group_key(group: &str) -> Bytes {
    let mut key = BytesMut::with_capacity(4 + group.len());
    key.put_i16(GROUP_KEY);
    put_string(&mut key, group);
    key.freeze()
}

/// The record that removes a committed offset.
pub(crate) fn offset_tombstone(group: &str, topic: &str, partition: i32) -> KeyValue {
    let mut key = BytesMut::with_capacity(offset_key_size(group, topic));
    put_offset_key(&mut key, group, topic, partition);
    (key.freeze(), None)
}

/// Bytes that the commit of one offset takes, key and value.
pub(crate) fn offset_size(group: &str, topic: &str, metadata: &str) -> usize {
    offset_key_size(group, topic) + 2 + 8 + 4 + 2 + metadata.len() + 8 + 8
}

/// Writes the commit of one offset to `buffer` and takes key and value out of it without a copy.
pub(crate) fn offset(
    buffer: &mut BytesMut,
    group: &str,
    topic: &str,
    partition: i32,
    committed: &CommittedOffset,
) -> KeyValue {
    put_offset_key(buffer, group, topic, partition);
    let key = buffer.split().freeze();
    match committed.expire_timestamp {
        None => {
            buffer.put_i16(OFFSET_VALUE);
            buffer.put_i64(committed.offset);
            buffer.put_i32(committed.leader_epoch);
            put_string(buffer, &committed.metadata);
            buffer.put_i64(committed.commit_timestamp);
        }
        Some(expire_timestamp) => {
            buffer.put_i16(EXPIRING_OFFSET_VALUE);
            buffer.put_i64(committed.offset);
            put_string(buffer, &committed.metadata);
            buffer.put_i64(committed.commit_timestamp);
            buffer.put_i64(expire_timestamp);
        }
    }
    (key, Some(buffer.split().freeze()))
}

fn offset_key_size(group: &str, topic: &str) -> usize {
    2 + 2 + group.len() + 2 + topic.len() + 4
}

fn put_offset_key(buffer: &mut BytesMut, group: &str, topic: &str, partition: i32) {
    buffer.put_i16(OFFSET_KEY);
    put_string(buffer, group);
    put_string(buffer, topic);
    buffer.put_i32(partition);
}

/// Writes a non-flexible string. Callers have refused anything longer than [`MAX_STRING`].
fn put_string(buffer: &mut BytesMut, text: &str) {
    debug_assert!(text.len() <= MAX_STRING, "a string too long for the record format");
    buffer.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
    buffer.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use klamm_wire::messages::group_metadata_value::MemberMetadata;

    use super::*;

    fn committed(expire_timestamp: Option<i64>) -> CommittedOffset {
        CommittedOffset {
            offset: 42,
            leader_epoch: if expire_timestamp.is_some() { -1 } else { 7 },
            metadata: "m\u{e4}".into(),
            commit_timestamp: 1_700_000_000_000,
            expire_timestamp,
        }
    }

    fn with_version(version: i16, body: &[u8]) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_i16(version);
        bytes.put_slice(body);
        bytes.freeze()
    }

    #[test]
    fn commits_are_written_as_the_tables_say() {
        let mut buffer = BytesMut::new();
        let (key, value) = offset(&mut buffer, "g", "topic", 3, &committed(None));
        let table_key = OffsetCommitKey { group: "g".into(), topic: "topic".into(), partition: 3 };
        assert_eq!(key, with_version(1, &encode_to_bytes(&table_key, 0).unwrap()));
        let table_value = OffsetCommitValue {
            offset: 42,
            leader_epoch: 7,
            metadata: "m\u{e4}".into(),
            commit_timestamp: 1_700_000_000_000,
            ..OffsetCommitValue::default()
        };
        assert_eq!(value.unwrap(), with_version(3, &encode_to_bytes(&table_value, 3).unwrap()));
    }

    #[test]
    fn a_commit_with_an_expiry_time_is_written_as_version_1() {
        let mut buffer = BytesMut::new();
        let (_, value) = offset(&mut buffer, "g", "topic", 3, &committed(Some(1_700_000_060_000)));
        let table_value = OffsetCommitValue {
            offset: 42,
            metadata: "m\u{e4}".into(),
            commit_timestamp: 1_700_000_000_000,
            expire_timestamp: 1_700_000_060_000,
            ..OffsetCommitValue::default()
        };
        assert_eq!(value.unwrap(), with_version(1, &encode_to_bytes(&table_value, 1).unwrap()));
    }

    #[test]
    fn the_room_reserved_for_a_commit_is_enough() {
        for expire_timestamp in [None, Some(1)] {
            let mut buffer = BytesMut::new();
            let committed = committed(expire_timestamp);
            let (key, value) = offset(&mut buffer, "g", "topic", 3, &committed);
            assert!(key.len() + value.unwrap().len() <= offset_size("g", "topic", &committed.metadata));
        }
    }

    #[test]
    fn records_read_back_as_they_were_written() {
        for committed in [committed(None), committed(Some(5))] {
            let mut buffer = BytesMut::new();
            let (key, value) = offset(&mut buffer, "g", "t", 0, &committed);
            let read = Record::Offset {
                group: "g".into(),
                topic: "t".into(),
                partition: 0,
                committed: Some(committed),
            };
            assert_eq!(decode(key, value).unwrap(), Some(read));
        }
        let (key, value) = offset_tombstone("g", "t", 0);
        let read = Record::Offset { group: "g".into(), topic: "t".into(), partition: 0, committed: None };
        assert_eq!(decode(key, value).unwrap(), Some(read));

        let member = MemberMetadata {
            member_id: "m".into(),
            group_instance_id: Some("i".into()),
            ..Default::default()
        };
        let metadata =
            GroupMetadataValue { generation: 3, members: vec![member], ..GroupMetadataValue::default() };
        let (key, value) = group("g", &metadata, 1_000).unwrap();
        assert_eq!(
            decode(key, value).unwrap(),
            Some(Record::Group { group: "g".into(), metadata: Some(metadata) })
        );
        let (key, value) = group_tombstone("g");
        assert_eq!(decode(key, value).unwrap(), Some(Record::Group { group: "g".into(), metadata: None }));
    }

    #[test]
    fn every_value_version_of_kafka_is_read() {
        let key = offset_tombstone("g", "t", 0).0;
        for version in 0..=4 {
            let table_value = OffsetCommitValue { offset: 42, ..OffsetCommitValue::default() };
            let value = with_version(version, &encode_to_bytes(&table_value, version).unwrap());
            let Some(Record::Offset { committed: Some(read), .. }) =
                decode(key.clone(), Some(value)).unwrap()
            else {
                panic!("not a commit");
            };
            assert_eq!((read.offset, read.leader_epoch, read.expire_timestamp), (42, -1, None));
        }
        for version in 0..=4 {
            let table_value = GroupMetadataValue { generation: 9, ..GroupMetadataValue::default() };
            let value = with_version(version, &encode_to_bytes(&table_value, version).unwrap());
            let read = decode(group_tombstone("g").0, Some(value)).unwrap();
            assert!(matches!(read, Some(Record::Group { metadata: Some(read), .. }) if read.generation == 9));
        }
    }

    #[test]
    fn records_of_other_coordinators_are_skipped() {
        for kind in 3..=23 {
            assert_eq!(decode(with_version(kind, b"whatever"), None).unwrap(), None);
        }
        assert_eq!(decode(Bytes::new(), None).unwrap(), None);
    }

    #[test]
    fn damaged_records_are_errors() {
        let key = offset_tombstone("g", "t", 0).0;
        assert!(decode(key.slice(..key.len() - 1), None).is_err());
        for value in [&[][..], &[0, 3], &[0, 9, 1, 2, 3], &[0xff, 0xff]] {
            assert!(decode(key.clone(), Some(Bytes::copy_from_slice(value))).is_err());
            assert!(decode(group_key("g"), Some(Bytes::copy_from_slice(value))).is_err());
        }
    }

    #[test]
    fn a_group_that_does_not_fit_is_not_written() {
        let metadata =
            GroupMetadataValue { protocol_type: "consumer".into(), ..GroupMetadataValue::default() };
        assert!(group("g", &metadata, 10).is_none());
        assert!(group(&"g".repeat(MAX_STRING + 1), &metadata, 1_000).is_none());
    }
}
