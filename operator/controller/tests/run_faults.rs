//! The operator dies at every write, sees stale caches, loses races and watches: it converges, and hurts nobody.

#![allow(clippy::unwrap_used)]

#[path = "support/kubernetes/mod.rs"]
mod kubernetes;

use std::time::Duration;

use kubernetes::log::Log;
use kubernetes::path::Kind;
use kubernetes::world::World;
use serde_json::{Value, json};

fn kafka(threads: &str) -> Value {
    json!({"replicas": 3, "config": {"min.insync.replicas": 2, "klamm.test": threads}})
}

/// Every pod whose deletion was asked for had a grant of its own.
fn assert_only_granted(world: &World) {
    let granted = world.kafka.state.lock().granted.clone();
    for entry in &world.server.store.lock().history {
        let (Some(before), Some(after)) = (&entry.before, &entry.after) else { continue };
        let started = before["metadata"]["deletionTimestamp"].is_null()
            && !after["metadata"]["deletionTimestamp"].is_null();
        if entry.kind.resource == "pods" && started {
            let uid = after["metadata"]["uid"].as_str().unwrap();
            assert!(granted.contains(uid), "{} was restarted without a grant", after["metadata"]["name"]);
        }
    }
}

/// How many pods are not ready or on their way out.
fn away(world: &World) -> usize {
    let pods = world.server.store.lock().list(&Kind::new("", "pods"), None);
    let serves = |pod: &&Value| {
        pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["conditions"][0]["status"] == "True"
    };
    3 - pods.iter().filter(serves).count()
}

async fn settle(world: &World) {
    world.until("settled", |world| world.is_settled("c") && world.is_ready("kafkatopics", "t")).await;
}

/// From nothing to a rolled cluster, with an operator that dies after `writes` writes in each part and is started again.
/// Whether it lived through it all.
async fn life(writes: usize) -> bool {
    let mut world = World::new();
    world.cluster("c", kafka("8"));
    world.topic("t", "c", json!({"partitions": 1, "deletionPolicy": "Delete"}));
    let mut lived = true;
    for threads in ["8", "9"] {
        world.cluster("c", kafka(threads));
        world.server.faults.lock().die_after_writes = Some(writes);
        world.kill();
        world.start();
        world.pass(Duration::from_secs(20)).await;
        lived &= world.server.faults.lock().die_after_writes != Some(0);
        world.server.faults.lock().die_after_writes = None;
        world.kill();
        world.start();
        settle(&world).await;
    }
    let claims = world.names("", "persistentvolumeclaims").len();
    assert_eq!((claims, world.names("", "pods").len()), (3, 3));
    assert_only_granted(&world);
    lived
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_dies_at_any_write_is_followed_by_one_that_goes_on() {
    for writes in 0.. {
        if life(writes).await {
            assert!(writes > 20, "a life takes more writes than {writes}");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_cache_never_takes_two_nodes_away() {
    let mut world = World::new();
    world.cluster("c", kafka("8"));
    world.topic("t", "c", json!({"partitions": 1}));
    world.start();
    settle(&world).await;
    for round in 0..40_u64 {
        world.cluster("c", kafka(if round % 2 == 0 { "9" } else { "10" }));
        world.pass(Duration::from_millis(150 * (round % 8))).await;
        world.server.faults.lock().frozen = true;
        for _ in 0..40 {
            world.pass(Duration::from_millis(100)).await;
            assert!(away(&world) <= 1, "round {round}: {} nodes are away", away(&world));
        }
        world.server.faults.lock().frozen = false;
        world.server.notify();
        world.pass(Duration::from_secs(2)).await;
    }
    settle(&world).await;
    assert_only_granted(&world);
}

#[tokio::test(start_paused = true)]
async fn lost_races_and_forgotten_histories_only_take_longer() {
    let mut world = World::new();
    world.cluster("c", kafka("8"));
    world.topic("t", "c", json!({"partitions": 1}));
    world.server.faults.lock().conflicts = 10;
    world.start();
    settle(&world).await;
    let newest = world.server.store.lock().version;
    world.server.store.lock().forgotten = newest;
    world.server.faults.lock().conflicts = 10;
    world.cluster("c", kafka("9"));
    settle(&world).await;
    world.until("rolled", |world| world.kafka.state.lock().granted.len() == 3 && world.is_settled("c")).await;
    assert_only_granted(&world);
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_served_is_unknown_and_not_empty() {
    let mut world = World::new();
    world.cluster("c", kafka("8"));
    world.server.faults.lock().absent = vec![Kind::new("", "persistentvolumeclaims")];
    world.start();
    world.pass(Duration::from_secs(120)).await;
    assert!(world.names("apps", "statefulsets").is_empty(), "nobody knows what claims there are");
    world.server.faults.lock().absent.clear();
    world.until("settled", |world| world.is_settled("c")).await;
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_its_operator_left_behind_is_found_and_used() {
    let mut world = World::new();
    world.cluster("c", kafka("8"));
    world.topic("t", "c", json!({"partitions": 1}));
    world.start();
    settle(&world).await;
    world.cluster("c", kafka("9"));
    world.until("a grant is out", |world| world.kafka.state.lock().grant.is_some()).await;
    world.kill();
    world.pass(Duration::from_secs(20)).await;
    assert!(world.kafka.state.lock().grant.is_some());
    world.start();
    settle(&world).await;
    world.until("rolled", |world| world.kafka.state.lock().granted.len() == 3 && world.is_settled("c")).await;
    assert_only_granted(&world);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_its_operator_left_behind_and_nobody_needs_runs_out() {
    let mut world = World::new();
    world.cluster("c", kafka("8"));
    world.topic("t", "c", json!({"partitions": 1}));
    world.start();
    settle(&world).await;
    let before = world.pod_uids();
    world.cluster("c", kafka("9"));
    world.until("a grant is out", |world| world.kafka.state.lock().grant.is_some()).await;
    world.kill();
    world.cluster("c", kafka("8"));
    world.kafka.state.lock().requests.clear();
    world.start();
    world.pass(Duration::from_secs(290)).await;
    settle(&world).await;
    let asked = world.kafka.state.lock().requests.clone();
    assert!(!asked.contains(&"begin"), "it was renewed");
    assert_eq!(world.pod_uids(), before);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_goes_away_is_no_fault() {
    let log = Log::start();
    let mut world = World::new();
    world.cluster("c", kafka("8"));
    world.topic("t", "c", json!({"partitions": 1}));
    world.start();
    settle(&world).await;
    world.server.faults.lock().terminating = true;
    world.delete("", "services", "c-kafka-bootstrap");
    world.pass(Duration::from_secs(60)).await;
    let (stalled, _, message) = world.condition("kafkaclusters", "c", "Stalled");
    assert_eq!((stalled.as_str(), message.as_str()), ("False", ""));
    let loud: Vec<String> = log.lines().into_iter().filter(|line| line.contains("WARN")).collect();
    assert!(loud.is_empty(), "{loud:?}");
}
