//! What administrators ask: describe, list, delete groups, delete offsets.

use std::collections::BTreeMap;

use klamm_coordinator::{GroupReply, GroupRequest, list_groups_response};
use klamm_wire::messages::list_groups_request::ListGroupsRequest;
use klamm_wire::messages::list_groups_response::ListedGroup;
use klamm_wire::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use klamm_wire::messages::offset_delete_response::OffsetDeleteResponse;
use klamm_wire::{ErrorCode, Str};

use crate::driver::{Driver, GROUP, Join, commit_of, subscription};

fn delete_group(driver: &mut Driver, group: &'static str) -> ErrorCode {
    let token = driver.send(2, GroupRequest::DeleteGroup(group.into()));
    match driver.replies.remove(&token) {
        Some(GroupReply::DeleteGroup(result)) => ErrorCode::from_code(result.error_code),
        other => panic!("{other:?}"),
    }
}

fn list(driver: &mut Driver, states: &[&'static str], types: &[&'static str]) -> BTreeMap<String, String> {
    let texts = |texts: &[&'static str]| texts.iter().map(|text| Str::from(*text)).collect();
    let request =
        ListGroupsRequest { states_filter: texts(states), types_filter: texts(types), ..Default::default() };
    let token = driver.send(5, GroupRequest::List(request));
    let Some(GroupReply::List(listed)) = driver.replies.remove(&token) else { panic!("not answered") };
    let response = list_groups_response(vec![Ok(Vec::new()), listed]);
    assert!(response.groups.iter().all(|group| group.group_type == "classic"));
    response.groups.iter().map(|group| (group.group_id.to_string(), group.group_state.to_string())).collect()
}

fn delete_offsets(driver: &mut Driver, group: &'static str, topic: &'static str) -> OffsetDeleteResponse {
    let partitions = [0, 1].map(|partition| OffsetDeleteRequestPartition { partition_index: partition });
    let topic = OffsetDeleteRequestTopic { name: topic.into(), partitions: partitions.into() };
    let request = OffsetDeleteRequest { group_id: group.into(), topics: vec![topic] };
    let token = driver.send(0, GroupRequest::OffsetDelete(request));
    match driver.replies.remove(&token) {
        Some(GroupReply::OffsetDelete(response)) => response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unknown_group_is_dead_and_from_version_6_on_an_error() {
    let mut driver = Driver::new();
    for (version, error) in [(5, ErrorCode::None), (6, ErrorCode::GroupIdNotFound)] {
        let token = driver.send(version, GroupRequest::Describe(GROUP.into()));
        let Some(GroupReply::Describe(described)) = driver.replies.remove(&token) else {
            panic!("not answered")
        };
        assert_eq!(described.group_state, "Dead");
        assert_eq!(ErrorCode::from_code(described.error_code), error);
        let message = described.error_message.as_deref();
        assert_eq!(message, (version == 6).then_some("Group orders not found."));
    }
}

#[test]
fn a_stable_group_is_described_with_subscriptions_and_assignments() {
    let mut driver = Driver::new();
    let members = driver.stable_group(2);
    let described = driver.describe(GROUP);
    assert_eq!(described.group_state, "Stable");
    assert_eq!((&*described.protocol_type, &*described.protocol_data), ("consumer", "range"));
    let member = described.members.iter().find(|member| member.member_id == members[1]).unwrap();
    assert_eq!((&*member.client_id, &*member.client_host), ("client", "/127.0.0.1"));
    assert_eq!(member.member_metadata, subscription(&["t"]));
    assert_eq!(member.member_assignment, "a-1".as_bytes());
}

#[test]
fn between_generations_no_protocol_is_shown() {
    let mut driver = Driver::new();
    driver.joined_group(2);
    let described = driver.describe(GROUP);
    assert_eq!((&*described.group_state, &*described.protocol_data), ("CompletingRebalance", ""));
    assert!(described.members.iter().all(|member| member.member_metadata.is_empty()));
}

#[test]
fn groups_are_listed_by_state_and_type_whatever_the_case() {
    let mut driver = Driver::new();
    driver.stable_group(1);
    let mut simple = commit_of("", -1, "t", 0, 1);
    simple.group_id = "simple".into();
    driver.commit_request(8, simple);
    assert_eq!(list(&mut driver, &[], &[]).len(), 2);
    assert_eq!(list(&mut driver, &["stable"], &[])[GROUP], "Stable");
    assert_eq!(list(&mut driver, &["Empty", "Dead"], &["Classic"])["simple"], "Empty");
    assert!(list(&mut driver, &["CompletingRebalance"], &[]).is_empty());
    assert!(list(&mut driver, &[], &["consumer"]).is_empty());
}

#[test]
fn a_list_is_complete_or_an_error() {
    let response = list_groups_response(vec![Ok(Vec::new()), Err(ErrorCode::CoordinatorLoadInProgress)]);
    assert_eq!(ErrorCode::from_code(response.error_code), ErrorCode::CoordinatorLoadInProgress);
}

#[test]
fn a_shard_that_moved_is_listed_by_its_new_coordinator() {
    let here = Ok(vec![ListedGroup::default()]);
    let response = list_groups_response(vec![Err(ErrorCode::NotCoordinator), here]);
    assert_eq!(ErrorCode::from_code(response.error_code), ErrorCode::None);
    assert_eq!(response.groups.len(), 1);
}

#[test]
fn only_an_empty_group_can_be_deleted() {
    let mut driver = Driver::new();
    assert_eq!(delete_group(&mut driver, GROUP), ErrorCode::GroupIdNotFound);
    let members = driver.stable_group(1);
    driver.commit(&members[0], 1, "t", 0, 1);
    assert_eq!(delete_group(&mut driver, GROUP), ErrorCode::NonEmptyGroup);
    driver.leaves(&members[0]);
    assert_eq!(delete_group(&mut driver, GROUP), ErrorCode::None);
    for mut driver in [driver.reloaded(), driver] {
        assert_eq!(driver.state(), "Dead");
        assert!(driver.offsets(GROUP).is_empty());
        assert_eq!(delete_group(&mut driver, GROUP), ErrorCode::GroupIdNotFound);
    }
}

#[test]
fn a_group_that_only_stores_offsets_can_be_deleted() {
    let mut driver = Driver::new();
    driver.commit("", -1, "t", 0, 1);
    assert_eq!(delete_group(&mut driver, GROUP), ErrorCode::None);
    assert_eq!(driver.log.len(), 2, "one tombstone: there is no group record to remove");
    assert_eq!(driver.reloaded().state(), "Dead");
}

#[test]
fn offsets_of_topics_that_are_read_cannot_be_deleted() {
    let mut driver = Driver::new();
    let members = driver.stable_group(1);
    driver.commit(&members[0], 1, "t", 0, 1);
    driver.commit(&members[0], 1, "other", 0, 1);
    let response = delete_offsets(&mut driver, GROUP, "t");
    let errors = response.topics[0].partitions.iter().map(|p| ErrorCode::from_code(p.error_code));
    assert_eq!(errors.collect::<Vec<_>>(), [ErrorCode::GroupSubscribedToTopic; 2]);
    let response = delete_offsets(&mut driver, GROUP, "other");
    assert!(response.topics[0].partitions.iter().all(|partition| partition.error_code == 0));
    for mut driver in [driver.reloaded(), driver] {
        assert_eq!(driver.offsets(GROUP).into_keys().collect::<Vec<_>>(), [("t".to_owned(), 0)]);
    }
}

#[test]
fn a_subscription_that_cannot_be_read_may_be_to_any_topic() {
    let mut driver = Driver::new();
    let token = driver.send_join(Join::new(3).offering(&[("range", vec![0xff, 0, 0].into())]));
    driver.advance(3_000);
    let member = driver.joined(token).member_id;
    driver.sync_all(std::slice::from_ref(&member), 1);
    let response = delete_offsets(&mut driver, GROUP, "t");
    let code = response.topics[0].partitions[0].error_code;
    assert_eq!(ErrorCode::from_code(code), ErrorCode::GroupSubscribedToTopic);
}

#[test]
fn offsets_of_a_group_of_another_protocol_are_deleted_only_when_it_is_empty() {
    let mut driver = Driver::new();
    let token = driver.send_join(Join::new(3).protocol_type("connect"));
    driver.advance(3_000);
    let member = driver.joined(token).member_id;
    driver.sync_all(std::slice::from_ref(&member), 1);
    driver.commit(&member, 1, "t", 0, 1);
    let response = delete_offsets(&mut driver, GROUP, "t");
    assert_eq!(ErrorCode::from_code(response.error_code), ErrorCode::NonEmptyGroup);
    driver.leaves(&member);
    assert_eq!(delete_offsets(&mut driver, GROUP, "t").error_code, 0);
    assert!(driver.offsets(GROUP).is_empty());
    let response = delete_offsets(&mut driver, "unknown", "t");
    assert_eq!(ErrorCode::from_code(response.error_code), ErrorCode::GroupIdNotFound);
    let response = delete_offsets(&mut driver, "", "t");
    assert_eq!(ErrorCode::from_code(response.error_code), ErrorCode::InvalidGroupId);
}
