//! The names of objects, all of which follow from the cluster, the pool, the listener and the node id.

/// The one pool that every cluster has.
pub const POOL: &str = "kafka";
/// The container of a node.
pub const CONTAINER: &str = "kafka";
/// The volume and the claim template of a node's data.
pub const DATA: &str = "data";
/// The longest name of a cluster: `<cluster>-kafka-<listener of 11>-bootstrap` has to fit into the 63 letters of a label.
pub const MAX_CLUSTER_NAME: usize = 35;

/// Why a cluster cannot have this name, with the way out.
pub fn problem(cluster: &str) -> Option<String> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = (1..=MAX_CLUSTER_NAME).contains(&cluster.len())
        && cluster.bytes().all(legal)
        && cluster.starts_with(|c: char| c.is_ascii_lowercase())
        && !cluster.ends_with('-');
    (!fits).then(|| {
        format!(
            "{cluster:?} cannot name the Services of a cluster: use up to {MAX_CLUSTER_NAME} lower-case letters, digits \
             and '-', of which the first is a letter and the last is no '-'"
        )
    })
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_service_can_have_are_refused() {
        let long = "a".repeat(MAX_CLUSTER_NAME + 1);
        for name in ["", "-a", "a-", "A", "a.b", "1a", "a_b", long.as_str()] {
            assert!(problem(name).is_some(), "{name}");
        }
        let longest = "a".repeat(MAX_CLUSTER_NAME);
        for name in ["a", "quickstart", "a-1", longest.as_str()] {
            assert_eq!(problem(name), None, "{name}");
        }
    }
}
