//! JoinGroup: who is admitted, when it is answered, and with what.

use klamm_coordinator::GroupConfig;
use klamm_wire::ErrorCode;

use crate::driver::{Driver, INITIAL_DELAY_MS, Join, SESSION_MS, subscription};

fn error(driver: &mut Driver, join: Join) -> ErrorCode {
    let token = driver.send_join(join);
    ErrorCode::from_code(driver.joined(token).error_code)
}

#[test]
fn a_dynamic_member_is_given_its_id_before_it_is_admitted() {
    let mut driver = Driver::new();
    let (member, token) = driver.send_join_with_new_id(Join::new(4));
    assert!(member.starts_with("client-"));
    assert!(driver.is_waiting(token));
    driver.advance(INITIAL_DELAY_MS);
    let response = driver.joined(token);
    assert_eq!((response.error_code, response.generation_id), (0, 1));
    assert_eq!(response.member_id, member);
    assert!(driver.log.is_empty(), "nothing is written before the assignment is known");
}

#[test]
fn before_version_4_a_member_is_admitted_at_once() {
    let mut driver = Driver::new();
    let token = driver.send_join(Join::new(3));
    assert!(driver.is_waiting(token));
    driver.advance(INITIAL_DELAY_MS);
    assert_eq!(driver.joined(token).error_code, 0);
}

#[test]
fn a_member_id_that_is_never_used_expires_with_the_session_timeout() {
    let mut driver = Driver::new();
    let token = driver.send_join(Join::new(4));
    let member = driver.joined(token).member_id;
    assert_eq!(driver.state(), "Empty");
    driver.advance(i64::from(SESSION_MS));
    assert_eq!(driver.state(), "Dead", "a group of which nothing is left is forgotten");
    assert_eq!(error(&mut driver, Join::new(4).member(&member)), ErrorCode::UnknownMemberId);
}

#[test]
fn a_static_member_needs_no_id_first() {
    let mut driver = Driver::new();
    let token = driver.send_join(Join::new(5).instance("pod-0"));
    driver.advance(INITIAL_DELAY_MS);
    let response = driver.joined(token);
    assert_eq!(response.error_code, 0);
    assert!(response.member_id.starts_with("pod-0-"));
}

#[test]
fn a_new_group_waits_for_the_initial_rebalance_delay() {
    let mut driver = Driver::new();
    let token = driver.send_join(Join::new(3));
    driver.advance(INITIAL_DELAY_MS - 1);
    assert!(driver.is_waiting(token));
    driver.advance(1);
    assert!(!driver.is_waiting(token));
}

#[test]
fn without_a_delay_a_new_group_is_formed_in_the_same_call() {
    let mut driver = Driver::with(GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() });
    let token = driver.send_join(Join::new(3));
    assert_eq!(driver.joined(token).generation_id, 1);
}

#[test]
fn members_that_join_meanwhile_extend_the_initial_delay() {
    let mut driver = Driver::new();
    let first = driver.send_join(Join::new(3));
    driver.advance(2_000);
    let second = driver.send_join(Join::new(3));
    driver.advance(1_000);
    assert!(driver.is_waiting(first) && driver.is_waiting(second));
    driver.advance(INITIAL_DELAY_MS);
    let (first, second) = (driver.joined(first), driver.joined(second));
    assert_eq!((first.generation_id, second.generation_id), (1, 1));
}

#[test]
fn the_initial_delay_is_bounded_by_the_rebalance_timeout() {
    let mut driver = Driver::new();
    let first = driver.send_join(Join::new(3).timeouts(SESSION_MS, 5_000));
    for _ in 0..4 {
        driver.advance(1_000);
        driver.send_join(Join::new(3).timeouts(SESSION_MS, 5_000));
    }
    driver.advance(1_000);
    assert!(!driver.is_waiting(first));
}

#[test]
fn the_first_member_leads_and_only_the_leader_learns_who_the_members_are() {
    let mut driver = Driver::new();
    let first = driver.send_join(Join::new(3).offering(&[("range", subscription(&["a"]))]));
    let second = driver.send_join(Join::new(3).offering(&[("range", subscription(&["b"]))]));
    driver.advance(2 * INITIAL_DELAY_MS);
    let (leader, follower) = (driver.joined(first), driver.joined(second));
    assert_eq!(leader.leader, leader.member_id);
    assert_eq!(follower.leader, leader.member_id);
    assert!(follower.members.is_empty());
    let mut listed: Vec<_> =
        leader.members.iter().map(|m| (m.member_id.clone(), m.metadata.clone())).collect();
    listed.sort();
    let mut expected =
        vec![(leader.member_id, subscription(&["a"])), (follower.member_id, subscription(&["b"]))];
    expected.sort();
    assert_eq!(listed, expected);
}

#[test]
fn the_protocol_with_most_votes_among_those_that_all_support_is_selected() {
    let mut driver = Driver::new();
    let tokens = [
        driver.send_join(Join::new(7).instance("i-0").protocols(&["own", "range", "sticky"])),
        driver.send_join(Join::new(7).instance("i-1").protocols(&["sticky", "range"])),
        driver.send_join(Join::new(7).instance("i-2").protocols(&["sticky", "range"])),
    ];
    driver.advance(2 * INITIAL_DELAY_MS);
    for token in tokens {
        let response = driver.joined(token);
        assert_eq!(response.protocol_name.as_deref(), Some("sticky"));
        assert_eq!(response.protocol_type.as_deref(), Some("consumer"));
    }
}

#[test]
fn any_protocol_type_is_coordinated() {
    for protocol_type in ["connect", "sr"] {
        let mut driver = Driver::new();
        let token = driver.send_join(Join::new(3).protocol_type(protocol_type).protocols(&["v0"]));
        driver.advance(INITIAL_DELAY_MS);
        assert_eq!(driver.joined(token).error_code, 0);
    }
}

#[test]
fn members_that_cannot_agree_on_a_protocol_are_refused() {
    let mut driver = Driver::new();
    driver.stable_group(1);
    let inconsistent = ErrorCode::InconsistentGroupProtocol;
    assert_eq!(error(&mut driver, Join::new(3).protocol_type("connect")), inconsistent);
    assert_eq!(error(&mut driver, Join::new(3).protocols(&["other"])), inconsistent);
    assert_eq!(error(&mut driver, Join::new(3).group("new").protocols(&[])), inconsistent);
    assert_eq!(error(&mut driver, Join::new(3).group("new").protocol_type("")), inconsistent);
}

#[test]
fn a_protocol_that_is_named_twice_counts_once() {
    let mut driver = Driver::new();
    let token = driver.send_join(Join::new(3).protocols(&["range", "range"]));
    driver.advance(INITIAL_DELAY_MS);
    assert_eq!(driver.joined(token).protocol_name.as_deref(), Some("range"));
    let token = driver.send_join(Join::new(3));
    assert!(driver.is_waiting(token));
}

#[test]
fn session_timeouts_outside_the_allowed_range_are_refused() {
    let mut driver = Driver::new();
    for session_ms in [5_999, 1_800_001, -1] {
        let join = Join::new(3).timeouts(session_ms, 60_000);
        assert_eq!(error(&mut driver, join), ErrorCode::InvalidSessionTimeout);
    }
    assert_eq!(driver.state(), "Dead");
}

#[test]
fn names_that_no_record_can_hold_are_refused() {
    let mut driver = Driver::new();
    assert_eq!(error(&mut driver, Join::new(3).group("")), ErrorCode::InvalidGroupId);
    let long = "x".repeat(32_768);
    assert_eq!(error(&mut driver, Join::new(9).group(&long)), ErrorCode::InvalidGroupId);
    assert_eq!(error(&mut driver, Join::new(9).instance(&long)), ErrorCode::InvalidRequest);
    assert_eq!(error(&mut driver, Join::new(9).protocols(&[&long])), ErrorCode::InvalidRequest);
}

#[test]
fn an_id_that_the_coordinator_did_not_give_is_unknown() {
    let mut driver = Driver::new();
    assert_eq!(error(&mut driver, Join::new(3).member("made-up")), ErrorCode::UnknownMemberId);
    driver.stable_group(1);
    assert_eq!(error(&mut driver, Join::new(3).member("made-up")), ErrorCode::UnknownMemberId);
}

#[test]
fn an_error_before_version_7_has_an_empty_protocol_name_since_null_is_not_allowed() {
    let mut driver = Driver::new();
    for (version, name) in [(6, Some("")), (7, None)] {
        let token = driver.send_join(Join::new(version).member("made-up"));
        assert_eq!(driver.joined(token).protocol_name.as_deref(), name);
    }
}

#[test]
fn a_full_group_refuses_new_members() {
    let mut driver = Driver::with(GroupConfig { max_size: 2, ..GroupConfig::default() });
    driver.stable_group(2);
    assert_eq!(error(&mut driver, Join::new(3)), ErrorCode::GroupMaxSizeReached);
    assert_eq!(driver.state(), "Stable");
}

#[test]
fn a_group_being_prepared_counts_only_those_that_have_joined() {
    let mut driver = Driver::with(GroupConfig { max_size: 2, ..GroupConfig::default() });
    let first = driver.send_join(Join::new(3));
    let second = driver.send_join(Join::new(3));
    assert_eq!(error(&mut driver, Join::new(3)), ErrorCode::GroupMaxSizeReached);
    driver.advance(2 * INITIAL_DELAY_MS);
    assert_eq!(driver.joined(first).error_code, 0);
    assert_eq!(driver.joined(second).error_code, 0);
}

#[test]
fn a_follower_that_joins_again_unchanged_is_told_the_present_generation() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    let token = driver.send_join(Join::new(3).member(&members[1]));
    let response = driver.joined(token);
    assert_eq!((response.error_code, response.generation_id), (0, 1));
    assert_eq!(response.leader, members[0]);
    assert_eq!(driver.state(), "Stable");
}

#[test]
fn a_follower_with_another_subscription_causes_a_rebalance() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    let changed = Join::new(3).member(&members[1]).offering(&[("range", subscription(&["other"]))]);
    let token = driver.send_join(changed);
    assert!(driver.is_waiting(token));
    assert_eq!(driver.state(), "PreparingRebalance");
}

#[test]
fn a_leader_that_joins_again_causes_a_rebalance() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    let token = driver.send_join(Join::new(3).member(&members[0]));
    assert!(driver.is_waiting(token));
    assert_eq!(driver.heartbeat(&members[1], 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn while_the_assignment_is_awaited_an_unchanged_member_is_told_the_generation_again() {
    let mut driver = Driver::new();
    let members = driver.joined_group(2);
    let token = driver.send_join(Join::new(3).member(&members[0]));
    let response = driver.joined(token);
    assert_eq!(
        (response.generation_id, response.members.len()),
        (1, 2),
        "the leader may have lost its response"
    );
    assert_eq!(driver.state(), "CompletingRebalance");
}

#[test]
fn a_second_join_of_a_waiting_member_answers_the_first() {
    let mut driver = Driver::new();
    let (member, first) = driver.send_join_with_new_id(Join::new(4));
    let second = driver.send_join(Join::new(4).member(&member));
    assert_eq!(ErrorCode::from_code(driver.joined(first).error_code), ErrorCode::RebalanceInProgress);
    driver.advance(INITIAL_DELAY_MS);
    assert_eq!(driver.joined(second).generation_id, 1);
}
