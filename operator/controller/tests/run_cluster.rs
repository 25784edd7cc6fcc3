//! A cluster under the operator, on a Kubernetes in memory: it comes up, heals, rolls and rests.

#![allow(clippy::unwrap_used)]

#[path = "support/kubernetes/mod.rs"]
mod kubernetes;

use std::time::Duration;

use kubernetes::controllers::{BROKEN, pod_kind};
use kubernetes::world::World;
use serde_json::{Value, json};

const CLUSTERS: &str = "kafkaclusters";

fn three() -> Value {
    json!({"replicas": 3, "config": {"min.insync.replicas": 2}})
}

fn with_config(value: &str) -> Value {
    json!({"replicas": 3, "config": {"min.insync.replicas": 2, "klamm.test": value}})
}

/// A cluster that is ready and has nothing left to do.
async fn settled(kafka: Value) -> World {
    let mut world = World::new();
    world.cluster("c", kafka);
    world.start();
    world.until("ready", |world| world.is_settled("c")).await;
    world
}

/// The pods whose deletion was asked for: uids in order, each with whether the controller had granted it.
fn restarts(world: &World) -> Vec<(String, bool)> {
    let granted = world.kafka.state.lock().granted.clone();
    let store = world.server.store.lock();
    let deletions = store.history.iter().filter_map(|entry| {
        let (before, after) = (entry.before.as_ref()?, entry.after.as_ref()?);
        let started = before["metadata"]["deletionTimestamp"].is_null()
            && !after["metadata"]["deletionTimestamp"].is_null();
        (entry.kind.resource == "pods" && started).then(|| after["metadata"].clone())
    });
    deletions
        .map(|meta| {
            let uid = meta["uid"].as_str().unwrap().to_owned();
            let granted = granted.contains(&uid);
            (meta["name"].as_str().unwrap().to_owned(), granted)
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_cluster_comes_up_and_says_where_it_is_reached() {
    let world = settled(three()).await;
    assert_eq!(world.names("", "pods"), ["c-kafka-0", "c-kafka-1", "c-kafka-2"]);
    let status = world.get("klamm.dev", CLUSTERS, "c").unwrap()["status"].clone();
    assert_eq!(status["readyReplicas"], 3);
    assert_eq!(status["quorum"]["voters"], json!([0, 1, 2]));
    assert_eq!(status["listeners"][0]["bootstrapServers"], "c-kafka-bootstrap.shop.svc:9092");
    let claim = world.get("", "persistentvolumeclaims", "data-c-kafka-0").unwrap();
    assert_eq!(claim["metadata"]["annotations"]["klamm.dev/cluster-id"], status["clusterId"]);
    assert!(restarts(&world).is_empty(), "{:?}", restarts(&world));
}

#[tokio::test(start_paused = true)]
async fn at_rest_nothing_is_read_and_nothing_is_written() {
    let world = settled(three()).await;
    world.pass(Duration::from_secs(30)).await;
    world.calls();
    world.pass(Duration::from_secs(900)).await;
    // Watches end and begin again, as the server has it.
    let others: Vec<_> = world.calls().into_iter().filter(|call| call.verb != "watch").collect();
    assert!(others.is_empty(), "{others:?}");
    let looks = world.kafka.state.lock().requests.len();
    assert!(looks < 150, "the brokers were asked {looks} times in a quarter of an hour");
}

#[tokio::test(start_paused = true)]
async fn another_operator_finds_nothing_to_do() {
    let mut world = settled(three()).await;
    world.pass(Duration::from_secs(5)).await;
    world.kill();
    world.calls();
    world.start();
    world.pass(Duration::from_secs(60)).await;
    let writes: Vec<_> = world.calls().into_iter().filter(|call| call.is_write()).collect();
    assert!(writes.is_empty(), "{writes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_property_rolls_one_node_at_a_time_and_only_with_grants() {
    let world = settled(three()).await;
    let before = world.pod_uids();
    world.cluster("c", with_config("7"));
    world
        .until("another pod everywhere", |world| {
            let now = world.pod_uids();
            now.len() == 3 && now.iter().zip(&before).all(|(now, before)| now.1 != before.1)
        })
        .await;
    world.until("settled", |world| world.is_settled("c")).await;
    let restarts = restarts(&world);
    assert_eq!(restarts.len(), 3, "{restarts:?}");
    assert!(restarts.iter().all(|(_, granted)| *granted), "{restarts:?}");
    // The active controller, which is node 0, goes last.
    assert_eq!(restarts[2].0, "c-kafka-0");
    world.until("old properties are gone", |world| world.names("", "configmaps").len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_restart_waits_and_names_who_would_be_hurt() {
    let world = settled(three()).await;
    let before = world.pod_uids();
    world.kafka.state.lock().refuses = Some("orders-0 would have 1 of 2 replicas in sync".into());
    world.cluster("c", with_config("7"));
    world
        .until("the blocker is told", |world| {
            let status = world.get("klamm.dev", CLUSTERS, "c").unwrap()["status"].clone();
            status["operations"]["roll"]["brokers"].to_string().contains("orders-0 would have 1 of 2")
        })
        .await;
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.pod_uids(), before);
    world.kafka.state.lock().refuses = None;
    world
        .until("rolled", |world| {
            world.is_settled("c")
                && world.pod_uids().iter().zip(&before).all(|(now, before)| now.1 != before.1)
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_reverted_before_the_restart_lets_its_grant_go() {
    let world = settled(three()).await;
    let before = world.pod_uids();
    world.cluster("c", with_config("7"));
    world.until("a grant is out", |world| world.kafka.state.lock().grant.is_some()).await;
    world.cluster("c", three());
    world.pass(Duration::from_secs(10)).await;
    assert!(world.kafka.state.lock().grant.is_none(), "the grant is out for nothing");
    assert!(world.is_settled("c"));
    assert_eq!(world.pod_uids(), before);
}

#[tokio::test(start_paused = true)]
async fn the_grant_of_a_node_that_is_on_its_way_back_does_not_run_out() {
    let world = settled(three()).await;
    world.cluster("c", with_config(BROKEN));
    world.until("a grant is out", |world| world.kafka.state.lock().grant.is_some()).await;
    let id = world.kafka.state.lock().grant.as_ref().unwrap().id;
    world.pass(Duration::from_secs(1000)).await;
    assert_eq!(world.kafka.state.lock().grant.as_ref().map(|held| held.id), Some(id));
}

#[tokio::test(start_paused = true)]
async fn a_bad_property_stops_at_the_first_node_and_a_good_one_puts_it_right() {
    let world = settled(three()).await;
    let before = world.pod_uids();
    world.cluster("c", with_config(BROKEN));
    world.pass(Duration::from_secs(120)).await;
    let changed = world.pod_uids().iter().zip(&before).filter(|(now, before)| now.1 != before.1).count();
    assert_eq!(changed, 1, "only one node may be tried");
    let (status, _, message) = world.condition(CLUSTERS, "c", "Ready");
    assert_eq!(status, "False");
    assert!(message.contains("CrashLoopBackOff"), "{message}");
    world.cluster("c", with_config("8"));
    world.until("settled", |world| world.is_settled("c")).await;
    assert!(restarts(&world).iter().all(|(_, granted)| *granted), "{:?}", restarts(&world));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_never_came_up_is_put_right_without_grants() {
    let mut world = World::new();
    world.cluster("c", with_config(BROKEN));
    world.start();
    world.until("three pods", |world| world.pod_uids().len() == 3).await;
    world.pass(Duration::from_secs(20)).await;
    assert!(!world.is_ready(CLUSTERS, "c"));
    world.cluster("c", with_config("8"));
    world.until("settled", |world| world.is_settled("c")).await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_only_carry_the_label_of_a_cluster_are_no_controllers_of_it() {
    let mut world = World::new();
    world.cluster("c", with_config(BROKEN));
    world.start();
    world.until("three pods", |world| world.pod_uids().len() == 3).await;
    for node in ["1", "2"] {
        let labels = json!({"klamm.dev/cluster": "c", "apps.kubernetes.io/pod-index": node,
            "app.kubernetes.io/managed-by": "klamm-operator"});
        let ready =
            json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        world.create(
            &pod_kind(),
            &format!("stray-{node}"),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": labels},
                "spec": {"containers": []}, "status": {"phase": "Running", "conditions": ready}}),
        );
    }
    world.pass(Duration::from_secs(20)).await;
    assert!(!world.is_ready(CLUSTERS, "c"));
    world.cluster("c", with_config("8"));
    world.until("settled", |world| world.is_settled("c")).await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_deletes_or_changes_comes_back() {
    let world = settled(three()).await;
    let before = world.pod_uids();
    world.delete("", "services", "c-kafka-bootstrap");
    world
        .until("the Service is back", |world| world.get("", "services", "c-kafka-bootstrap").is_some())
        .await;
    let map = world.names("", "configmaps")[0].clone();
    world.delete("", "configmaps", &map);
    world.until("the ConfigMap is back", |world| world.get("", "configmaps", &map).is_some()).await;
    world.delete("policy", "poddisruptionbudgets", "c-kafka");
    world
        .until("the budget is back", |world| world.get("policy", "poddisruptionbudgets", "c-kafka").is_some())
        .await;
    world
        .edit("", "services", "c-kafka-bootstrap", |service| service["spec"]["selector"] = json!({"a": "b"}));
    world
        .until("the selector is back", |world| {
            world.get("", "services", "c-kafka-bootstrap").unwrap()["spec"]["selector"]["klamm.dev/cluster"]
                == "c"
        })
        .await;
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(world.pod_uids(), before, "none of this restarts a node");
    world.delete("apps", "statefulsets", "c-kafka");
    world
        .until("settled again", |world| {
            world.is_settled("c")
                && world.get("apps", "statefulsets", "c-kafka").is_some()
                && world.pod_uids().len() == 3
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn deleted_and_created_again_it_is_the_same_cluster() {
    let world = settled(three()).await;
    let id = world.get("klamm.dev", CLUSTERS, "c").unwrap()["status"]["clusterId"].clone();
    world.delete("klamm.dev", CLUSTERS, "c");
    world
        .until("all is gone but claims", |world| {
            world.pod_uids().is_empty()
                && world.names("", "services").is_empty()
                && world.names("", "configmaps").is_empty()
        })
        .await;
    assert_eq!(world.names("", "persistentvolumeclaims").len(), 3);
    world.cluster("c", three());
    world.until("ready again", |world| world.is_settled("c")).await;
    assert_eq!(world.get("klamm.dev", CLUSTERS, "c").unwrap()["status"]["clusterId"], id);
}

#[tokio::test(start_paused = true)]
async fn claims_go_along_only_when_asked_and_grow_with_the_size() {
    let world = settled(json!({"replicas": 1, "storage": {"type": "persistent-claim", "size": "1Gi"}})).await;
    let claim = |world: &World| world.get("", "persistentvolumeclaims", "data-c-kafka-0").unwrap();
    assert!(claim(&world)["metadata"]["ownerReferences"].is_null());
    let storage = json!({"type": "persistent-claim", "size": "2Gi", "deleteClaim": true});
    world.cluster("c", json!({"replicas": 1, "storage": storage}));
    world.until("grown", |world| claim(world)["spec"]["resources"]["requests"]["storage"] == "2Gi").await;
    world
        .until("owned", |world| claim(world)["metadata"]["ownerReferences"][0]["kind"] == "KafkaCluster")
        .await;
    world.delete("klamm.dev", CLUSTERS, "c");
    world.until("gone", |world| world.names("", "persistentvolumeclaims").is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn more_nodes_join_without_a_restart_of_the_others() {
    let world = settled(three()).await;
    let before = world.pod_uids();
    world.cluster("c", json!({"replicas": 4, "controllers": 3, "config": {"min.insync.replicas": 2}}));
    world.until("four", |world| world.is_settled("c") && world.pod_uids().len() == 4).await;
    assert_eq!(world.pod_uids()[..3], before[..]);
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_contradicts_itself_is_refused_and_nothing_is_touched() {
    let world = settled(three()).await;
    world.server.take_calls();
    world.cluster("c", json!({"replicas": 3, "controllers": 2}));
    world.until("refused", |world| world.condition(CLUSTERS, "c", "Stalled").0 == "True").await;
    let (_, reason, message) = world.condition(CLUSTERS, "c", "Ready");
    assert_eq!(reason, "InvalidSpec");
    assert!(message.contains("controllers"), "{message}");
    let writes: Vec<_> = world.calls().into_iter().filter(|call| call.is_write()).collect();
    assert!(writes.iter().all(|call| call.resource == "kafkaclusters/status"), "{writes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_cannot_be_read_stops_nobody_else() {
    let mut world = World::new();
    world.cluster("bad", json!({"replicas": "many"}));
    world.cluster("c", three());
    world.start();
    world.until("the good one is ready", |world| world.is_settled("c")).await;
    let (status, reason, _) = world.condition(CLUSTERS, "bad", "Stalled");
    assert_eq!((status.as_str(), reason.as_str()), ("True", "InvalidSpec"));
}
