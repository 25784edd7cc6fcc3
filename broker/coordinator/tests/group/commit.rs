//! OffsetCommit and OffsetFetch: who may commit, and what is found again.

use klamm_coordinator::{
    GroupConfig, GroupReply, GroupRequest, OffsetFetchGroup, offset_fetch_response, split_offset_fetch,
};
use klamm_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use klamm_wire::{ErrorCode, Message, Str, encode_to_bytes};

use crate::driver::{Driver, GROUP, Join, SESSION_MS, commit_of};

#[test]
fn a_client_without_a_group_may_commit_and_so_makes_one() {
    let mut driver = Driver::new();
    assert_eq!(driver.commit("", -1, "t", 3, 42), ErrorCode::None);
    assert_eq!(driver.offsets(GROUP)[&("t".into(), 3)], 42);
    let described = driver.describe(GROUP);
    assert_eq!((&*described.group_state, &*described.protocol_type), ("Empty", ""));
    assert_eq!(driver.log.len(), 1);
}

#[test]
fn an_unknown_group_has_no_generation() {
    let mut driver = Driver::new();
    assert_eq!(driver.commit_request(8, commit_of("m", 1, "t", 0, 1)), ErrorCode::IllegalGeneration);
    assert_eq!(driver.commit_request(9, commit_of("m", 1, "t", 0, 1)), ErrorCode::GroupIdNotFound);
    assert_eq!(driver.state(), "Dead");
}

#[test]
fn members_of_the_present_generation_may_commit() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    assert_eq!(driver.commit(&members[1], 1, "t", 0, 5), ErrorCode::None);
    assert_eq!(driver.commit(&members[1], 0, "t", 0, 6), ErrorCode::IllegalGeneration);
    assert_eq!(driver.commit(&members[1], -1, "t", 0, 6), ErrorCode::IllegalGeneration);
    assert_eq!(driver.commit("stranger", 1, "t", 0, 6), ErrorCode::UnknownMemberId);
    assert_eq!(
        driver.commit("", -1, "t", 0, 6),
        ErrorCode::UnknownMemberId,
        "administrators wait until it is empty"
    );
    assert_eq!(driver.offsets(GROUP)[&("t".into(), 0)], 5);
}

#[test]
fn a_fenced_instance_may_not_commit() {
    let mut driver = Driver::with(GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() });
    let token = driver.send_join(Join::new(7).instance("i-0"));
    let former = driver.joined(token).member_id;
    driver.sync_all(std::slice::from_ref(&former), 1);
    driver.send_join(Join::new(7).instance("i-0"));
    let mut request = commit_of(&former, 1, "t", 0, 1);
    request.group_instance_id = Some("i-0".into());
    assert_eq!(driver.commit_request(8, request), ErrorCode::FencedInstanceId);
}

#[test]
fn commits_go_on_while_a_rebalance_is_prepared() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    driver.send_join(Join::new(3));
    assert_eq!(driver.state(), "PreparingRebalance");
    assert_eq!(driver.commit(&members[0], 1, "t", 0, 5), ErrorCode::None);
}

#[test]
fn commits_wait_while_the_assignment_is_awaited() {
    let mut driver = Driver::new();
    let members = driver.joined_group(1);
    assert_eq!(driver.commit(&members[0], 1, "t", 0, 5), ErrorCode::RebalanceInProgress);
    assert!(driver.log.is_empty());
}

#[test]
fn an_administrator_may_commit_once_the_group_is_empty() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    driver.commit(&members[0], 1, "t", 0, 5);
    driver.leaves(&members[0]);
    assert_eq!(driver.commit("", -1, "t", 0, 0), ErrorCode::None);
    assert_eq!(driver.offsets(GROUP)[&("t".into(), 0)], 0);
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    for offset in 0..5 {
        driver.advance(i64::from(SESSION_MS) - 1);
        assert_eq!(driver.commit(&members[0], 1, "t", 0, offset), ErrorCode::None);
    }
}

#[test]
fn metadata_that_is_too_long_is_refused_for_its_partition_alone() {
    let mut driver = Driver::with(GroupConfig { offset_metadata_max_bytes: 4, ..GroupConfig::default() });
    let mut request = commit_of("", -1, "t", 0, 1);
    let mut second = request.topics[0].partitions[0].clone();
    second.partition_index = 1;
    request.topics[0].partitions.push(second);
    // Four characters in twelve bytes: Kafka counts UTF-16 units.
    request.topics[0].partitions[0].committed_metadata = Some("\u{20ac}\u{20ac}\u{20ac}\u{20ac}".into());
    request.topics[0].partitions[1].committed_metadata = Some("12345".into());
    let token = driver.send(8, GroupRequest::OffsetCommit(request));
    let Some(GroupReply::OffsetCommit(response)) = driver.replies.remove(&token) else {
        panic!("not answered")
    };
    let errors: Vec<_> =
        response.topics[0].partitions.iter().map(|p| ErrorCode::from_code(p.error_code)).collect();
    assert_eq!(errors, [ErrorCode::None, ErrorCode::OffsetMetadataTooLarge]);
    assert_eq!(driver.offsets(GROUP).len(), 1);
}

#[test]
fn names_that_no_record_can_hold_are_refused() {
    let mut driver = Driver::new();
    let mut request = commit_of("", -1, &"t".repeat(250), 0, 1);
    assert_eq!(driver.commit_request(10, request.clone()), ErrorCode::InvalidTopicException);
    request.topics[0].name = "t".into();
    request.group_id = Str::from("g".repeat(32_768));
    assert_eq!(driver.commit_request(10, request), ErrorCode::InvalidGroupId);
    assert!(driver.log.is_empty());
    assert_eq!(driver.state(), "Dead", "a refused commit leaves no group behind");
}

#[test]
fn the_empty_group_id_of_old_clients_may_commit() {
    let mut driver = Driver::new();
    let mut request = commit_of("", -1, "t", 0, 1);
    request.group_id = Str::default();
    assert_eq!(driver.commit_request(8, request), ErrorCode::None);
    assert_eq!(driver.offsets("").len(), 1);
}

#[test]
fn what_was_committed_is_found_with_its_epoch_and_metadata() {
    let mut driver = Driver::new();
    let mut request = commit_of("", -1, "t", 0, 42);
    request.topics[0].partitions[0].committed_leader_epoch = 7;
    request.topics[0].partitions[0].committed_metadata = Some("note".into());
    assert_eq!(driver.commit_request(8, request), ErrorCode::None);

    let topics = vec![OffsetFetchRequestTopics {
        name: "t".into(),
        partition_indexes: vec![0, 1],
        ..OffsetFetchRequestTopics::default()
    }];
    for mut driver in [driver.reloaded(), driver] {
        let group = OffsetFetchRequestGroup {
            group_id: GROUP.into(),
            topics: Some(topics.clone()),
            ..Default::default()
        };
        let token =
            driver.send(8, GroupRequest::OffsetFetch(OffsetFetchGroup { group, require_stable: true }));
        let Some(GroupReply::OffsetFetch(response)) = driver.replies.remove(&token) else {
            panic!("not answered")
        };
        let partitions = &response.topics[0].partitions;
        assert_eq!((partitions[0].committed_offset, partitions[0].committed_leader_epoch), (42, 7));
        assert_eq!(partitions[0].metadata.as_deref(), Some("note"));
        assert_eq!((partitions[1].committed_offset, partitions[1].committed_leader_epoch), (-1, -1));
        assert_eq!((partitions[1].metadata.as_deref(), partitions[1].error_code), (Some(""), 0));
    }
}

#[test]
fn before_version_8_a_fetch_asks_about_one_group_and_fits_the_old_response() {
    let mut driver = Driver::new();
    driver.commit("", -1, "t", 0, 42);
    for version in 1..=7 {
        let topic = OffsetFetchRequestTopic {
            name: "t".into(),
            partition_indexes: vec![0, 9],
            ..OffsetFetchRequestTopic::default()
        };
        let request = OffsetFetchRequest {
            group_id: GROUP.into(),
            topics: Some(vec![topic]),
            ..OffsetFetchRequest::default()
        };
        let [single] = <[_; 1]>::try_from(split_offset_fetch(version, request)).unwrap();
        let refused =
            GroupRequest::OffsetFetch(single.clone()).error_reply(version, ErrorCode::NotCoordinator);
        let token = driver.send(version, GroupRequest::OffsetFetch(single));
        let Some(GroupReply::OffsetFetch(group)) = driver.replies.remove(&token) else {
            panic!("not answered")
        };
        let response = offset_fetch_response(version, vec![group]);
        encode_to_bytes(&response, version).unwrap();
        assert_eq!(response.topics[0].partitions[0].committed_offset, 42);

        let GroupReply::OffsetFetch(group) = refused else { panic!("another reply") };
        let response = offset_fetch_response(version, vec![group]);
        encode_to_bytes(&response, version).unwrap();
        let code = match version {
            1 => response.topics[0].partitions[1].error_code,
            _ => response.error_code,
        };
        assert_eq!(ErrorCode::from_code(code), ErrorCode::NotCoordinator);
    }
    let max = OffsetFetchRequest::MAX;
    let groups = vec![OffsetFetchRequestGroup::default(), OffsetFetchRequestGroup::default()];
    let split = split_offset_fetch(max, OffsetFetchRequest { groups, ..OffsetFetchRequest::default() });
    assert_eq!(split.len(), 2);
}
