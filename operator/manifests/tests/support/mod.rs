//! Clusters to render.
#![allow(dead_code)] // Each test file uses a part of it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use klamm_operator_api::KafkaCluster;
use klamm_operator_manifests::cluster::{
    Cluster, DEFAULT_RACK_LABEL, Entry, Exposure, External, Listener, Operator, PodTemplate, Storage,
};
use klamm_operator_manifests::{Founding, Objects, Places, objects};
use klamm_operator_plan::observed::{Observed, Properties};
use klamm_operator_plan::{Resources, render, validate};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A cluster as the quickstart has it.
pub fn quickstart() -> Cluster {
    Cluster {
        name: "quickstart".into(),
        namespace: "default".into(),
        uid: "6b1f1c1e-0000-4000-8000-000000000001".into(),
        image: "klamm/broker:dev".into(),
        resources: from(json!({})),
        listeners: vec![internal("plaintext", 9092)],
        storage: Storage::Claim { size: "10Gi".into(), class: None },
        rack_label: DEFAULT_RACK_LABEL.into(),
        template: PodTemplate::default(),
        operator: Some(Operator {
            namespace: "klamm".into(),
            labels: [("app.kubernetes.io/name".to_owned(), "klamm-operator".to_owned())].into(),
        }),
    }
}

/// A cluster that uses everything that can be asked for.
pub fn everything() -> Cluster {
    let broker = Entry {
        node_port: Some(31001),
        annotations: [("example.com/pool".to_owned(), "a".to_owned())].into(),
        advertised_host: Some("broker-1.example.com".into()),
        advertised_port: Some(443),
    };
    let node_port = External {
        only_local: true,
        preferred_address: Some("InternalIP".into()),
        bootstrap: Entry { node_port: Some(31000), ..Entry::default() },
        brokers: [(1, broker)].into(),
    };
    Cluster {
        name: "big".into(),
        namespace: "kafka".into(),
        image: "registry.example.com/klamm/broker:1".into(),
        resources: from(
            json!({ "requests": { "cpu": "500m", "memory": "1Gi" }, "limits": { "memory": "2Gi" } }),
        ),
        listeners: vec![
            Listener {
                peers: from(json!([{ "podSelector": { "matchLabels": { "app": "shop" } } }])),
                ..internal("plaintext", 9092)
            },
            listener("ports", 9094, Exposure::NodePort(node_port)),
            listener("http", 9095, Exposure::LoadBalancer(External::default())),
        ],
        storage: Storage::Claim { size: "100Gi".into(), class: Some("fast".into()) },
        rack_label: "example.com/rack".into(),
        template: PodTemplate {
            labels: [("team".to_owned(), "payments".to_owned())].into(),
            annotations: [("example.com/scrape".to_owned(), "yes".to_owned())].into(),
            affinity: from(json!({ "nodeAffinity": {} })),
            tolerations: from(json!([{ "key": "kafka", "operator": "Exists" }])),
            node_selector: [("disk".to_owned(), "nvme".to_owned())].into(),
            topology_spread: from(json!([
                { "maxSkew": 1, "topologyKey": "example.com/rack", "whenUnsatisfiable": "DoNotSchedule" }
            ])),
            priority_class: Some("high".into()),
            pull_secrets: from(json!([{ "name": "registry" }])),
            grace_seconds: Some(120),
        },
        ..quickstart()
    }
}

/// A listener within Kubernetes.
pub fn internal(name: &str, port: u16) -> Listener {
    listener(name, port, Exposure::Internal)
}

/// A listener.
pub fn listener(name: &str, port: u16, exposure: Exposure) -> Listener {
    Listener { name: name.into(), port, exposure, peers: None }
}

/// The facts that every cluster here was founded with.
pub fn founding() -> Founding {
    Founding { cluster_id: "MkU3OEVBNTcwNTJENDM2Qg".into(), voters: [0, 1, 2].into() }
}

/// The properties that the planner makes of these places.
pub fn properties(cluster: &Cluster, places: &Places) -> BTreeMap<i32, Properties> {
    let listeners: Vec<Value> = cluster
        .listeners
        .iter()
        .map(|listener| json!({ "name": listener.name, "port": listener.port, "type": "internal" }))
        .collect();
    let mut resource = KafkaCluster::new(
        &cluster.name,
        from(
            json!({ "kafka": { "replicas": places.places.len().max(3), "controllers": 3, "listeners": listeners } }),
        ),
    );
    resource.metadata.namespace = Some(cluster.namespace.clone());
    let resources = Resources { cluster: resource, topics: Vec::new() };
    let desired = validate(&resources).expect("a valid cluster").cluster;
    let founding = founding();
    let observed = Observed {
        cluster_id: Some(founding.cluster_id),
        voters: Some(founding.voters.clone()),
        places: places.places.clone(),
        ..Observed::default()
    };
    let one = |id: &i32| {
        let rendered = render::properties(&desired, &observed, *id, desired.nodes[id], &founding.voters);
        (*id, rendered.expect("a place"))
    };
    places.places.keys().map(one).collect()
}

/// The objects of a cluster of so many nodes, before anything of it exists.
pub fn rendered(cluster: &Cluster, nodes: i32) -> Objects {
    let ids: BTreeSet<i32> = (0..nodes).collect();
    let places = klamm_operator_manifests::places(cluster, &ids, Default::default());
    objects(cluster, &founding(), &properties(cluster, &places))
}

/// Every Service of a cluster, as a list.
pub fn services(objects: &Objects) -> Vec<Service> {
    let own = [objects.headless.clone(), objects.bootstrap.clone()];
    own.into_iter().chain(objects.external.iter().cloned()).collect()
}

/// A machine with these addresses.
pub fn machine(name: &str, ready: bool, addresses: &[(&str, &str)]) -> Node {
    let addresses: Vec<Value> =
        addresses.iter().map(|(kind, address)| json!({ "type": kind, "address": address })).collect();
    let ready = if ready { "True" } else { "False" };
    from(json!({
        "metadata": { "name": name },
        "status": { "addresses": addresses, "conditions": [{ "type": "Ready", "status": ready }] },
    }))
}

/// The pod of a node, on a machine.
pub fn pod_on(node: i32, machine: &str, host_ip: &str) -> Pod {
    from(json!({
        "metadata": { "labels": { "apps.kubernetes.io/pod-index": node.to_string() } },
        "spec": { "nodeName": machine, "containers": [] },
        "status": { "hostIP": host_ip },
    }))
}

/// A value of any type, from its JSON.
pub fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a value of this type")
}
