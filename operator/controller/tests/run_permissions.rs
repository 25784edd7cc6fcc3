//! What the operator asks of Kubernetes is what the chart's roles allow, and nothing that they allow is unused.

#![allow(clippy::unwrap_used)]

#[path = "support/kubernetes/mod.rs"]
mod kubernetes;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use klamm_operator::run::lease::Leadership;
use kubernetes::log::Log;
use kubernetes::path::Kind;
use kubernetes::world::World;
use serde_json::{Value, json};

/// A verb, a group and a resource.
type Right = (String, String, String);

/// Every right of one part of the chart's list.
fn granted(part: &str) -> BTreeSet<Right> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/klamm-operator/files/permissions.yaml");
    let list: Value = serde_yaml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let words = |rule: &Value, field: &str| -> Vec<String> {
        rule[field].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in list[part].as_array().unwrap() {
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                for verb in words(rule, "verbs") {
                    rights.insert((verb, group.clone(), resource.clone()));
                }
            }
        }
    }
    rights
}

/// Every right that was used.
fn used(world: &World) -> BTreeSet<Right> {
    let right = |call: kubernetes::api_server::Call| (call.verb.to_owned(), call.group, call.resource);
    world.server.take_calls().into_iter().map(right).collect()
}

/// Everything that a cluster can go through.
async fn a_whole_life(world: &World) {
    let listener = |name: &str, port: i32, type_: &str| json!({"name": name, "port": port, "type": type_});
    let kafka = |threads: &str, listeners: Value| {
        json!({"replicas": 3, "config": {"klamm.test": threads}, "listeners": listeners,
            "storage": {"type": "persistent-claim", "size": threads.to_owned() + "Gi", "deleteClaim": true}})
    };
    let inside = listener("plain", 9092, "internal");
    world.cluster("c", kafka("8", json!([inside, listener("outside", 9094, "nodeport")])));
    world.topic("t", "c", json!({"partitions": 1, "deletionPolicy": "Delete"}));
    world.until("ready", |world| world.is_ready("kafkatopics", "t")).await;
    world.cluster("c", kafka("9", json!([inside])));
    world.until("rolled", |world| world.kafka.state.lock().granted.len() >= 3 && world.is_settled("c")).await;
    // The same events once more are counted in those that are there.
    world.cluster("c", kafka("10", json!([inside])));
    world
        .until("rolled again", |world| world.kafka.state.lock().granted.len() >= 6 && world.is_settled("c"))
        .await;
    world.until("one ConfigMap is left", |world| world.names("", "configmaps").len() == 1).await;
    world.until("two Services are left", |world| world.names("", "services").len() == 2).await;
    world.delete("klamm.dev", "kafkatopics", "t");
    world.until("gone", |world| world.get("klamm.dev", "kafkatopics", "t").is_none()).await;
    world.pass(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn in_watched_namespaces_exactly_what_is_granted_is_used() {
    let mut world = World::new();
    world.start();
    a_whole_life(&world).await;
    let used = used(&world);
    // Some clusters want it for owner references that block deletion; it is never a call of its own.
    let implied = ("update".to_owned(), "klamm.dev".to_owned(), "kafkaclusters/finalizers".to_owned());
    let machines = granted("machines");
    let namespaced: BTreeSet<Right> =
        granted("namespaced").into_iter().filter(|right| *right != implied).collect();
    let missing: Vec<_> =
        used.iter().filter(|right| !namespaced.contains(*right) && !machines.contains(*right)).collect();
    assert!(missing.is_empty(), "used and not granted: {missing:?}");
    let unused: Vec<_> = namespaced.difference(&used).chain(machines.difference(&used)).collect();
    assert!(unused.is_empty(), "granted and not used: {unused:?}");
}

#[tokio::test(start_paused = true)]
async fn machines_that_may_not_be_seen_are_told_once_and_do_without() {
    let log = Log::start();
    let mut world = World::new();
    world.server.faults.lock().forbidden = vec![Kind::new("", "nodes")];
    let listener = |name: &str, port: i32, type_: &str| json!({"name": name, "port": port, "type": type_});
    let listeners = json!([listener("plain", 9092, "internal"), listener("outside", 9094, "nodeport")]);
    world.cluster("c", json!({"replicas": 3, "listeners": listeners}));
    world.start();
    world.until("ready", |world| world.is_settled("c")).await;
    world.cluster("c", json!({"replicas": 3, "listeners": listeners, "config": {"klamm.test": "7"}}));
    world.until("rolled", |world| world.kafka.state.lock().granted.len() >= 3 && world.is_settled("c")).await;
    world.pass(Duration::from_secs(900)).await;
    let lines = log.lines();
    let told: Vec<&String> = lines.iter().filter(|line| line.contains("machines")).collect();
    assert!(told.len() == 1 && told[0].contains("INFO"), "{told:?}");
    assert!(told[0].contains("rbac.readNodes"), "{told:?}");
    let loud: Vec<&String> =
        lines.iter().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
    assert!(loud.is_empty(), "{loud:?}");
    world.server.faults.lock().forbidden.clear();
    world.calls();
    world.pass(Duration::from_secs(900)).await;
    let watched = |call: &kubernetes::api_server::Call| call.resource == "nodes" && call.verb == "watch";
    assert!(world.calls().iter().any(watched), "a right that is given later is used");
}

#[tokio::test(start_paused = true)]
async fn a_slow_api_server_does_not_cost_the_leadership() {
    let world = World::new();
    let mut first = Leadership::new(&world.server.client(), "klamm", "first".into());
    first.acquire().await;
    world.server.faults.lock().slow = Duration::from_secs(3);
    let mut second = Leadership::new(&world.server.client(), "klamm", "second".into());
    let outcome = tokio::time::timeout(Duration::from_secs(600), async {
        tokio::select! {
            () = first.keep() => "the first has lost it",
            () = second.acquire() => "the second has taken it",
        }
    });
    assert_eq!(outcome.await.ok(), None);
}

#[tokio::test(start_paused = true)]
async fn the_lease_needs_exactly_what_is_granted() {
    let world = World::new();
    // The chart makes the Lease. Without a chart, whoever runs the operator may create it.
    let mut chart = Leadership::new(&world.server.client(), "klamm", "chart".into());
    chart.acquire().await;
    chart.release().await;
    assert!(used(&world).iter().any(|(verb, _, _)| verb == "create"));
    let mut first = Leadership::new(&world.server.client(), "klamm", "first".into());
    first.acquire().await;
    // It cannot be kept for ever by somebody who is not polled; a few renewals are enough here.
    let kept = tokio::time::timeout(Duration::from_secs(60), first.keep()).await;
    assert!(kept.is_err(), "the leadership was lost");
    let mut second = Leadership::new(&world.server.client(), "klamm", "second".into());
    let taken = tokio::time::timeout(Duration::from_secs(8), second.acquire()).await;
    assert!(taken.is_err(), "two operators lead");
    first.release().await;
    let start = tokio::time::Instant::now();
    second.acquire().await;
    assert!(start.elapsed() < Duration::from_secs(5), "a lease that was given up is free at once");
    assert!(
        tokio::time::timeout(Duration::from_secs(60), first.keep()).await.is_ok(),
        "the first still leads"
    );
    assert_eq!(used(&world), granted("own"));
}
