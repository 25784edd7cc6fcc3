//! KafkaTopics under the operator, on a Kubernetes in memory.

#![allow(clippy::unwrap_used)]

#[path = "support/kubernetes/mod.rs"]
mod kubernetes;

use std::time::Duration;

use klamm_operator_plan::observed::{ObservedPartition, ObservedTopic};
use kubernetes::world::World;
use serde_json::{Value, json};

const TOPICS: &str = "kafkatopics";

async fn settled() -> World {
    let mut world = World::new();
    world.cluster("c", json!({"replicas": 3}));
    world.start();
    world.until("ready", |world| world.is_settled("c")).await;
    world
}

fn spec(partitions: i32) -> Value {
    json!({"partitions": partitions, "replicas": 3, "config": {"retention.ms": 1000}})
}

fn partitions(world: &World, topic: &str) -> Option<usize> {
    world.kafka.state.lock().topics.get(topic).map(|topic| topic.partitions.len())
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_made_grown_configured_and_described() {
    let world = settled().await;
    world.topic("orders", "c", spec(3));
    world.until("ready", |world| world.is_ready(TOPICS, "orders")).await;
    let status = world.get("klamm.dev", TOPICS, "orders").unwrap()["status"].clone();
    assert_eq!((&status["partitions"], &status["replicas"]), (&json!(3), &json!(3)));
    assert!(status["topicId"].is_string());
    world.topic("orders", "c", json!({"partitions": 5, "replicas": 3, "config": {"retention.ms": 2000}}));
    world.until("grown", |world| partitions(world, "orders") == Some(5)).await;
    world
        .until("ready again", |world| {
            world.is_ready(TOPICS, "orders")
                && world.get("klamm.dev", TOPICS, "orders").unwrap()["status"]["partitions"] == 5
        })
        .await;
    assert_eq!(world.kafka.state.lock().topics["orders"].config["retention.ms"], "2000");
    let finalizers = world.get("klamm.dev", TOPICS, "orders").unwrap()["metadata"]["finalizers"].clone();
    assert!(finalizers.is_null(), "what is retained needs no finalizer: {finalizers}");
    world.delete("klamm.dev", TOPICS, "orders");
    world.pass(Duration::from_secs(30)).await;
    assert_eq!(partitions(&world, "orders"), Some(5), "it is retained");
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_exists_is_adopted_and_those_of_clients_are_left_alone() {
    let world = settled().await;
    let one = ObservedPartition { replicas: vec![0, 1, 2], isr: vec![0, 1, 2], leader: Some(0) };
    let theirs = ObservedTopic { id: "theirs".into(), partitions: vec![one], ..ObservedTopic::default() };
    for name in ["old", "foreign"] {
        world.kafka.state.lock().topics.insert(name.into(), theirs.clone());
    }
    world.topic("old", "c", spec(2));
    world.until("ready", |world| world.is_ready(TOPICS, "old")).await;
    assert_eq!(partitions(&world, "old"), Some(2));
    assert_eq!(world.kafka.state.lock().topics["foreign"], theirs);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_topics_take_a_few_requests() {
    let world = settled().await;
    world.kafka.state.lock().requests.clear();
    for index in 0..1000 {
        world.topic(&format!("t{index}"), "c", spec(1));
    }
    world
        .until("all ready", |world| (0..1000).all(|index| world.is_ready(TOPICS, &format!("t{index}"))))
        .await;
    let requests = world.kafka.state.lock().requests.clone();
    let changes = requests.iter().filter(|request| **request == "change").count();
    assert!(changes <= 20, "{changes} requests for 1000 topics");
    let writes = world.calls().iter().filter(|call| call.resource == "kafkatopics/status").count();
    assert!(writes <= 3000, "{writes} status writes for 1000 topics");
}

#[tokio::test(start_paused = true)]
async fn a_topic_belongs_to_the_oldest_resource_and_the_conflict_is_named_in_both() {
    let world = settled().await;
    world.topic("a", "c", json!({"topicName": "same", "partitions": 1}));
    world.topic("b", "c", json!({"topicName": "same", "partitions": 2}));
    world.topic("fine", "c", spec(1));
    world.until("the third is ready", |world| world.is_ready(TOPICS, "fine")).await;
    world
        .until("the younger is in conflict", |world| {
            world.condition(TOPICS, "b", "Ready").1 == "ResourceConflict"
        })
        .await;
    for name in ["a", "b"] {
        let message = world.condition(TOPICS, name, "Ready").2;
        let other = if name == "a" { "KafkaTopic b" } else { "KafkaTopic a" };
        assert!(message.contains(other), "{name}: {message}");
    }
    world.until("the older is ready", |world| world.is_ready(TOPICS, "a")).await;
    assert_eq!(partitions(&world, "same"), Some(1));
    world.delete("klamm.dev", TOPICS, "a");
    world.until("the other takes over", |world| world.is_ready(TOPICS, "b")).await;
    world.until("and grows it", |world| partitions(world, "same") == Some(2)).await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_refused_says_why_and_is_not_tried_in_a_loop() {
    let world = settled().await;
    world.topic("bad", "c", json!({"partitions": 1, "config": {"retention.ms": 987654321}}));
    world.until("refused", |world| world.condition(TOPICS, "bad", "Ready").1 == "InvalidConfig").await;
    world.kafka.state.lock().requests.clear();
    world.pass(Duration::from_secs(600)).await;
    let requests = world.kafka.state.lock().requests.clone();
    let changes = requests.iter().filter(|request| **request == "change").count();
    assert!((1..=30).contains(&changes), "{changes} tries in ten minutes");
    world.topic("bad", "c", json!({"partitions": 1, "config": {"retention.ms": 1000}}));
    world.until("ready", |world| world.is_ready(TOPICS, "bad")).await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_without_its_cluster_says_so() {
    let mut world = World::new();
    world.topic("lost", "nowhere", spec(1));
    world.start();
    world.until("told", |world| world.condition(TOPICS, "lost", "Ready").1 == "ClusterMissing").await;
    assert!(world.condition(TOPICS, "lost", "Ready").2.contains("KafkaCluster nowhere"));
    world.cluster("nowhere", json!({"replicas": 1}));
    world.topic("lost", "nowhere", json!({"partitions": 1}));
    world.until("ready", |world| world.is_ready(TOPICS, "lost")).await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_goes_with_its_resource_is_deleted_before_the_resource_goes() {
    let world = settled().await;
    world.topic("gone", "c", json!({"partitions": 1, "deletionPolicy": "Delete"}));
    world.until("ready", |world| world.is_ready(TOPICS, "gone")).await;
    let finalizers = world.get("klamm.dev", TOPICS, "gone").unwrap()["metadata"]["finalizers"].clone();
    assert_eq!(finalizers, json!(["klamm.dev/topic"]));
    world.delete("klamm.dev", TOPICS, "gone");
    world.until("the resource is gone", |world| world.get("klamm.dev", TOPICS, "gone").is_none()).await;
    assert_eq!(partitions(&world, "gone"), None);
}

#[tokio::test(start_paused = true)]
async fn the_finalizer_does_not_outlive_the_cluster() {
    let world = settled().await;
    world.topic("t", "c", json!({"partitions": 1, "deletionPolicy": "Delete"}));
    world.until("ready", |world| world.is_ready(TOPICS, "t")).await;
    world.delete("klamm.dev", "kafkaclusters", "c");
    world.until("told", |world| world.condition(TOPICS, "t", "Ready").1 == "ClusterMissing").await;
    world.delete("klamm.dev", TOPICS, "t");
    world.until("the resource is gone", |world| world.get("klamm.dev", TOPICS, "t").is_none()).await;
    assert_eq!(partitions(&world, "t"), Some(1), "nobody deletes topics of a cluster that is gone");
}
