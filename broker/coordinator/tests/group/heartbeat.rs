//! Heartbeat and session timeouts: who is alive.

use klamm_wire::ErrorCode;

use crate::driver::{Driver, GROUP, Join, SESSION_MS};

#[test]
fn a_member_of_the_present_generation_is_kept_alive() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    for _ in 0..10 {
        driver.advance(i64::from(SESSION_MS) - 1);
        assert_eq!(driver.heartbeat(&members[0], 1), ErrorCode::None);
    }
}

#[test]
fn heartbeats_count_while_the_assignment_is_awaited() {
    let mut driver = Driver::new();
    let members = driver.joined_group(1);
    assert_eq!(driver.state(), "CompletingRebalance");
    assert_eq!(driver.heartbeat(&members[0], 1), ErrorCode::None);
}

#[test]
fn a_member_that_is_silent_for_its_session_timeout_is_removed() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    driver.advance(i64::from(SESSION_MS) - 1);
    assert_eq!(driver.heartbeat(&members[0], 1), ErrorCode::None);
    driver.advance(1);
    assert_eq!(driver.heartbeat(&members[0], 1), ErrorCode::RebalanceInProgress);
    assert_eq!(driver.heartbeat(&members[1], 1), ErrorCode::UnknownMemberId);
}

#[test]
fn a_session_neither_ends_nor_lasts_because_the_wall_clock_was_set() {
    for wall_ahead in [-3_600_000, 3_600_000] {
        let mut driver = Driver::new();
        let members = driver.stable_group(2);
        driver.wall_ahead = wall_ahead;
        driver.advance(i64::from(SESSION_MS) - 1);
        assert_eq!(driver.heartbeat(&members[0], 1), ErrorCode::None);
        driver.advance(1);
        assert_eq!(driver.heartbeat(&members[0], 1), ErrorCode::RebalanceInProgress);
        assert_eq!(driver.heartbeat(&members[1], 1), ErrorCode::UnknownMemberId);
    }
}

#[test]
fn a_group_whose_only_member_is_silent_becomes_empty() {
    let mut driver = Driver::new();
    driver.stable_group(1);
    driver.advance(i64::from(SESSION_MS));
    assert_eq!(driver.state(), "Empty");
}

#[test]
fn a_rebalance_and_wrong_generations_are_told() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    assert_eq!(driver.heartbeat(&members[0], 0), ErrorCode::IllegalGeneration);
    assert_eq!(driver.heartbeat("stranger", 1), ErrorCode::UnknownMemberId);
    driver.send_join(Join::new(3));
    assert_eq!(driver.heartbeat(&members[0], 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn an_unknown_group_has_no_members() {
    assert_eq!(Driver::new().heartbeat("stranger", 1), ErrorCode::UnknownMemberId);
}

#[test]
fn heartbeats_alone_do_not_make_the_shard_look_at_the_group_more_often() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    let mut looks = 0;
    for _ in 0..100 {
        driver.heartbeat(&members[0], 1);
        driver.now += 1_000;
        if driver.shard.next_deadline().is_some_and(|at| at <= driver.now) {
            looks += 1;
            driver.advance(0);
        }
    }
    assert!(looks <= 100 * 1_000 / (SESSION_MS - 2_000) + 2, "looked {looks} times in 100 s");
    assert_eq!(driver.describe(GROUP).members.len(), 1);
}
