//! Members with a group.instance.id (KIP-345): they keep their place when they restart.

use klamm_wire::{ErrorCode, Str};

use crate::driver::{Driver, INITIAL_DELAY_MS, Join, SESSION_MS, subscription, sync_of};
use klamm_coordinator::GroupRequest;

/// A stable group of static members "i-0" (the leader) and "i-1" with assignments "a-0" and "a-1".
fn static_group(driver: &mut Driver) -> Vec<Str> {
    let tokens = ["i-0", "i-1"].map(|instance| driver.send_join(Join::new(7).instance(instance)));
    driver.advance(2 * INITIAL_DELAY_MS);
    let members = tokens.map(|token| driver.joined(token).member_id).to_vec();
    driver.sync_all(&members, 1);
    members
}

#[test]
fn a_restarted_member_gets_its_assignment_back_without_a_rebalance() {
    let mut driver = Driver::new();
    let members = static_group(&mut driver);
    let token = driver.send_join(Join::new(7).instance("i-1"));
    let response = driver.joined(token);
    assert_eq!((response.error_code, response.generation_id), (0, 1));
    assert_ne!(response.member_id, members[1]);
    assert_eq!(response.leader, members[0]);
    assert_eq!(driver.heartbeat(&members[0], 1), ErrorCode::None);
    let token = driver.send_sync(&response.member_id, 1, &[]);
    assert_eq!(driver.synced(token).assignment, "a-1".as_bytes());
}

#[test]
fn the_former_self_of_a_restarted_member_is_fenced() {
    let mut driver = Driver::new();
    let members = static_group(&mut driver);
    let token = driver.send_join(Join::new(7).instance("i-1"));
    driver.joined(token);
    let fenced = ErrorCode::FencedInstanceId;
    assert_eq!(driver.heartbeat_as(&members[1], Some("i-1"), 1), fenced);
    assert_eq!(driver.heartbeat_as(&members[1], None, 1), ErrorCode::UnknownMemberId);
    assert_eq!(driver.heartbeat_as(&members[1], Some("i-9"), 1), ErrorCode::UnknownMemberId);
    let token = driver.send_join(Join::new(7).instance("i-1").member(&members[1]));
    assert_eq!(ErrorCode::from_code(driver.joined(token).error_code), fenced);
    let mut sync = sync_of(&members[1], 1, &[]);
    sync.group_instance_id = Some("i-1".into());
    let token = driver.send(4, GroupRequest::Sync(sync));
    assert_eq!(ErrorCode::from_code(driver.synced(token).error_code), fenced);
}

#[test]
fn a_waiting_former_self_is_fenced_at_once() {
    let mut driver = Driver::new();
    let first = driver.send_join(Join::new(7).instance("i-0"));
    let second = driver.send_join(Join::new(7).instance("i-0"));
    assert_eq!(ErrorCode::from_code(driver.joined(first).error_code), ErrorCode::FencedInstanceId);
    driver.advance(2 * INITIAL_DELAY_MS);
    let response = driver.joined(second);
    assert_eq!((response.error_code, response.members.len()), (0, 1));
    assert_eq!(response.leader, response.member_id);
}

#[test]
fn a_restarted_leader_is_told_to_skip_the_assignment() {
    let mut driver = Driver::new();
    static_group(&mut driver);
    let token = driver.send_join(Join::new(9).instance("i-0"));
    let response = driver.joined(token);
    assert!(response.skip_assignment);
    assert_eq!(response.leader, response.member_id);
    assert_eq!(response.members.len(), 2);

    let token = driver.send_join(Join::new(9).instance("i-1"));
    assert!(!driver.joined(token).skip_assignment);
}

#[test]
fn before_version_9_a_restarted_leader_is_shown_its_former_self_as_the_leader() {
    let mut driver = Driver::new();
    let members = static_group(&mut driver);
    let token = driver.send_join(Join::new(8).instance("i-0"));
    let response = driver.joined(token);
    assert_eq!(response.leader, members[0]);
    assert!(response.members.is_empty() && !response.skip_assignment);
}

#[test]
fn a_restarted_member_that_changes_the_protocol_causes_a_rebalance() {
    let mut driver = Driver::new();
    let tokens = ["i-0", "i-1"]
        .map(|instance| driver.send_join(Join::new(7).instance(instance).protocols(&["range", "sticky"])));
    driver.advance(2 * INITIAL_DELAY_MS);
    let members = tokens.map(|token| driver.joined(token).member_id).to_vec();
    driver.sync_all(&members, 1);
    let token = driver.send_join(Join::new(7).instance("i-1").protocols(&["range", "sticky", "own"]));
    assert_eq!(driver.joined(token).generation_id, 1, "range stays selected");
    let token = driver.send_join(Join::new(7).instance("i-1").protocols(&["sticky"]));
    assert!(driver.is_waiting(token));
    assert_eq!(driver.heartbeat(&members[0], 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_member_that_restarts_while_the_assignment_is_awaited_causes_a_rebalance() {
    let mut driver = Driver::new();
    let tokens = ["i-0", "i-1"].map(|instance| driver.send_join(Join::new(7).instance(instance)));
    driver.advance(2 * INITIAL_DELAY_MS);
    let members = tokens.map(|token| driver.joined(token).member_id);
    let syncing = driver.send_sync(&members[1], 1, &[]);
    driver.send_join(Join::new(7).instance("i-0"));
    assert_eq!(ErrorCode::from_code(driver.synced(syncing).error_code), ErrorCode::RebalanceInProgress);
    assert_eq!(driver.state(), "PreparingRebalance");
}

#[test]
fn a_static_member_that_does_not_join_again_keeps_its_place_until_its_session_expires() {
    let mut driver = Driver::new();
    let members = static_group(&mut driver);
    let leader = Join::new(7).instance("i-0").member(&members[0]).timeouts(SESSION_MS, 8_000);
    let absent = Join::new(7).instance("i-1").member(&members[1]).timeouts(SESSION_MS, 8_000);
    let tokens = [driver.send_join(leader.clone()), driver.send_join(absent)];
    let members = tokens.map(|token| driver.joined(token).member_id).to_vec();
    driver.sync_all(&members, 2);

    let token = driver.send_join(leader);
    driver.advance(8_000);
    let response = driver.joined(token);
    assert_eq!((response.generation_id, response.members.len()), (3, 2));
    driver.advance(8_000);
    assert_eq!(driver.heartbeat(&members[0], 3), ErrorCode::UnknownMemberId, "nobody has synced");
}

#[test]
fn a_restarted_member_may_subscribe_to_other_topics() {
    let mut driver = Driver::new();
    static_group(&mut driver);
    let token =
        driver.send_join(Join::new(9).instance("i-1").offering(&[("range", subscription(&["other"]))]));
    let response = driver.joined(token);
    let described = driver.describe("orders");
    let member = described.members.iter().find(|m| m.member_id == response.member_id).unwrap();
    assert_eq!(member.member_metadata, subscription(&["other"]));
    assert_eq!(driver.reloaded().describe("orders"), described);
}
