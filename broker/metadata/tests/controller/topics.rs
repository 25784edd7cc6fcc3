//! Creating, growing and deleting topics.

use std::collections::BTreeSet;

use klamm_metadata::controller::{Command, Reply, Settings};
use klamm_wire::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use klamm_wire::messages::create_topics_request::CreatableReplicaAssignment;
use klamm_wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use klamm_wire::{ErrorCode, Str};
use uuid::Uuid;

use crate::cluster::{CLUSTER_ID, Cluster, code, creatable, properties};

#[test]
fn a_topic_is_created_with_everything_its_answer_says() {
    let mut cluster = Cluster::of(3);
    let created = cluster.create(creatable("orders", 6, 3, &[("retention.ms", "1000")]));
    assert_eq!((created.error_code, created.num_partitions, created.replication_factor), (0, 6, 3));
    let topic = cluster.image.topic("orders").unwrap();
    assert_eq!((topic.id, topic.partitions.len()), (created.topic_id, 6));
    assert_eq!(topic.id.get_version_num(), 4);
    let leaders: Vec<i32> = topic.partitions.values().map(|partition| partition.leader).collect();
    for id in 0..3 {
        assert_eq!(leaders.iter().filter(|leader| **leader == id).count(), 2);
    }
    assert_eq!(cluster.image.topic_config("orders")["retention.ms"], "1000");
    let configs = created.configs.unwrap();
    let value = |name: &str| configs.iter().find(|config| &*config.name == name).unwrap();
    assert_eq!(
        (value("retention.ms").value.as_deref(), value("retention.ms").config_source),
        (Some("1000"), 1)
    );
    assert_eq!(
        (value("flush.messages").value.as_deref(), value("flush.messages").config_source),
        (Some("1"), 5)
    );
}

#[test]
fn minus_one_takes_the_brokers_defaults() {
    let defaults = properties(&[("num.partitions", "4"), ("default.replication.factor", "2")]);
    let mut cluster = Cluster::with(Settings::new(CLUSTER_ID, defaults));
    for id in 0..3 {
        cluster.start(id);
    }
    let created = cluster.create(creatable("a", -1, -1, &[]));
    assert_eq!((created.num_partitions, created.replication_factor), (4, 2));
}

#[test]
fn a_topic_that_cannot_be_is_refused_naming_the_thing() {
    let mut cluster = Cluster::of(3);
    cluster.create(creatable("taken.name", 1, 1, &[]));
    let mut refused = |topic, error: ErrorCode, needle: &str| {
        let result = cluster.create(topic);
        let message = result.error_message.unwrap();
        assert_eq!(result.error_code, code(error), "{message}");
        assert!(message.contains(needle), "{message}");
    };
    refused(creatable("a/b", 1, 1, &[]), ErrorCode::InvalidTopicException, "a/b");
    refused(creatable("", 1, 1, &[]), ErrorCode::InvalidTopicException, "empty");
    refused(creatable("__cluster_metadata", 1, 1, &[]), ErrorCode::InvalidTopicException, "metadata log");
    refused(creatable("taken_name", 1, 1, &[]), ErrorCode::InvalidTopicException, "taken.name");
    refused(creatable("taken.name", 1, 1, &[]), ErrorCode::TopicAlreadyExists, "taken.name");
    refused(creatable("a", 0, 1, &[]), ErrorCode::InvalidPartitions, "'a'");
    refused(creatable("a", -2, 1, &[]), ErrorCode::InvalidPartitions, "-2");
    refused(creatable("a", 10_001, 1, &[]), ErrorCode::InvalidPartitions, "10001");
    refused(creatable("a", i32::MAX, 1, &[]), ErrorCode::InvalidPartitions, "at most 10000");
    refused(creatable("a", 1, 0, &[]), ErrorCode::InvalidReplicationFactor, "'a'");
    refused(creatable("a", 1, 4, &[]), ErrorCode::InvalidReplicationFactor, "3 are registered");
    refused(creatable("a", 1, 1, &[("retention.ms", "x")]), ErrorCode::InvalidConfig, "retention.ms");
    refused(creatable("a", 1, 1, &[("typo.ms", "1")]), ErrorCode::InvalidConfig, "typo.ms");
    let mut without_value = creatable("a", 1, 1, &[("retention.ms", "1")]);
    without_value.configs[0].value = None;
    refused(without_value, ErrorCode::InvalidConfig, "retention.ms");
}

#[test]
fn a_manual_assignment_is_taken_or_refused_as_a_whole() {
    let assigned = |lists: &[(i32, &[i32])]| {
        let assignment = |(index, replicas): &(i32, &[i32])| CreatableReplicaAssignment {
            partition_index: *index,
            broker_ids: replicas.to_vec(),
            ..CreatableReplicaAssignment::default()
        };
        let mut topic = creatable("m", -1, -1, &[]);
        topic.assignments = lists.iter().map(assignment).collect();
        topic
    };
    let mut cluster = Cluster::of(3);
    let mut refused = |topic, error: ErrorCode| assert_eq!(cluster.create(topic).error_code, code(error));
    refused(assigned(&[(0, &[0, 0])]), ErrorCode::InvalidReplicaAssignment);
    refused(assigned(&[(0, &[0, 9])]), ErrorCode::InvalidReplicaAssignment);
    refused(assigned(&[(0, &[])]), ErrorCode::InvalidReplicaAssignment);
    refused(assigned(&[(1, &[0])]), ErrorCode::InvalidReplicaAssignment);
    refused(assigned(&[(0, &[0]), (0, &[1])]), ErrorCode::InvalidReplicaAssignment);
    refused(assigned(&[(0, &[0, 1]), (1, &[1])]), ErrorCode::InvalidReplicaAssignment);
    let mut both = assigned(&[(0, &[0])]);
    both.num_partitions = 1;
    refused(both, ErrorCode::InvalidRequest);
    assert_eq!(cluster.create(assigned(&[(1, &[1, 2]), (0, &[2, 0])])).error_code, 0);
    assert_eq!(cluster.image.partition("m", 0).unwrap().replicas, [2, 0]);
    assert_eq!(cluster.image.partition("m", 1).unwrap().replicas, [1, 2]);
}

#[test]
fn good_topics_of_a_request_are_created_beside_bad_ones() {
    let mut cluster = Cluster::of(1);
    let topics = ["a", "twice", "twice", "b.c", "b_c"].map(|name| creatable(name, 1, 1, &[])).to_vec();
    let codes: Vec<i16> = cluster.create_all(topics, false).iter().map(|topic| topic.error_code).collect();
    let (twice, collides) = (code(ErrorCode::InvalidRequest), code(ErrorCode::InvalidTopicException));
    assert_eq!(codes, [0, twice, twice, 0, collides]);
    assert_eq!(cluster.image.topic_names().collect::<Vec<_>>(), ["a", "b.c"]);
    assert_eq!(cluster.create(creatable("__internal", 1, 1, &[])).error_code, 0);
}

#[test]
fn validation_only_answers_and_creates_nothing() {
    let mut cluster = Cluster::of(1);
    let answer = cluster.create_all(vec![creatable("a", 2, 1, &[])], true);
    assert_eq!((answer[0].error_code, answer[0].num_partitions), (0, 2));
    assert!(cluster.image.topic("a").is_none());
}

#[test]
fn no_topic_is_created_while_no_broker_is_active() {
    let mut cluster = Cluster::new();
    cluster.register(0, -1);
    let refused = cluster.create(creatable("a", 1, 1, &[]));
    assert_eq!(refused.error_code, code(ErrorCode::InvalidReplicationFactor));
}

fn grow(cluster: &mut Cluster, count: i32, assignments: Option<&[&[i32]]>) -> (i16, Option<Str>) {
    let list = |ids: &&[i32]| CreatePartitionsAssignment { broker_ids: ids.to_vec(), ..Default::default() };
    let topic = CreatePartitionsTopic {
        name: "t".into(),
        count,
        assignments: assignments.map(|lists| lists.iter().map(list).collect()),
        ..CreatePartitionsTopic::default()
    };
    let request = CreatePartitionsRequest { topics: vec![topic], ..CreatePartitionsRequest::default() };
    match cluster.run(Command::CreatePartitions(request)) {
        Reply::CreatePartitions(mut reply) => {
            let result = reply.results.remove(0);
            (result.error_code, result.error_message)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn partitions_are_added_and_never_removed() {
    let mut cluster = Cluster::of(3);
    assert_eq!(grow(&mut cluster, 2, None).0, code(ErrorCode::UnknownTopicOrPartition));
    cluster.create(creatable("t", 2, 2, &[]));
    for count in [2, 1, 0, -1] {
        let (error, message) = grow(&mut cluster, count, None);
        assert_eq!(error, code(ErrorCode::InvalidPartitions));
        assert!(message.unwrap().contains("'t' "), "{count}");
    }
    assert_eq!(grow(&mut cluster, 5, None).0, 0);
    let topic = cluster.image.topic("t").unwrap();
    assert_eq!(topic.partitions.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!(topic.partitions.values().all(|partition| partition.replicas.len() == 2));
    let leaders: BTreeSet<i32> = topic.partitions.values().map(|partition| partition.leader).collect();
    assert_eq!(leaders.len(), 3);
    let bad = code(ErrorCode::InvalidReplicaAssignment);
    assert_eq!(grow(&mut cluster, 7, Some(&[&[0, 1]])).0, bad, "one list for two partitions");
    assert_eq!(grow(&mut cluster, 6, Some(&[&[0]])).0, bad, "another replication factor");
    assert_eq!(grow(&mut cluster, 6, Some(&[&[2, 1]])).0, 0);
    assert_eq!(cluster.image.partition("t", 5).unwrap().replicas, [2, 1]);
}

fn delete(cluster: &mut Cluster, topics: &[(Option<&str>, Uuid)]) -> Vec<i16> {
    let state = |(name, topic_id): &(Option<&str>, Uuid)| DeleteTopicState {
        name: name.map(Str::copy_from),
        topic_id: *topic_id,
        ..DeleteTopicState::default()
    };
    let request = DeleteTopicsRequest { topics: topics.iter().map(state).collect(), ..Default::default() };
    match cluster.run(Command::DeleteTopics(request)) {
        Reply::DeleteTopics(reply) => reply.responses.iter().map(|topic| topic.error_code).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn topics_are_deleted_by_name_or_id_with_their_configuration() {
    let mut cluster = Cluster::of(1);
    for name in ["a", "b", "c"] {
        cluster.create(creatable(name, 1, 1, &[("retention.ms", "1")]));
    }
    let id = |cluster: &Cluster, name: &str| cluster.image.topic(name).unwrap().id;
    let (b, c) = (id(&cluster, "b"), id(&cluster, "c"));
    let codes = delete(&mut cluster, &[(Some("a"), Uuid::nil()), (None, b), (Some("x"), Uuid::nil())]);
    assert_eq!(codes, [0, 0, code(ErrorCode::UnknownTopicOrPartition)]);
    let both = delete(&mut cluster, &[(Some("c"), c), (None, Uuid::from_u128(1))]);
    assert_eq!(both, [code(ErrorCode::InvalidRequest), code(ErrorCode::UnknownTopicId)]);
    assert_eq!(cluster.image.topic_names().collect::<Vec<_>>(), ["c"]);
    cluster.create(creatable("a", 1, 1, &[]));
    assert!(cluster.image.topic_config("a").is_empty(), "a new topic starts without the old one's overrides");
}

#[test]
fn old_versions_delete_by_name_alone() {
    let mut cluster = Cluster::of(1);
    cluster.create(creatable("a", 1, 1, &[]));
    let request = DeleteTopicsRequest { topic_names: vec!["a".into()], ..DeleteTopicsRequest::default() };
    let Reply::DeleteTopics(reply) = cluster.run(Command::DeleteTopics(request)) else { panic!() };
    assert_eq!((reply.responses[0].error_code, reply.responses[0].name.as_deref()), (0, Some("a")));
}

#[test]
fn deletion_can_be_turned_off() {
    let settings = Settings::new(CLUSTER_ID, properties(&[("delete.topic.enable", "false")]));
    let mut cluster = Cluster::with(settings);
    cluster.start(0);
    cluster.create(creatable("a", 1, 1, &[]));
    assert_eq!(delete(&mut cluster, &[(Some("a"), Uuid::nil())]), [code(ErrorCode::TopicDeletionDisabled)]);
}
