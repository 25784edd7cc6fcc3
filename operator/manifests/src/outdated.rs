//! What of a live pod differs from what is wanted of it. Pods carry hashes of what they were asked to be, and those are
//! compared: what a server or a webhook adds to a pod never makes it outdated, and neither does another version of
//! the operator, unless it says so with [`REVISION`].

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;

use crate::cluster::Cluster;
use crate::hash;

/// The annotation of pods that holds the hashes.
pub const WORKLOAD_HASH: &str = "klamm.dev/workload-hash";
/// What all pods have in common apart from what the resource says. A change here restarts every broker of every
/// cluster, so it is raised only when running pods have to be replaced.
pub const REVISION: u32 = 1;

/// The hashes of what the cluster's pods should be, as they stand in the annotation.
pub fn workload_hash(cluster: &Cluster) -> String {
    let parts = parts(cluster).map(|(part, hash)| format!("{part}={hash}"));
    parts.join(" ")
}

/// What of a live pod differs: `image`, `resources`, `template`, `revision`. Properties are not among them, as they
/// are in the ConfigMap that the pod mounts.
pub fn outdated(pod: &Pod, cluster: &Cluster) -> BTreeSet<String> {
    let annotation = pod.metadata.annotations.as_ref().and_then(|all| all.get(WORKLOAD_HASH));
    let found: BTreeSet<&str> = annotation.map(|text| text.split(' ').collect()).unwrap_or_default();
    let differs = |(part, hash): &(&str, String)| !found.contains(format!("{part}={hash}").as_str());
    parts(cluster).into_iter().filter(differs).map(|(part, _)| part.to_owned()).collect()
}

fn parts(cluster: &Cluster) -> [(&'static str, String); 4] {
    let template = &cluster.template;
    let metadata = (&template.labels, &template.annotations);
    let placement = (&template.affinity, &template.tolerations, &template.node_selector);
    let further =
        (&template.topology_spread, &template.priority_class, &template.pull_secrets, template.grace_seconds);
    [
        ("image", hash::of(&cluster.image)),
        ("resources", hash::of(&cluster.resources)),
        ("template", hash::of(&(metadata, placement, further, &cluster.rack_label))),
        ("revision", hash::of(&REVISION)),
    ]
}
