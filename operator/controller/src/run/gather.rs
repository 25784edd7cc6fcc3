//! Gathers what is there: from the cache, and from what the brokers said last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolumeClaim, Pod, Service};
use klamm_operator_api::KafkaCluster;
use klamm_operator_manifests::{
    Cluster, Founding, Places, Surroundings, config_map, labels, names, outdated, places,
};
use klamm_operator_plan::desired::{DesiredCluster, Roles};
use klamm_operator_plan::observed::{HostPort, NodeState, ObservedNode, Properties};

use super::cache::{Cache, labelled};
use super::key::Key;
use super::pods;

/// What Kubernetes says of a cluster.
#[derive(Debug, Default)]
pub struct Gathered {
    /// What runs the nodes.
    pub set: Option<Arc<StatefulSet>>,
    /// Whether a watch has shown the set as it was written last, and its controller has seen it.
    pub set_is_settled: bool,
    /// The live pods by node id.
    pub pods: BTreeMap<i32, Arc<Pod>>,
    /// The claims by node id.
    pub claims: BTreeMap<i32, Arc<PersistentVolumeClaim>>,
    /// The ConfigMaps.
    pub config_maps: Vec<Arc<ConfigMap>>,
    /// The Services.
    pub services: Vec<Service>,
    /// The machines of Kubernetes, if they may be looked at.
    pub machines: Option<Vec<Node>>,
    /// What the cluster was founded with.
    pub founding: Option<Founding>,
    /// The properties that nodes start with next.
    pub stored: BTreeMap<i32, Properties>,
}

impl Gathered {
    /// Everything that belongs to a cluster.
    pub fn of(cache: &Cache, key: &Key, resource: &KafkaCluster) -> Self {
        let row = cache.sets.get(&key.beside(names::pool(&key.name)));
        let set = row.map(|row| row.object.clone());
        let set_is_settled = row.is_some_and(|row| row.confirmed && is_observed(&row.object));
        let claims = claims_by_node(&labelled(&cache.claims, key), key);
        let config_maps = labelled(&cache.config_maps, key);
        let stored =
            set.as_deref().and_then(config_map::stored_in).and_then(|name| named(&config_maps, name));
        let stored = stored.map(config_map::properties_of).unwrap_or_default();
        Self {
            pods: pods_by_node(&labelled(&cache.pods, key), set.as_deref(), key),
            founding: founding(resource, claims.values()),
            services: labelled(&cache.services, key).iter().map(|service| (**service).clone()).collect(),
            machines: cache.machines(),
            set,
            set_is_settled,
            claims,
            config_maps,
            stored,
        }
    }

    /// The ids of every node that was ever created, as far as anything is left of it.
    pub fn ids(&self) -> BTreeSet<i32> {
        let spec = self.set.as_ref().and_then(|set| set.spec.as_ref());
        let first = spec.and_then(|spec| spec.ordinals.as_ref()?.start).unwrap_or(0);
        let count = spec.and_then(|spec| spec.replicas).unwrap_or(0);
        let of_set = first..first.saturating_add(count);
        of_set.chain(self.pods.keys().copied()).chain(self.claims.keys().copied()).collect()
    }

    /// Where nodes are reached: those that exist and those that are wanted.
    pub fn places(&self, cluster: &Cluster, desired: &DesiredCluster) -> Places {
        let ids = self.ids().into_iter().chain(desired.nodes.keys().copied()).collect();
        let pods = self.pod_values();
        places(cluster, &ids, self.surroundings(&pods))
    }

    /// What addresses are found in.
    pub fn surroundings<'a>(&'a self, pods: &'a [Pod]) -> Surroundings<'a> {
        let machines = self.machines.as_deref();
        Surroundings { services: &self.services, pods, machines, stored: Some(&self.stored) }
    }

    /// The pods themselves.
    pub fn pod_values(&self) -> Vec<Pod> {
        self.pods.values().map(|pod| (**pod).clone()).collect()
    }

    /// Every node that was ever created.
    pub fn nodes(&self, cluster: &Cluster) -> BTreeMap<i32, ObservedNode> {
        self.ids().into_iter().map(|id| (id, self.node(cluster, id))).collect()
    }

    fn node(&self, cluster: &Cluster, id: i32) -> ObservedNode {
        let pod = self.pods.get(&id);
        let voter = self.founding.as_ref().is_some_and(|founding| founding.voters.contains(&id));
        let in_set = self.in_set(id);
        // What is there without a pod gets one from the StatefulSet, if there is one.
        let absent = if in_set { NodeState::Starting } else { NodeState::Stopped };
        ObservedNode {
            roles: Roles { broker: true, controller: voter },
            stored: self.stored.get(&id).cloned().unwrap_or_default(),
            running: pod.map(|pod| self.running(pod, id)),
            state: pod.map_or(absent, |pod| pods::state(pod)),
            outdated: pod.map(|pod| outdated::outdated(pod, cluster)).unwrap_or_default(),
        }
    }

    /// The properties that a pod runs with: of the ConfigMap that it mounts. If that is gone, nothing of it is certain.
    fn running(&self, pod: &Pod, id: i32) -> Properties {
        let mounted = config_map::mounted_by(pod).and_then(|name| named(&self.config_maps, name));
        mounted.and_then(|map| config_map::properties_of(map).remove(&id)).unwrap_or_default()
    }

    fn in_set(&self, id: i32) -> bool {
        let Some(spec) = self.set.as_ref().and_then(|set| set.spec.as_ref()) else { return false };
        let first = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
        (first..first.saturating_add(spec.replicas.unwrap_or(0))).contains(&id)
    }

    /// Where brokers can be asked now: the addresses of the pods that are ready, on the first listener.
    pub fn reachable(&self, cluster: &Cluster) -> Vec<HostPort> {
        let Some(listener) = cluster.listeners.first() else { return Vec::new() };
        let ready = self.pods.values().filter(|pod| pods::state(pod) == NodeState::Ready);
        ready
            .filter_map(|pod| Some(HostPort { host: pods::ip(pod)?.to_owned(), port: listener.port }))
            .collect()
    }
}

/// Whether the controller of StatefulSets has seen what was written last.
pub fn is_observed(set: &StatefulSet) -> bool {
    let observed = set.status.as_ref().and_then(|status| status.observed_generation);
    observed.is_some() && observed == set.metadata.generation
}

/// What a cluster was founded with: its status says it, else its claims.
pub fn founding<'a>(
    resource: &KafkaCluster,
    claims: impl IntoIterator<Item = &'a Arc<PersistentVolumeClaim>>,
) -> Option<Founding> {
    let of_status = || {
        let status = resource.status.as_ref()?;
        let voters = status.quorum.as_ref()?.voters.iter().copied().collect();
        Some(Founding { cluster_id: status.cluster_id.clone()?, voters })
    };
    let annotated =
        |claim: &Arc<PersistentVolumeClaim>| Founding::from_annotations(claim.metadata.annotations.as_ref()?);
    of_status().or_else(|| claims.into_iter().find_map(annotated))
}

/// The live pods by the number that their StatefulSet gave them. Only pods of the set count, and of a set of that name
/// while there is none: labels alone can be on anything.
fn pods_by_node(pods: &[Arc<Pod>], set: Option<&StatefulSet>, key: &Key) -> BTreeMap<i32, Arc<Pod>> {
    let name = names::pool(&key.name);
    let uid = set.and_then(|set| set.metadata.uid.as_deref());
    let ours = |pod: &&Arc<Pod>| match uid {
        Some(uid) => pods::is_owned_by(pod, uid),
        None => {
            let mut owners = pod.metadata.owner_references.iter().flatten();
            owners.all(|owner| owner.kind == "StatefulSet" && owner.name == name)
        }
    };
    pods.iter().filter(ours).filter_map(|pod| Some((labels::node_of(pod)?, pod.clone()))).collect()
}

fn claims_by_node(
    claims: &[Arc<PersistentVolumeClaim>],
    key: &Key,
) -> BTreeMap<i32, Arc<PersistentVolumeClaim>> {
    let first = names::claim(&key.name, 0);
    let prefix = first.trim_end_matches('0');
    let node = |claim: &Arc<PersistentVolumeClaim>| {
        claim.metadata.name.as_deref()?.strip_prefix(prefix)?.parse::<i32>().ok()
    };
    claims.iter().filter_map(|claim| Some((node(claim)?, claim.clone()))).collect()
}

fn named<'a>(maps: &'a [Arc<ConfigMap>], name: &str) -> Option<&'a ConfigMap> {
    maps.iter().find(|map| map.metadata.name.as_deref() == Some(name)).map(|map| &**map)
}
