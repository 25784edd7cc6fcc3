//! LeaveGroup: one member or many, by member id or by instance id.

use klamm_coordinator::{GroupReply, GroupRequest};
use klamm_wire::ErrorCode;
use klamm_wire::messages::leave_group_request::LeaveGroupRequest;

use crate::driver::{Driver, INITIAL_DELAY_MS, Join};

fn errors(driver: &mut Driver, members: &[(&str, Option<&str>)]) -> Vec<ErrorCode> {
    let response = driver.leave(5, members);
    assert_eq!(response.error_code, 0);
    response.members.iter().map(|member| ErrorCode::from_code(member.error_code)).collect()
}

#[test]
fn the_others_rebalance_when_a_member_leaves() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    driver.leaves(&members[1]);
    assert_eq!(driver.heartbeat(&members[0], 1), ErrorCode::RebalanceInProgress);
    let token = driver.send_join(Join::new(3).member(&members[0]));
    assert_eq!(driver.joined(token).members.len(), 1);
}

#[test]
fn before_version_3_the_one_member_has_the_error_of_the_whole() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    let response = driver.leave(2, &[("stranger", None)]);
    assert_eq!(ErrorCode::from_code(response.error_code), ErrorCode::UnknownMemberId);
    assert!(response.members.is_empty());
    assert_eq!(driver.leave(0, &[(&members[0], None)]).error_code, 0);
    assert_eq!(driver.state(), "Empty");
}

#[test]
fn each_member_of_a_batch_has_its_own_error() {
    let mut driver = Driver::new();
    let tokens = ["i-0", "i-1"].map(|instance| driver.send_join(Join::new(7).instance(instance)));
    driver.advance(2 * INITIAL_DELAY_MS);
    let members = tokens.map(|token| driver.joined(token).member_id);
    let batch = [
        ("", Some("i-0")),
        ("", Some("i-9")),
        ("", None),
        ("made-up", Some("i-1")),
        (&*members[1], Some("i-1")),
    ];
    let expected = [
        ErrorCode::None,
        ErrorCode::UnknownMemberId,
        ErrorCode::UnknownMemberId,
        ErrorCode::FencedInstanceId,
        ErrorCode::None,
    ];
    assert_eq!(errors(&mut driver, &batch), expected);
    assert_eq!(driver.state(), "Empty");
}

#[test]
fn nobody_is_in_an_unknown_group() {
    let mut driver = Driver::new();
    assert_eq!(errors(&mut driver, &[("a", None), ("b", None)]), [ErrorCode::UnknownMemberId; 2]);
    let request = GroupRequest::Leave(LeaveGroupRequest::default());
    let token = driver.send(5, request);
    let Some(GroupReply::Leave(response)) = driver.replies.remove(&token) else { panic!("not answered") };
    assert_eq!(ErrorCode::from_code(response.error_code), ErrorCode::InvalidGroupId);
}

#[test]
fn a_member_that_leaves_while_it_waits_is_told_that_it_is_unknown() {
    let mut driver = Driver::new();
    let members = driver.joined_group(2);
    let syncing = driver.send_sync(&members[1], 1, &[]);
    driver.leaves(&members[1]);
    assert_eq!(ErrorCode::from_code(driver.synced(syncing).error_code), ErrorCode::UnknownMemberId);
    let joining = driver.send_join(Join::new(3));
    let described = driver.describe("orders");
    let new = described.members.iter().find(|member| member.member_id != members[0]).unwrap();
    driver.leaves(&new.member_id);
    assert_eq!(ErrorCode::from_code(driver.joined(joining).error_code), ErrorCode::UnknownMemberId);
}

#[test]
fn an_id_that_was_given_out_can_be_given_back() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    let token = driver.send_join(Join::new(4));
    let pending = driver.joined(token).member_id;
    driver.leaves(&pending);
    assert_eq!(driver.heartbeat(&members[0], 1), ErrorCode::None, "nobody has to rebalance for it");
    let token = driver.send_join(Join::new(4).member(&members[0]));
    assert_eq!(driver.joined(token).generation_id, 2, "and nobody waits for it");
}
