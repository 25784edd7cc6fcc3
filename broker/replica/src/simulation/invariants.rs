//! What must hold after every step of the simulation.

use super::cluster::Cluster;
use super::node::Role;

/// The first invariant that does not hold.
pub(super) fn violation(cluster: &Cluster) -> Option<String> {
    cluster
        .violation
        .clone()
        .or_else(|| isr_holds_committed(cluster))
        .or_else(|| isr_has_deleted(cluster))
        .or_else(|| logs_match(cluster))
}

/// Everything acknowledged is in the log of every in-sync replica that kept its disk.
fn isr_holds_committed(cluster: &Cluster) -> Option<String> {
    let meta = cluster.controller.now();
    let members = meta.isr.iter().chain(&meta.elr).map(|id| &cluster.nodes[*id as usize]);
    members.filter(|node| !node.disk_lost).find_map(|node| {
        let holds = node.log.starts_with(&cluster.committed);
        (!holds).then(|| format!("{} of the ISR or ELR lacks acknowledged records: {meta:?}", node.id))
    })
}

/// What was acknowledged to be deleted is deleted on every replica that may be elected without loss and kept its disk.
fn isr_has_deleted(cluster: &Cluster) -> Option<String> {
    let meta = cluster.controller.now();
    let members = meta.isr.iter().chain(&meta.elr).map(|id| &cluster.nodes[*id as usize]);
    members
        .filter(|node| !node.disk_lost && node.log_start < cluster.deleted)
        .map(|node| format!("{} of the ISR or ELR begins before {}: {meta:?}", node.id, cluster.deleted))
        .next()
}

/// Two logs agree up to the smaller of the high watermarks that their replicas know.
fn logs_match(cluster: &Cluster) -> Option<String> {
    cluster.nodes.iter().find_map(|node| {
        let known = (node.high_watermark.min(node.end()) as usize).min(cluster.committed.len());
        let matches = node.log[..known] == cluster.committed[..known];
        (!matches).then(|| format!("log of {} differs below its high watermark {known}", node.id))
    })
}

/// After the repair: one leader, every replica in the ISR, equal logs, everything committed.
pub(super) fn not_at_rest(cluster: &Cluster) -> Option<String> {
    let meta = cluster.controller.now();
    let Some(leader) = cluster.nodes.iter().find(|node| node.id == meta.leader) else {
        return Some("no leader after the repair".to_owned());
    };
    if !matches!(leader.role, Role::Leader(_)) || meta.isr.len() != cluster.nodes.len() {
        return Some(format!("replicas are missing from the ISR: {meta:?}"));
    }
    if let Some(longer) = cluster.nodes.iter().find(|node| node.log_start < leader.log_start) {
        return Some(format!("{} has not deleted what the leader has after the repair", longer.id));
    }
    let equal = cluster.nodes.iter().all(|n| n.log == leader.log && n.high_watermark == leader.end());
    (!equal).then(|| "logs or high watermarks differ after the repair".to_owned())
}
