//! Everything that watches have shown, one table a kind, and what belongs to a cluster.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use klamm_operator_api::{CLUSTER_LABEL, KafkaCluster, KafkaTopic};
use kube::core::DeserializeGuard;
use kube::{Resource, ResourceExt};

use super::key::Key;
use super::table::Table;

/// A resource as people write it, which may not be one.
pub type Written<K> = DeserializeGuard<K>;

/// One table a kind.
#[derive(Debug, Default)]
pub struct Cache {
    /// The clusters.
    pub clusters: Table<Written<KafkaCluster>>,
    /// The topics.
    pub topics: Table<Written<KafkaTopic>>,
    /// What runs nodes.
    pub sets: Table<StatefulSet>,
    /// The nodes.
    pub pods: Table<Pod>,
    /// Their disks.
    pub claims: Table<PersistentVolumeClaim>,
    /// Their properties.
    pub config_maps: Table<ConfigMap>,
    /// Where they are reached.
    pub services: Table<Service>,
    /// Who may reach them.
    pub policies: Table<NetworkPolicy>,
    /// How many of them may be evicted.
    pub budgets: Table<PodDisruptionBudget>,
    /// As whom they run.
    pub accounts: Table<ServiceAccount>,
    /// The machines of Kubernetes. They are watched only once a listener needs their addresses, and where that is allowed.
    pub machines: Table<Node>,
}

impl Cache {
    /// Whether every kind was listed completely in a namespace. Until then absence means nothing.
    pub fn is_synced(&self, namespace: &str) -> bool {
        self.clusters.is_synced(namespace)
            && self.topics.is_synced(namespace)
            && self.sets.is_synced(namespace)
            && self.pods.is_synced(namespace)
            && self.claims.is_synced(namespace)
            && self.config_maps.is_synced(namespace)
            && self.services.is_synced(namespace)
            && self.policies.is_synced(namespace)
            && self.budgets.is_synced(namespace)
            && self.accounts.is_synced(namespace)
    }

    /// The machines of Kubernetes, if they may be looked at.
    pub fn machines(&self) -> Option<Vec<Node>> {
        self.machines.is_synced("").then(|| self.machines.all().map(|node| (**node).clone()).collect())
    }

    /// The topics that refer to a cluster, and those that could not be read and carry its label.
    pub fn topics_of(&self, cluster: &Key) -> Vec<Arc<Written<KafkaTopic>>> {
        let ours = |topic: &&Arc<Written<KafkaTopic>>| cluster_of_topic(topic).as_ref() == Some(cluster);
        self.topics.of_namespace(&cluster.namespace).filter(ours).cloned().collect()
    }
}

/// The objects of a table that carry the label of a cluster.
pub fn labelled<K: Resource>(table: &Table<K>, cluster: &Key) -> Vec<Arc<K>> {
    let ours = |object: &&Arc<K>| cluster_of_label(&***object).as_ref() == Some(cluster);
    table.of_namespace(&cluster.namespace).filter(ours).cloned().collect()
}

/// The cluster that the label of an object names.
pub fn cluster_of_label(object: &impl Resource) -> Option<Key> {
    let name = object.meta().labels.as_ref()?.get(CLUSTER_LABEL)?;
    Some(Key::of(object).beside(name))
}

/// The cluster that a topic belongs to. A topic that names none belongs to the cluster without a name, so that it gets
/// its condition as well.
pub fn cluster_of_topic(topic: &Written<KafkaTopic>) -> Option<Key> {
    match &topic.0 {
        Ok(topic) => Some(Key::of(topic).beside(topic.cluster_name().unwrap_or_default())),
        Err(_) => cluster_of_label(topic),
    }
}

/// Drops what nobody here reads.
pub fn strip(object: &mut impl Resource) {
    object.managed_fields_mut().clear();
    if let Some(annotations) = &mut object.meta_mut().annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}
