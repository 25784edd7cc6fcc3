//! The controllers of Kubernetes that matter here: StatefulSets make pods and claims, kubelets start and stop them, and the
//! garbage collector follows owners.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api_server::ApiServer;
use super::path::Kind;
use super::store::Store;

const TICK: Duration = Duration::from_millis(100);
const STARTS_IN: Duration = Duration::from_millis(300);
const STOPS_IN: Duration = Duration::from_millis(200);

/// Pods whose mounted ConfigMap contains this text never become ready.
pub const BROKEN: &str = "broken";

/// Runs until it is dropped.
pub async fn run(server: ApiServer) {
    let mut since: BTreeMap<(String, bool), Instant> = BTreeMap::new();
    loop {
        sleep(TICK).await;
        let before = server.store.lock().version;
        {
            let mut store = server.store.lock();
            services(&mut store);
            stateful_sets(&mut store);
            pods(&mut store, &mut since);
            garbage(&mut store);
        }
        if server.store.lock().version != before {
            server.notify();
        }
    }
}

pub fn sets() -> Kind {
    Kind::new("apps", "statefulsets")
}

pub fn pod_kind() -> Kind {
    Kind::new("", "pods")
}

/// A port on every machine for what asks for one; the same for the same Service.
fn services(store: &mut Store) {
    let kind = Kind::new("", "services");
    for mut service in store.list(&kind, None) {
        let (namespace, name) = names(&service);
        let number: u64 = name.bytes().fold(0, |sum, byte| (sum * 31 + u64::from(byte)) % 2_700);
        if service["spec"]["type"] == "NodePort" && service["spec"]["ports"][0]["nodePort"].is_null() {
            service["spec"]["ports"][0]["nodePort"] = json!(30_000 + number);
            store.update((&kind, &namespace, &name), service, false).unwrap();
        }
    }
}

fn stateful_sets(store: &mut Store) {
    for mut set in store.list(&sets(), None) {
        let (namespace, name) = names(&set);
        if set["status"]["observedGeneration"] != set["metadata"]["generation"] {
            set["status"]["observedGeneration"] = set["metadata"]["generation"].clone();
            set = store.update((&sets(), &namespace, &name), set, true).unwrap();
        }
        let first = set["spec"]["ordinals"]["start"].as_i64().unwrap_or(0);
        for id in first..first + set["spec"]["replicas"].as_i64().unwrap_or(1) {
            let pod = format!("{name}-{id}");
            if store.get((&pod_kind(), &namespace, &pod)).is_none() {
                claims(store, &set, &namespace, &pod);
                store.create((&pod_kind(), &namespace, &pod), new_pod(&set, &name, &pod, id)).unwrap();
            }
        }
    }
}

fn claims(store: &mut Store, set: &Value, namespace: &str, pod: &str) {
    let kind = Kind::new("", "persistentvolumeclaims");
    for template in set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let name = format!("{}-{pod}", template["metadata"]["name"].as_str().unwrap());
        if store.get((&kind, namespace, &name)).is_none() {
            store.create((&kind, namespace, &name), template.clone()).unwrap();
        }
    }
}

fn new_pod(set: &Value, name: &str, pod: &str, id: i64) -> Value {
    let mut object = set["spec"]["template"].clone();
    object["apiVersion"] = json!("v1");
    object["kind"] = json!("Pod");
    object["metadata"]["labels"]["apps.kubernetes.io/pod-index"] = json!(id.to_string());
    object["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = json!(pod);
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": set["metadata"]["uid"],
        "controller": true,
    }]);
    object["spec"]["nodeName"] = json!(format!("machine-{id}"));
    object["status"] = json!({"phase": "Pending"});
    object
}

fn pods(store: &mut Store, since: &mut BTreeMap<(String, bool), Instant>) {
    for mut pod in store.list(&pod_kind(), None) {
        let (namespace, name) = names(&pod);
        let stopping = !pod["metadata"]["deletionTimestamp"].is_null();
        let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
        let age = since.entry((uid, stopping)).or_insert_with(Instant::now).elapsed();
        if stopping && age >= STOPS_IN {
            store.remove((&pod_kind(), &namespace, &name));
        } else if !stopping && age >= STARTS_IN && pod["status"]["phase"] == "Pending" {
            let works = !is_broken(store, &namespace, &pod);
            let number: u64 = name.rsplit('-').next().unwrap().parse().unwrap();
            pod["status"] = running(works, number);
            store.update((&pod_kind(), &namespace, &name), pod, true).unwrap();
        }
    }
}

fn is_broken(store: &Store, namespace: &str, pod: &Value) -> bool {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let mut maps = volumes.filter_map(|volume| volume["configMap"]["name"].as_str());
    maps.any(|name| {
        let map = store.get((&Kind::new("", "configmaps"), namespace, name));
        map.is_none_or(|map| map["data"].to_string().contains(BROKEN))
    })
}

fn running(works: bool, number: u64) -> Value {
    let state = match works {
        true => json!({"running": {"startedAt": "2026-01-01T00:00:01Z"}}),
        false => json!({"waiting": {"reason": "CrashLoopBackOff", "message": "it ends at once"}}),
    };
    json!({
        "phase": "Running", "podIP": format!("10.0.0.{number}"), "hostIP": format!("10.1.0.{number}"),
        "conditions": [{"type": "Ready", "status": if works { "True" } else { "False" },
            "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "containerStatuses": [{"name": "kafka", "image": "i", "imageID": "i", "ready": works, "restartCount": 0,
            "started": works, "state": state}],
    })
}

fn garbage(store: &mut Store) {
    let uids: BTreeSet<String> = store
        .objects
        .values()
        .filter_map(|object| object["metadata"]["uid"].as_str())
        .map(str::to_owned)
        .collect();
    let orphaned = |object: &Value| {
        let owners = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
        let is_gone = |owner: &Value| !uids.contains(owner["uid"].as_str().unwrap());
        !owners.is_empty() && owners.iter().all(is_gone)
    };
    let gone: Vec<_> = store
        .objects
        .iter()
        .filter(|(_, object)| orphaned(object) && object["metadata"]["deletionTimestamp"].is_null())
        .map(|(key, _)| key.clone())
        .collect();
    for (kind, namespace, name) in gone {
        let gracefully = kind.resource == "pods";
        store.delete((&kind, &namespace, &name), &Value::Null, gracefully).unwrap();
    }
}

fn names(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap().to_owned();
    (text("namespace"), text("name"))
}
