//! What the absence of a node would hurt, judged by what the cluster says of its partitions.

use std::collections::BTreeMap;

use crate::observed::ObservedTopic;

/// The partitions that forbid taking `node` away now, each with what it lacks; empty if it may go. A partition with a
/// copy on the node must have a leader and every copy in sync, so that nothing is lost if another node fails as well.
pub fn blockers(node: i32, topics: &BTreeMap<String, ObservedTopic>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, topic) in topics {
        for (index, partition) in topic.partitions.iter().enumerate() {
            if !partition.replicas.contains(&node) {
                continue;
            }
            if partition.leader.is_none() {
                found.push(format!("{name}-{index} has no leader"));
            } else if partition.isr.len() < partition.replicas.len() {
                let (isr, all) = (partition.isr.len(), partition.replicas.len());
                found.push(format!("{name}-{index} has {isr} of {all} replicas in sync"));
            }
        }
    }
    found
}

/// The blockers as part of a sentence, the first few by name.
pub fn summary(blockers: &[String]) -> String {
    const NAMED: usize = 5;
    let named = blockers.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match blockers.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::ObservedPartition;

    fn one(partition: ObservedPartition) -> BTreeMap<String, ObservedTopic> {
        let topic = ObservedTopic { partitions: vec![partition], ..ObservedTopic::default() };
        BTreeMap::from([("orders".to_owned(), topic)])
    }

    #[test]
    fn a_partition_out_of_sync_blocks_its_replicas_only() {
        let topics = one(ObservedPartition { replicas: vec![0, 1], isr: vec![0], leader: Some(0) });
        assert_eq!(blockers(1, &topics), ["orders-0 has 1 of 2 replicas in sync"]);
        assert_eq!(blockers(2, &topics), Vec::<String>::new());
    }

    #[test]
    fn a_partition_without_leader_blocks() {
        let topics = one(ObservedPartition { replicas: vec![0], isr: vec![0], leader: None });
        assert_eq!(blockers(0, &topics), ["orders-0 has no leader"]);
    }
}
