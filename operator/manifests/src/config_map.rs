//! The properties of all nodes in one ConfigMap, which is named after its content and never changes. So the properties
//! that a pod runs with are those of the ConfigMap that it mounts.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodSpec};
use klamm_operator_plan::observed::Properties;

use crate::cluster::Cluster;
use crate::{hash, labels, names, properties};

/// The volume that mounts it.
pub const VOLUME: &str = "config";

/// The ConfigMap that holds these properties.
pub fn config_map(cluster: &Cluster, nodes: &BTreeMap<i32, Properties>) -> ConfigMap {
    let data: BTreeMap<String, String> = nodes
        .iter()
        .map(|(node, properties)| (names::properties_key(*node), properties::text(properties)))
        .collect();
    ConfigMap {
        metadata: labels::metadata(cluster, names::config_map(&cluster.name, &hash::of(&data))),
        data: Some(data),
        immutable: Some(true),
        binary_data: None,
    }
}

/// The properties that a ConfigMap holds, by node.
pub fn properties_of(map: &ConfigMap) -> BTreeMap<i32, Properties> {
    let node = |key: &str| key.strip_prefix("node-")?.strip_suffix(".properties")?.parse().ok();
    let entries = map.data.iter().flatten();
    entries.filter_map(|(key, text)| Some((node(key)?, properties::parse(text)))).collect()
}

/// The name of the ConfigMap that a live pod mounts.
pub fn mounted_by(pod: &Pod) -> Option<&str> {
    named_in(pod.spec.as_ref()?)
}

/// The name of the ConfigMap that the next pods of a StatefulSet mount.
pub fn stored_in(set: &StatefulSet) -> Option<&str> {
    named_in(set.spec.as_ref()?.template.spec.as_ref()?)
}

/// The names of those ConfigMaps that no pod mounts and no StatefulSet will mount.
pub fn unused<'a>(
    maps: impl IntoIterator<Item = &'a ConfigMap>,
    pods: impl IntoIterator<Item = &'a Pod>,
    sets: impl IntoIterator<Item = &'a StatefulSet>,
) -> Vec<&'a str> {
    let mounted = pods.into_iter().filter_map(mounted_by);
    let used: BTreeSet<&str> = mounted.chain(sets.into_iter().filter_map(stored_in)).collect();
    let names = maps.into_iter().filter_map(|map| map.metadata.name.as_deref());
    names.filter(|name| !used.contains(name)).collect()
}

fn named_in(spec: &PodSpec) -> Option<&str> {
    let volume = spec.volumes.as_ref()?.iter().find(|volume| volume.name == VOLUME)?;
    Some(&volume.config_map.as_ref()?.name)
}
