//! Labels and annotations: what everything carries, and what selectors look for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use klamm_operator_api::{API_VERSION, CLUSTER_LABEL};

use crate::cluster::Cluster;
use crate::names;

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// Who made it; the field manager of server-side apply as well.
pub const MANAGER: &str = "klamm-operator";
/// The label that names the pool.
pub const POOL_LABEL: &str = "klamm.dev/pool";
/// The label that StatefulSets put on a pod to say its number, which is the node id.
pub const POD_INDEX: &str = "apps.kubernetes.io/pod-index";
/// The label that StatefulSets put on a pod to say its name.
pub const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";

/// Labels of every object of the cluster.
pub fn all(cluster: &Cluster) -> Labels {
    labels([
        ("app.kubernetes.io/name", "klamm"),
        ("app.kubernetes.io/instance", &cluster.name),
        ("app.kubernetes.io/component", "kafka"),
        ("app.kubernetes.io/managed-by", MANAGER),
        (CLUSTER_LABEL, &cluster.name),
        (POOL_LABEL, names::POOL),
    ])
}

/// Labels that the pods of the cluster have, and nobody else's. They never change, as a StatefulSet's selector cannot.
pub fn selector(cluster: &Cluster) -> Labels {
    labels([(CLUSTER_LABEL, &cluster.name), (POOL_LABEL, names::POOL)])
}

/// The selector as an object.
pub fn label_selector(cluster: &Cluster) -> LabelSelector {
    LabelSelector { match_labels: Some(selector(cluster)), ..LabelSelector::default() }
}

/// The metadata of an object of the cluster: labels, and the resource as the owner that takes it along when deleted.
pub fn metadata(cluster: &Cluster, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(all(cluster)),
        owner_references: Some(vec![owner(cluster)]),
        ..ObjectMeta::default()
    }
}

/// The reference to the resource.
pub fn owner(cluster: &Cluster) -> OwnerReference {
    OwnerReference {
        api_version: API_VERSION.into(),
        kind: "KafkaCluster".into(),
        name: cluster.name.clone(),
        uid: cluster.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The node that a live pod is, by the label that its StatefulSet gave it.
pub fn node_of(pod: &Pod) -> Option<i32> {
    pod.metadata.labels.as_ref()?.get(POD_INDEX)?.parse().ok()
}

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}
