//! Failover: a shard loaded from the log carries on where the other stopped.

use bytes::{BufMut, Bytes, BytesMut};
use klamm_coordinator::{GroupConfig, GroupShard, Now};
use klamm_wire::messages::group_metadata_value::{GroupMetadataValue, MemberMetadata};
use klamm_wire::{ErrorCode, Str, encode_to_bytes};
use proptest::prelude::*;

use crate::driver::{Driver, GROUP, INITIAL_DELAY_MS, Join, SESSION_MS};

#[test]
fn a_stable_group_carries_on_without_a_rebalance() {
    let mut driver = Driver::new();
    let members = driver.stable_group(3);
    driver.commit(&members[1], 1, "t", 0, 5);
    let described = driver.describe(GROUP);
    let mut loaded = driver.reloaded();
    assert_eq!(loaded.describe(GROUP), described);
    assert_eq!(loaded.offsets(GROUP), driver.offsets(GROUP));
    for member in &members {
        assert_eq!(loaded.heartbeat(member, 1), ErrorCode::None);
    }
    let token = loaded.send_sync(&members[2], 1, &[]);
    assert_eq!(loaded.synced(token).assignment, "a-2".as_bytes());
}

#[test]
fn members_of_a_loaded_group_must_be_heard_of_within_their_session_timeout() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    let mut loaded = driver.reloaded();
    loaded.advance(i64::from(SESSION_MS) - 1);
    assert_eq!(loaded.heartbeat(&members[0], 1), ErrorCode::None);
    loaded.advance(1);
    assert_eq!(loaded.heartbeat(&members[0], 1), ErrorCode::RebalanceInProgress);
    assert_eq!(loaded.heartbeat(&members[1], 1), ErrorCode::UnknownMemberId);
}

#[test]
fn a_loaded_group_still_knows_its_static_members_leader_and_timeouts() {
    let mut driver = Driver::with(GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() });
    let token = driver.send_join(Join::new(9).instance("i-0").timeouts(20_000, 30_000));
    let member = driver.joined(token).member_id;
    driver.sync_all(std::slice::from_ref(&member), 1);
    let mut loaded = driver.reloaded();
    loaded.advance(19_999);
    assert_eq!(loaded.heartbeat_as(&member, Some("i-0"), 1), ErrorCode::None);
    let token = loaded.send_join(Join::new(9).instance("i-0"));
    let response = loaded.joined(token);
    assert!(response.skip_assignment && response.leader == response.member_id);
    assert_eq!(loaded.heartbeat_as(&member, Some("i-0"), 1), ErrorCode::FencedInstanceId);
}

#[test]
fn a_generation_that_was_not_recorded_is_forgotten() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    driver.send_join(Join::new(3));
    let token = driver.send_join(Join::new(3).member(&members[0]));
    assert_eq!(driver.joined(token).generation_id, 2);
    let mut loaded = driver.reloaded();
    assert_eq!(loaded.state(), "Stable");
    assert_eq!(loaded.heartbeat(&members[0], 2), ErrorCode::IllegalGeneration);
    assert_eq!(loaded.heartbeat(&members[0], 1), ErrorCode::None);
}

#[test]
fn a_loaded_group_that_is_too_large_rebalances() {
    let mut driver = Driver::new();
    let members = driver.stable_group(3);
    driver.config.max_size = 2;
    let mut loaded = driver.reloaded();
    assert_eq!(loaded.state(), "PreparingRebalance");
    let tokens = [0, 1].map(|i| loaded.send_join(Join::new(3).member(&members[i])));
    let token = loaded.send_join(Join::new(3).member(&members[2]));
    assert_eq!(ErrorCode::from_code(loaded.joined(token).error_code), ErrorCode::GroupMaxSizeReached);
    for token in tokens {
        assert_eq!(loaded.joined(token).generation_id, 2);
    }
}

#[test]
fn what_was_removed_stays_removed() {
    let mut driver = Driver::new();
    driver.commit("", -1, "t", 0, 5);
    let key = driver.log[0].0.clone();
    driver.log.push((key, None));
    assert_eq!(driver.reloaded().state(), "Dead");
}

#[test]
fn records_of_other_coordinators_are_skipped_and_damaged_ones_are_errors() {
    let mut shard = GroupShard::new(GroupConfig::default());
    assert!(shard.replay(Bytes::from_static(&[0, 3, 0, 1, b'g']), None).is_ok());
    assert!(shard.replay(Bytes::from_static(&[0, 2, 0, 9, b'g']), None).is_err());
}

#[test]
fn nothing_is_due_before_a_shard_is_loaded() {
    assert_eq!(GroupShard::new(GroupConfig::default()).next_deadline(), None);
}

/// A group metadata record, version 3, of one member, with whatever numbers and ids.
fn group_record(
    generation: i32,
    state_since: i64,
    timeouts: (i32, i32),
    leader: &str,
) -> (Bytes, Option<Bytes>) {
    let member = MemberMetadata {
        member_id: "m".into(),
        rebalance_timeout: timeouts.0,
        session_timeout: timeouts.1,
        ..MemberMetadata::default()
    };
    let metadata = GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation,
        protocol: Some("range".into()),
        leader: Some(Str::copy_from(leader)),
        current_state_timestamp: state_since,
        members: vec![member.clone(), member],
        ..GroupMetadataValue::default()
    };
    let mut value = BytesMut::from(&[0, 3][..]);
    value.put_slice(&encode_to_bytes(&metadata, 3).expect("a small record"));
    let mut key = BytesMut::from(&[0, 2, 0, 6][..]);
    key.put_slice(GROUP.as_bytes());
    (key.freeze(), Some(value.freeze()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_record_makes_a_shard_panic(key: Vec<u8>, kind in 0u8..4, value: Option<Vec<u8>>, version in 0u8..5) {
        let mut shard = GroupShard::new(GroupConfig::default());
        let key: Vec<u8> = [0, kind].into_iter().chain(key).collect();
        let value = value.map(|value| [0, version].into_iter().chain(value).collect::<Vec<u8>>());
        let _ = shard.replay(key.into(), value.map(Bytes::from));
        shard.on_loaded(Now { steady_ms: 0, wall_ms: 0 });
    }

    #[test]
    fn a_group_with_absurd_numbers_is_loaded_and_can_be_joined(
        generation: i32, state_since: i64, timeouts: (i32, i32), leader in "[mn]?", ms in 0i64..100_000_000,
    ) {
        let mut driver = Driver::new();
        driver.log.push(group_record(generation, state_since, timeouts, &leader));
        let mut driver = driver.reloaded();
        driver.advance(ms);
        let (_, token) = driver.send_join_with_new_id(Join::new(4));
        driver.leave(5, &[("m", None)]);
        driver.advance(INITIAL_DELAY_MS);
        let response = driver.joined(token);
        prop_assert_eq!(response.error_code, 0);
        prop_assert!(response.generation_id >= 0 || generation < 0);
    }
}
