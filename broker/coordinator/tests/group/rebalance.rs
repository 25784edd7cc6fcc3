//! From one generation to the next: who is waited for, who is removed, who leads.

use klamm_wire::ErrorCode;

use crate::driver::{Driver, INITIAL_DELAY_MS, Join, REBALANCE_MS, SESSION_MS};

#[test]
fn a_rebalance_ends_when_every_member_has_joined_again() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    let joining = driver.send_join(Join::new(3));
    let first = driver.send_join(Join::new(3).member(&members[0]));
    assert!(driver.is_waiting(joining) && driver.is_waiting(first));
    let second = driver.send_join(Join::new(3).member(&members[1]));
    for token in [joining, first, second] {
        let response = driver.joined(token);
        assert_eq!((response.error_code, response.generation_id), (0, 2));
        assert_eq!(response.leader, members[0], "the leader stays the leader");
    }
}

#[test]
fn members_that_have_not_joined_again_within_the_rebalance_timeout_are_removed() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    let token = driver.send_join(Join::new(3).member(&members[0]));
    for _ in 0..(REBALANCE_MS / 5_000) {
        assert!(driver.is_waiting(token));
        assert_eq!(driver.heartbeat(&members[1], 1), ErrorCode::RebalanceInProgress);
        driver.advance(5_000);
    }
    assert_eq!(driver.joined(token).generation_id, 2);
    assert_eq!(driver.heartbeat(&members[1], 2), ErrorCode::UnknownMemberId);
}

#[test]
fn a_member_that_joined_leads_if_the_leader_has_not() {
    let mut driver = Driver::new();
    let members = driver.stable_group(3);
    driver.leaves(&members[1]);
    let token = driver.send_join(Join::new(3).member(&members[2]));
    driver.advance(i64::from(SESSION_MS));
    let response = driver.joined(token);
    assert_eq!(response.leader, members[2]);
    assert_eq!(response.members.len(), 1);
}

#[test]
fn a_rebalance_goes_on_when_the_member_it_waits_for_has_expired() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    let token = driver.send_join(Join::new(3).member(&members[0]));
    driver.advance(i64::from(SESSION_MS) - 1);
    assert!(driver.is_waiting(token));
    driver.advance(1);
    assert_eq!(driver.joined(token).generation_id, 2);
}

#[test]
fn an_id_given_out_holds_up_a_rebalance_until_it_is_used_or_expires() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    let token = driver.send_join(Join::new(4));
    assert_eq!(ErrorCode::from_code(driver.joined(token).error_code), ErrorCode::MemberIdRequired);
    let token = driver.send_join(Join::new(4).member(&members[0]));
    assert!(driver.is_waiting(token));
    driver.advance(i64::from(SESSION_MS));
    assert_eq!(driver.joined(token).generation_id, 2);
}

#[test]
fn a_waiting_member_does_not_expire() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    let token = driver.send_join(Join::new(3).member(&members[0]));
    for _ in 0..4 {
        assert_eq!(driver.heartbeat(&members[1], 1), ErrorCode::RebalanceInProgress);
        driver.advance(i64::from(SESSION_MS) - 1);
    }
    assert!(driver.is_waiting(token));
    let other = driver.send_join(Join::new(3).member(&members[1]));
    assert_eq!(driver.joined(token).error_code, 0);
    assert_eq!(driver.joined(other).error_code, 0);
}

#[test]
fn a_new_member_that_waits_for_five_minutes_is_told_to_start_again() {
    let mut driver = Driver::new();
    let patient = Join::new(3).timeouts(SESSION_MS, 400_000);
    let token = driver.send_join(patient.clone());
    driver.advance(INITIAL_DELAY_MS);
    let member = driver.joined(token).member_id;
    driver.sync_all(std::slice::from_ref(&member), 1);
    let new = driver.send_join(patient);
    for _ in 0..300 / 5 {
        assert!(driver.is_waiting(new));
        assert_eq!(driver.heartbeat(&member, 1), ErrorCode::RebalanceInProgress);
        driver.advance(5_000);
    }
    assert_eq!(ErrorCode::from_code(driver.joined(new).error_code), ErrorCode::UnknownMemberId);
}

#[test]
fn the_group_is_empty_again_when_the_last_member_has_left() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    let written = driver.log.len();
    driver.leaves(&members[0]);
    assert_eq!(driver.state(), "Empty");
    assert_eq!(driver.log.len(), written + 1, "the empty generation is recorded");
    assert_eq!(driver.describe("orders").protocol_type, "consumer");
}

#[test]
fn a_new_member_is_gone_when_its_connection_closes_before_it_knows_its_id() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    let closed = driver.send_join(Join::new(3));
    driver.shard.cancel(closed);
    driver.advance(0);
    let token = driver.send_join(Join::new(3).member(&members[0]));
    assert_eq!(driver.joined(token).members.len(), 1);
    assert!(driver.is_waiting(closed), "nobody is there to answer");
}

#[test]
fn a_known_member_whose_connection_closes_has_its_session_timeout_to_come_back() {
    let mut driver = Driver::new();
    let members = driver.stable_group(3);
    let leader = driver.send_join(Join::new(3).member(&members[0]));
    let closed = driver.send_join(Join::new(3).member(&members[1]));
    driver.shard.cancel(closed);
    driver.send_join(Join::new(3).member(&members[2]));
    let response = driver.joined(leader);
    assert_eq!((response.generation_id, response.members.len()), (2, 3), "it still counts as joined");
    driver.advance(i64::from(SESSION_MS) - 1);
    assert_eq!(driver.heartbeat(&members[0], 2), ErrorCode::None);
    driver.advance(1);
    assert_eq!(driver.heartbeat(&members[0], 2), ErrorCode::RebalanceInProgress);
    assert_eq!(driver.heartbeat(&members[1], 2), ErrorCode::UnknownMemberId);
    assert!(driver.is_waiting(closed));
}

#[test]
fn a_rebalance_does_not_wait_for_a_member_whose_connection_closed_beyond_its_session_timeout() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    let closed = driver.send_join(Join::new(3).member(&members[0]));
    driver.shard.cancel(closed);
    driver.advance(0);
    for _ in 0..2 {
        assert_eq!(driver.heartbeat(&members[1], 1), ErrorCode::RebalanceInProgress);
        driver.advance(i64::from(SESSION_MS) / 2);
    }
    let token = driver.send_join(Join::new(3).member(&members[1]));
    assert_eq!(driver.joined(token).members.len(), 1);
}

#[test]
fn a_member_whose_connection_closed_does_not_lead() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    let closed = driver.send_join(Join::new(3).member(&members[0]));
    driver.shard.cancel(closed);
    let token = driver.send_join(Join::new(3).member(&members[1]));
    assert_eq!(driver.joined(token).leader, members[1]);
}

#[test]
fn a_cancelled_token_that_waits_for_nothing_is_ignored() {
    let mut driver = Driver::new();
    let deadline = driver.shard.next_deadline();
    driver.shard.cancel(77);
    assert_eq!(driver.shard.next_deadline(), deadline);
}
