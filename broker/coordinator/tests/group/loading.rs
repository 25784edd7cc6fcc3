//! Failover: a shard loaded from the log carries on where the other stopped.

use bytes::Bytes;
use klamm_coordinator::{GroupConfig, GroupShard};
use klamm_wire::ErrorCode;

use crate::driver::{Driver, GROUP, Join, SESSION_MS};

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
