//! Records of `__consumer_offsets`, byte for byte as Kafka writes them.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use klamm_wire::messages::group_metadata_key::GroupMetadataKey;
use klamm_wire::messages::group_metadata_value::{GroupMetadataValue, MemberMetadata};
use klamm_wire::messages::legacy_offset_commit_value::LegacyOffsetCommitValue;
use klamm_wire::messages::offset_commit_key::OffsetCommitKey;
use klamm_wire::messages::offset_commit_value::OffsetCommitValue;
use klamm_wire::{Message, decode_from_bytes, encode_to_bytes};

fn assert_bytes<M: Message + PartialEq + std::fmt::Debug>(
    message: &M,
    version: i16,
    expected: &'static [u8],
) {
    assert_eq!(encode_to_bytes(message, version).unwrap(), expected, "v{version}");
    assert_eq!(
        &decode_from_bytes::<M>(Bytes::from_static(expected), version).unwrap(),
        message,
        "v{version}"
    );
}

#[test]
fn an_offset_key_is_group_topic_and_partition() {
    let key = OffsetCommitKey { group: "g".into(), topic: "tt".into(), partition: 5 };
    assert_eq!(OffsetCommitKey::RECORD_TYPE, 1);
    assert_bytes(&key, 0, b"\0\x01g\0\x02tt\0\0\0\x05");
}

#[test]
fn an_offset_value_has_its_fields_in_the_order_of_its_version() {
    let value = OffsetCommitValue {
        offset: 1,
        metadata: "m".into(),
        commit_timestamp: 2,
        ..OffsetCommitValue::default()
    };
    assert_bytes(&value, 0, b"\0\0\0\0\0\0\0\x01\0\x01m\0\0\0\0\0\0\0\x02");
    let expiring = OffsetCommitValue { expire_timestamp: 3, ..value.clone() };
    assert_bytes(&expiring, 1, b"\0\0\0\0\0\0\0\x01\0\x01m\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03");
    let led = OffsetCommitValue { leader_epoch: 9, ..value };
    assert_bytes(&led, 3, b"\0\0\0\0\0\0\0\x01\0\0\0\x09\0\x01m\0\0\0\0\0\0\0\x02");
    let identified = OffsetCommitValue { topic_id: uuid::Uuid::from_bytes([7; 16]), ..led };
    let tagged = b"\0\0\0\0\0\0\0\x01\0\0\0\x09\x02m\0\0\0\0\0\0\0\x02\x01\0\x10\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07";
    assert_bytes(&identified, 4, tagged);
}

#[test]
fn a_legacy_offset_value_is_readable() {
    let value = LegacyOffsetCommitValue { offset: 1, metadata: "m".into(), commit_timestamp: 2 };
    assert_bytes(&value, 0, b"\0\0\0\0\0\0\0\x01\0\x01m\0\0\0\0\0\0\0\x02");
}

#[test]
fn a_group_record_has_its_fields_in_the_order_of_its_version() {
    assert_eq!(GroupMetadataKey::RECORD_TYPE, 2);
    assert_bytes(&GroupMetadataKey { group: "g".into() }, 0, b"\0\x01g");
    let member = MemberMetadata {
        member_id: "m".into(),
        group_instance_id: Some("i".into()),
        client_id: "c".into(),
        client_host: "h".into(),
        rebalance_timeout: 4,
        session_timeout: 5,
        subscription: Bytes::from_static(b"s"),
        assignment: Bytes::from_static(b"a"),
        ..MemberMetadata::default()
    };
    let value = GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation: 1,
        protocol: Some("range".into()),
        leader: None,
        current_state_timestamp: 2,
        members: vec![member],
        ..GroupMetadataValue::default()
    };
    assert_bytes(
        &value,
        3,
        b"\0\x08consumer\0\0\0\x01\0\x05range\xff\xff\0\0\0\0\0\0\0\x02\0\0\0\x01\0\x01m\0\x01i\0\x01c\0\x01h\0\0\0\x04\0\0\0\x05\0\0\0\x01s\0\0\0\x01a",
    );
    assert_bytes(
        &value,
        4,
        b"\x09consumer\0\0\0\x01\x06range\0\0\0\0\0\0\0\0\x02\x02\x02m\x02i\x02c\x02h\0\0\0\x04\0\0\0\x05\x02s\x02a\0\0",
    );
}
