//! Everything that takes something away, and nothing else does. Each step needs proofs that only a fresh answer can
//! make, and names the very version of the object that the proof was about; so a stale cache, a second operator or a
//! step that is repeated can at worst be refused.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service};
use klamm_operator_api::topic::DeletionPolicy;
use klamm_operator_api::{CLUSTER_LABEL, KafkaTopic};
use klamm_operator_manifests::{config_map, labels};
use klamm_operator_plan::observed::{HostPort, NodeState, Serving};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};

use super::api::{ApiError, bounded, namespaced};
use super::brokers::{Brokers, Results};
use super::gather::is_observed;
use super::key::Key;
use super::pods;
use crate::admin::AdminError;
use crate::admin::disruptions::Granted;

/// Why a step was not taken. All of it passes by itself.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// Kubernetes did not answer, or refused.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The brokers did not answer, or refused.
    #[error(transparent)]
    Brokers(#[from] AdminError),
    /// What is there is not what was known of it.
    #[error("{0}")]
    Changed(String),
}

/// That a node serves nobody and no controller is there that could be asked, as a fresh list of all pods has shown.
#[derive(Debug)]
pub struct ServesNobody {
    node: i32,
}

impl ServesNobody {
    /// Looks at every pod of the StatefulSet, uncached, and judges as the planner did who `known` was serving.
    ///
    /// # Errors
    /// If the node is ready, or a controller may be there, or Kubernetes does not answer.
    pub async fn confirm(
        client: &Client,
        cluster: &Key,
        set: &StatefulSet,
        known: Serving,
        node: i32,
    ) -> Result<Self, Denied> {
        let pods = pods_of(client, cluster).await?;
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        // Others may carry the label of the cluster as well; they are no nodes of it.
        let nodes = pods.iter().filter(|pod| pods::is_owned_by(pod, uid));
        let ready = nodes.filter(|pod| pods::state(pod) == NodeState::Ready).filter_map(labels::node_of);
        let serving = Serving { ready: ready.collect(), ..known };
        match serving.may_go_unasked(node) {
            true => Ok(Self { node }),
            false if serving.ready.contains(&node) => Err(Denied::Changed(format!("node {node} is ready"))),
            false => Err(Denied::Changed("there are controllers that can be asked".into())),
        }
    }
}

/// Why a node may be taken away.
#[derive(Debug)]
pub enum Consent {
    /// The controller said so.
    Granted(Granted),
    /// There is nothing to lose.
    ServesNobody(ServesNobody),
}

impl Consent {
    fn node(&self) -> i32 {
        match self {
            Self::Granted(granted) => granted.node(),
            Self::ServesNobody(nobody) => nobody.node,
        }
    }
}

/// Deletes the pod of a node, which its StatefulSet makes anew. `set` and `pod` are what the decision was made on: if
/// either is not the same any more, nothing happens.
///
/// # Errors
/// If something has changed, or Kubernetes refuses.
pub async fn restart(
    client: &Client,
    set: &StatefulSet,
    pod: &Pod,
    consent: Consent,
) -> Result<Option<Pod>, Denied> {
    let (name, key) = (pod.name_any(), Key::of(set));
    if labels::node_of(pod) != Some(consent.node()) {
        return Err(Denied::Changed(format!("pod {name} is not node {}", consent.node())));
    }
    let sets = namespaced::<StatefulSet>(client, &key.namespace);
    let now = bounded(format!("get StatefulSet {key}"), sets.get(&key.name)).await?;
    let same = now.metadata.uid == set.metadata.uid && now.metadata.generation == set.metadata.generation;
    if !same || !is_observed(&now) {
        return Err(Denied::Changed(format!("StatefulSet {} is being changed", key.name)));
    }
    let pods = namespaced::<Pod>(client, &key.namespace);
    let now = bounded(format!("get Pod {name}"), pods.get(&name)).await?;
    let owned = set.metadata.uid.as_deref().is_some_and(|uid| pods::is_owned_by(&now, uid));
    if !owned || now.metadata.uid != pod.metadata.uid || now.metadata.deletion_timestamp.is_some() {
        return Err(Denied::Changed(format!("pod {name} is another one by now")));
    }
    let parameters = exactly(&now);
    let gone = bounded(format!("delete Pod {name}"), pods.delete(&name, &parameters)).await?;
    Ok(gone.left())
}

/// Deletes ConfigMaps that nothing mounts, by a fresh look at everything that could.
///
/// # Errors
/// If Kubernetes refuses or does not answer.
pub async fn remove_config_maps(
    client: &Client,
    cluster: &Key,
    set: &StatefulSet,
    candidates: &[&ConfigMap],
) -> Result<usize, Denied> {
    let sets = namespaced::<StatefulSet>(client, &cluster.namespace);
    let set = bounded("get StatefulSet", sets.get(&set.name_any())).await?;
    let pods = pods_of(client, cluster).await?;
    let unused = config_map::unused(candidates.iter().copied(), &pods, [&set]);
    let mut removed = 0;
    for map in candidates.iter().filter(|map| unused.contains(&map.name_any().as_str())) {
        remove(client, *map).await?;
        removed += 1;
    }
    Ok(removed)
}

/// Deletes the Service of a listener that is not asked for any more.
///
/// # Errors
/// If Kubernetes refuses or does not answer.
pub async fn remove_service(client: &Client, service: &Service) -> Result<(), Denied> {
    remove(client, service).await
}

/// Lets a claim go with its cluster, or keeps it from doing so. `patch` is what `claims::ownership` says.
///
/// # Errors
/// If the claim has changed, or Kubernetes refuses.
pub async fn change_owners(
    client: &Client,
    claim: &PersistentVolumeClaim,
    mut patch: Value,
) -> Result<PersistentVolumeClaim, Denied> {
    // The list of owners is replaced as a whole, so it has to be the one that was read.
    patch["metadata"]["resourceVersion"] = json!(claim.metadata.resource_version);
    patch["metadata"]["uid"] = json!(claim.metadata.uid);
    let (key, parameters) = (Key::of(claim), PatchParams::default());
    let api = namespaced::<PersistentVolumeClaim>(client, &key.namespace);
    let what = format!("patch PersistentVolumeClaim {key}");
    Ok(bounded(what, api.patch(&key.name, &parameters, &Patch::Merge(patch))).await?)
}

/// The wish of a person that a topic be deleted: a resource that is being deleted, says so itself, and was read just now.
#[derive(Debug)]
pub struct Doomed {
    topic: String,
}

impl Doomed {
    /// Reads the resource, uncached.
    ///
    /// # Errors
    /// If it is not being deleted or does not ask for the deletion of its topic.
    pub async fn confirm(client: &Client, resource: &KafkaTopic) -> Result<Self, Denied> {
        let key = Key::of(resource);
        let api = namespaced::<KafkaTopic>(client, &key.namespace);
        let now = bounded(format!("get KafkaTopic {key}"), api.get(&key.name)).await?;
        let asked = now.deletion_policy() == DeletionPolicy::Delete;
        let same = now.metadata.uid == resource.metadata.uid && now.topic_name() == resource.topic_name();
        if !same || !asked || now.metadata.deletion_timestamp.is_none() {
            return Err(Denied::Changed(format!("KafkaTopic {key} does not ask for a deletion any more")));
        }
        Ok(Self { topic: now.topic_name().to_owned() })
    }
}

/// Deletes topics and their records.
///
/// # Errors
/// If no broker answers.
pub async fn delete_topics(
    brokers: &mut dyn Brokers,
    at: &[HostPort],
    doomed: Vec<Doomed>,
) -> Result<Results, Denied> {
    let names: BTreeSet<String> = doomed.into_iter().map(|doomed| doomed.topic).collect();
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names: Vec<String> = names.into_iter().collect();
    Ok(brokers.delete_topics(at, &names).await?)
}

async fn pods_of(client: &Client, cluster: &Key) -> Result<Vec<Pod>, ApiError> {
    let api = namespaced::<Pod>(client, &cluster.namespace);
    let ours = ListParams::default().labels(&format!("{CLUSTER_LABEL}={}", cluster.name));
    Ok(bounded(format!("list Pods of {cluster}"), api.list(&ours)).await?.items)
}

async fn remove<K>(client: &Client, object: &K) -> Result<(), Denied>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let key = Key::of(object);
    let api = namespaced::<K>(client, &key.namespace);
    let what = format!("delete {} {key}", K::kind(&()));
    match bounded(what, api.delete(&key.name, &exactly(object))).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_missing() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Only this object, and only as it is.
fn exactly(object: &impl Resource) -> DeleteParams {
    let meta = object.meta();
    let preconditions =
        Preconditions { uid: meta.uid.clone(), resource_version: meta.resource_version.clone() };
    DeleteParams::default().preconditions(preconditions)
}
