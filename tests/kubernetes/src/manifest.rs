//! The resources that scenarios apply, as JSON to change at will before it is applied.

use serde_json::{Value, json};

/// What makes a namespace refuse every pod that asks for more than it needs.
pub const RESTRICTED: (&str, &str) = ("pod-security.kubernetes.io/enforce", "restricted");
/// The name of the internal listener.
pub const INTERNAL: &str = "plain";
/// The name of the external listener.
pub const EXTERNAL: &str = "external";

/// A cluster with an internal listener on 9092.
pub fn cluster(name: &str, replicas: u32) -> Value {
    let replication = replicas.min(3);
    json!({
        "apiVersion": "klamm.dev/v1alpha1",
        "kind": "KafkaCluster",
        "metadata": { "name": name },
        "spec": { "kafka": {
            "replicas": replicas,
            "controllers": if replicas < 3 { 1 } else { 3 },
            "listeners": [{ "name": INTERNAL, "port": 9092, "type": "internal" }],
            "storage": { "type": "persistent-claim", "size": "1Gi" },
            "config": {
                "auto.create.topics.enable": false,
                "default.replication.factor": replication,
                "offsets.topic.replication.factor": replication,
                "min.insync.replicas": replication.min(2),
            },
        } },
    })
}

/// A cluster that can also be reached on the addresses of the nodes.
pub fn reachable_cluster(name: &str, replicas: u32) -> Value {
    let mut cluster = cluster(name, replicas);
    if let Some(listeners) = cluster["spec"]["kafka"]["listeners"].as_array_mut() {
        listeners.push(json!({ "name": EXTERNAL, "port": 9094, "type": "nodeport" }));
    }
    cluster
}

/// A topic with the cluster's replication factor.
pub fn topic(name: &str, cluster: &str, partitions: u32) -> Value {
    json!({
        "apiVersion": "klamm.dev/v1alpha1",
        "kind": "KafkaTopic",
        "metadata": { "name": name, "labels": { "klamm.dev/cluster": cluster } },
        "spec": { "partitions": partitions },
    })
}

/// The pod that the suite's clients run in: kcat and a shell, as restricted as a pod can be.
pub fn client_pod(image: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "client", "labels": { "app": "client" } },
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "client",
                "image": image,
                "imagePullPolicy": "Never",
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    })
}
