//! SyncGroup: how the leader's assignment reaches the members.

use bytes::Bytes;
use klamm_coordinator::{GroupConfig, GroupRequest};
use klamm_wire::ErrorCode;

use crate::driver::{Driver, Join, REBALANCE_MS, sync_of};

fn error(driver: &mut Driver, token: u64) -> ErrorCode {
    ErrorCode::from_code(driver.synced(token).error_code)
}

#[test]
fn followers_wait_for_the_leaders_assignment() {
    let mut driver = Driver::new();
    let members = driver.joined_group(2);
    let follower = driver.send_sync(&members[1], 1, &[]);
    assert!(driver.is_waiting(follower));
    let assignments = [(members[0].clone(), "mine".to_owned()), (members[1].clone(), "yours".to_owned())];
    let leader = driver.send_sync(&members[0], 1, &assignments);
    assert_eq!(driver.synced(leader).assignment, "mine".as_bytes());
    let response = driver.synced(follower);
    assert_eq!(response.assignment, "yours".as_bytes());
    assert_eq!(response.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(response.protocol_name.as_deref(), Some("range"));
    assert_eq!(driver.state(), "Stable");
    assert_eq!(driver.log.len(), 1, "the generation is recorded once, with its assignment");
}

#[test]
fn a_member_that_the_leader_left_out_gets_an_empty_assignment() {
    let mut driver = Driver::new();
    let members = driver.joined_group(2);
    let follower = driver.send_sync(&members[1], 1, &[]);
    let stranger = ("stranger".into(), "theirs".to_owned());
    driver.send_sync(&members[0], 1, &[(members[0].clone(), "mine".to_owned()), stranger]);
    let response = driver.synced(follower);
    assert_eq!((response.error_code, response.assignment), (0, Bytes::new()));
}

#[test]
fn in_a_stable_group_the_assignment_is_told_again() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    let token = driver.send_sync(&members[1], 1, &[]);
    assert_eq!(driver.synced(token).assignment, "a-1".as_bytes());
}

#[test]
fn another_generation_or_member_is_refused() {
    let mut driver = Driver::new();
    let members = driver.joined_group(1);
    let token = driver.send_sync(&members[0], 2, &[]);
    assert_eq!(error(&mut driver, token), ErrorCode::IllegalGeneration);
    let token = driver.send_sync("stranger", 1, &[]);
    assert_eq!(error(&mut driver, token), ErrorCode::UnknownMemberId);
    let mut request = sync_of(&members[0], 1, &[]);
    request.group_id = "unknown".into();
    let token = driver.send(4, GroupRequest::Sync(request.clone()));
    assert_eq!(error(&mut driver, token), ErrorCode::UnknownMemberId);
    request.group_id = "".into();
    let token = driver.send(4, GroupRequest::Sync(request));
    assert_eq!(error(&mut driver, token), ErrorCode::InvalidGroupId);
}

#[test]
fn from_version_5_on_the_protocol_must_be_named_and_right() {
    let mut driver = Driver::new();
    let members = driver.joined_group(1);
    let mut request = sync_of(&members[0], 1, &[]);
    let token = driver.send(5, GroupRequest::Sync(request.clone()));
    assert_eq!(error(&mut driver, token), ErrorCode::InconsistentGroupProtocol);
    request.protocol_type = Some("consumer".into());
    request.protocol_name = Some("sticky".into());
    let token = driver.send(5, GroupRequest::Sync(request.clone()));
    assert_eq!(error(&mut driver, token), ErrorCode::InconsistentGroupProtocol);
    request.protocol_name = Some("range".into());
    let token = driver.send(5, GroupRequest::Sync(request));
    assert_eq!(error(&mut driver, token), ErrorCode::None);
}

#[test]
fn during_a_rebalance_members_are_sent_back_to_join() {
    let mut driver = Driver::new();
    let members = driver.joined_group(2);
    let waiting = driver.send_sync(&members[1], 1, &[]);
    driver.send_join(Join::new(3));
    assert_eq!(error(&mut driver, waiting), ErrorCode::RebalanceInProgress);
    let token = driver.send_sync(&members[1], 1, &[]);
    assert_eq!(error(&mut driver, token), ErrorCode::RebalanceInProgress);
}

#[test]
fn members_that_never_sync_are_removed_after_the_rebalance_timeout() {
    let mut driver = Driver::new();
    let members = driver.joined_group(2);
    let token = driver.send_sync(&members[0], 1, &[]);
    assert_eq!(error(&mut driver, token), ErrorCode::None);
    for _ in 0..(REBALANCE_MS / 5_000) - 1 {
        driver.advance(5_000);
        assert_eq!(driver.heartbeat(&members[0], 1), ErrorCode::None);
        assert_eq!(driver.heartbeat(&members[1], 1), ErrorCode::None);
    }
    driver.advance(5_000);
    assert_eq!(driver.heartbeat(&members[0], 1), ErrorCode::RebalanceInProgress);
    assert_eq!(driver.heartbeat(&members[1], 1), ErrorCode::UnknownMemberId);
}

#[test]
fn the_leader_that_never_syncs_is_removed_and_another_one_leads() {
    let mut driver = Driver::new();
    let members = driver.joined_group(2);
    let waiting = driver.send_sync(&members[1], 1, &[]);
    for _ in 0..REBALANCE_MS / 5_000 {
        driver.heartbeat(&members[0], 1);
        driver.advance(5_000);
    }
    assert_eq!(error(&mut driver, waiting), ErrorCode::RebalanceInProgress);
    let token = driver.send_join(Join::new(3).member(&members[1]));
    assert_eq!(driver.joined(token).leader, members[1]);
}

#[test]
fn an_assignment_that_no_record_can_hold_fails_the_generation_and_not_the_shard() {
    let mut driver = Driver::with(GroupConfig { max_record_bytes: 500, ..GroupConfig::default() });
    let members = driver.joined_group(1);
    let token = driver.send_sync(&members[0], 1, &[(members[0].clone(), "x".repeat(500))]);
    assert_eq!(error(&mut driver, token), ErrorCode::UnknownServerError);
    assert!(driver.log.is_empty());
    assert_eq!(driver.state(), "PreparingRebalance");
    let token = driver.send_join(Join::new(3).member(&members[0]));
    assert_eq!(driver.joined(token).generation_id, 2);
    driver.sync_all(&members, 2);
}

#[test]
fn a_second_sync_of_a_waiting_member_answers_the_first() {
    let mut driver = Driver::new();
    let members = driver.joined_group(2);
    let first = driver.send_sync(&members[1], 1, &[]);
    let second = driver.send_sync(&members[1], 1, &[]);
    assert_eq!(error(&mut driver, first), ErrorCode::RebalanceInProgress);
    assert!(driver.is_waiting(second));
}

#[test]
fn a_waiting_member_whose_connection_closes_can_fetch_its_assignment_later() {
    let mut driver = Driver::new();
    let members = driver.joined_group(2);
    let closed = driver.send_sync(&members[1], 1, &[]);
    driver.shard.cancel(closed);
    let leader = driver.send_sync(&members[0], 1, &[(members[1].clone(), "yours".to_owned())]);
    assert_eq!(error(&mut driver, leader), ErrorCode::None);
    assert!(driver.is_waiting(closed));
    let token = driver.send_sync(&members[1], 1, &[]);
    assert_eq!(driver.synced(token).assignment, "yours".as_bytes());
}
