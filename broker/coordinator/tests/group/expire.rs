//! Offset expiry: what is kept while it may be needed, and removed when it is not.

use klamm_coordinator::{GroupConfig, GroupRequest};
use klamm_wire::ErrorCode;

use crate::driver::{Driver, GROUP, Join, commit_of, subscription};

const RETENTION_MS: i64 = 3_600_000;
const CHECK_MS: i64 = 60_000;

fn driver() -> Driver {
    Driver::with(GroupConfig {
        offsets_retention_ms: RETENTION_MS,
        offsets_retention_check_interval_ms: CHECK_MS,
        initial_rebalance_delay_ms: 0,
        ..GroupConfig::default()
    })
}

/// Lets time pass while a member heartbeats.
fn advance_alive(driver: &mut Driver, member: &str, ms: i64) {
    for _ in 0..ms / 5_000 {
        driver.advance(5_000);
        assert_eq!(driver.heartbeat(member, 1), ErrorCode::None);
    }
}

#[test]
fn offsets_of_a_client_without_a_group_expire_after_their_commit() {
    let mut driver = driver();
    driver.commit("", -1, "t", 0, 1);
    driver.advance(RETENTION_MS / 2);
    driver.commit("", -1, "t", 1, 1);
    driver.advance(RETENTION_MS / 2 + CHECK_MS);
    assert_eq!(driver.offsets(GROUP).into_keys().collect::<Vec<_>>(), [("t".to_owned(), 1)]);
    driver.advance(RETENTION_MS / 2);
    assert_eq!(driver.state(), "Dead");
    assert_eq!(driver.reloaded().state(), "Dead");
}

#[test]
fn offsets_of_a_group_expire_after_its_last_member_left() {
    let mut driver = driver();
    let members = driver.stable_group(1);
    driver.commit(&members[0], 1, "t", 0, 1);
    advance_alive(&mut driver, &members[0], 2 * RETENTION_MS);
    assert_eq!(driver.offsets(GROUP).len(), 1, "a topic that is read");
    driver.leaves(&members[0]);
    driver.advance(RETENTION_MS - CHECK_MS);
    assert_eq!(driver.offsets(GROUP).len(), 1);
    driver.advance(2 * CHECK_MS);
    assert_eq!(driver.state(), "Dead");
    assert_eq!(driver.reloaded().state(), "Dead", "the group's record is gone with its offsets");
}

#[test]
fn the_retention_of_an_empty_group_goes_on_after_a_failover() {
    let mut driver = driver();
    let members = driver.stable_group(1);
    driver.commit(&members[0], 1, "t", 0, 1);
    driver.leaves(&members[0]);
    driver.advance(RETENTION_MS - CHECK_MS);
    let mut driver = driver.reloaded();
    driver.advance(CHECK_MS - 1);
    assert_eq!(driver.offsets(GROUP).len(), 1);
    driver.advance(CHECK_MS);
    assert_eq!(driver.state(), "Dead");
}

#[test]
fn a_stable_consumer_group_loses_offsets_of_topics_that_it_no_longer_reads() {
    let mut driver = driver();
    let token = driver.send_join(Join::new(3).offering(&[("range", subscription(&["read"]))]));
    let member = driver.joined(token).member_id;
    driver.sync_all(std::slice::from_ref(&member), 1);
    for topic in ["read", "given-up"] {
        assert_eq!(driver.commit(&member, 1, topic, 0, 1), ErrorCode::None);
    }
    advance_alive(&mut driver, &member, RETENTION_MS + CHECK_MS);
    assert_eq!(driver.offsets(GROUP).into_keys().collect::<Vec<_>>(), [("read".to_owned(), 0)]);
}

#[test]
fn a_group_of_another_protocol_keeps_its_offsets_while_it_has_members() {
    let mut driver = driver();
    let token = driver.send_join(Join::new(3).protocol_type("connect"));
    let member = driver.joined(token).member_id;
    driver.sync_all(std::slice::from_ref(&member), 1);
    driver.commit(&member, 1, "t", 0, 1);
    advance_alive(&mut driver, &member, RETENTION_MS + CHECK_MS);
    assert_eq!(driver.offsets(GROUP).len(), 1);
}

#[test]
fn a_retention_time_in_the_commit_overrides_the_brokers() {
    let mut driver = driver();
    let mut request = commit_of("", -1, "t", 0, 1);
    request.retention_time_ms = CHECK_MS;
    assert_eq!(driver.commit_request(4, request), ErrorCode::None);
    driver.commit("", -1, "t", 1, 1);
    let mut driver = driver.reloaded();
    driver.advance(2 * CHECK_MS);
    assert_eq!(driver.offsets(GROUP).into_keys().collect::<Vec<_>>(), [("t".to_owned(), 1)]);
}

#[test]
fn the_age_of_an_offset_is_counted_by_the_wall_clock_that_brokers_share() {
    let mut driver = driver();
    driver.wall_ahead = RETENTION_MS;
    driver.commit("", -1, "t", 0, 1);
    // This one's steady clock shows what its wall clock does not.
    let mut other = driver.reloaded();
    other.wall_ahead = RETENTION_MS;
    other.advance(RETENTION_MS - CHECK_MS);
    assert_eq!(other.offsets(GROUP).len(), 1);
    other.advance(2 * CHECK_MS);
    assert_eq!(other.offsets(GROUP).len(), 0);
    let mut set_back = driver.reloaded();
    set_back.advance(RETENTION_MS + CHECK_MS);
    assert_eq!(set_back.offsets(GROUP).len(), 1);
}

#[test]
fn offsets_of_deleted_topics_are_removed_from_every_group() {
    let mut driver = driver();
    let members = driver.stable_group(1);
    driver.commit(&members[0], 1, "gone", 0, 1);
    driver.commit(&members[0], 1, "kept", 0, 1);
    let mut simple = commit_of("", -1, "gone", 0, 1);
    simple.group_id = "simple".into();
    driver.commit_request(8, simple);
    driver.send(0, GroupRequest::TopicsDeleted(vec!["gone".into()]));
    for mut driver in [driver.reloaded(), driver] {
        assert_eq!(driver.offsets(GROUP).into_keys().collect::<Vec<_>>(), [("kept".to_owned(), 0)]);
        assert_eq!(driver.describe("simple").group_state, "Dead");
    }
}
