//! The names of objects, all of which follow from the cluster, the pool, the listener and the node id. Admission and the
//! planner see to it that they are legal and no two clusters of a namespace share one.

/// The one pool that every cluster has.
pub const POOL: &str = "kafka";
/// The container of a node.
pub const CONTAINER: &str = "kafka";
/// The volume and the claim template of a node's data.
pub const DATA: &str = "data";

/// The StatefulSet, and what else there is one of for a pool.
pub fn pool(cluster: &str) -> String {
    format!("{cluster}-{POOL}")
}

/// The pod of a node.
pub fn pod(cluster: &str, node: i32) -> String {
    format!("{cluster}-{POOL}-{node}")
}

/// The claim of a node.
pub fn claim(cluster: &str, node: i32) -> String {
    format!("{DATA}-{cluster}-{POOL}-{node}")
}

/// The ConfigMap with this content.
pub fn config_map(cluster: &str, hash: &str) -> String {
    format!("{cluster}-{POOL}-{hash}")
}

/// The headless Service, which gives each pod a name.
pub fn headless(cluster: &str) -> String {
    format!("{cluster}-{POOL}-brokers")
}

/// The Service in front of all brokers, within Kubernetes.
pub fn bootstrap(cluster: &str) -> String {
    format!("{cluster}-{POOL}-bootstrap")
}

/// The Service in front of all brokers for an external listener.
pub fn external_bootstrap(cluster: &str, listener: &str) -> String {
    format!("{cluster}-{POOL}-{listener}-bootstrap")
}

/// The Service of one broker for an external listener.
pub fn external_broker(cluster: &str, listener: &str, node: i32) -> String {
    format!("{cluster}-{POOL}-{listener}-{node}")
}

/// The host name of a node within Kubernetes, which stays the same wherever its pod runs.
pub fn host(cluster: &str, namespace: &str, node: i32) -> String {
    format!("{}.{}.{namespace}.svc", pod(cluster, node), headless(cluster))
}

/// The host name of the bootstrap Service within Kubernetes.
pub fn bootstrap_host(cluster: &str, namespace: &str) -> String {
    format!("{}.{namespace}.svc", bootstrap(cluster))
}

/// The name of a listener's port; a listener may be called `http`.
pub fn port(listener: &str) -> String {
    format!("tcp-{listener}")
}

/// The key of a node's properties in the ConfigMap, which is the name of its file as well.
pub fn properties_key(node: i32) -> String {
    format!("node-{node}.properties")
}
