//! `leader.replication.throttled.replicas` and `follower.replication.throttled.replicas`: which replicas are throttled.

use std::collections::BTreeSet;

use klamm_metadata::config::list_elements;

/// A topic's list of replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::partition) enum ThrottledReplicas {
    /// No replica.
    #[default]
    None,
    /// `*`: every replica.
    All,
    /// These pairs of partition and broker.
    Some(BTreeSet<(i32, i32)>),
}

impl ThrottledReplicas {
    /// From the value of a topic's key: `*`, or `partition:broker` separated by commas. Anything else is left out; the
    /// controller has refused it.
    pub(in crate::partition) fn parse(value: &str) -> Self {
        if value.trim() == "*" {
            return Self::All;
        }
        let pair = |element: &str| {
            let (partition, broker) = element.split_once(':')?;
            Some((partition.trim().parse().ok()?, broker.trim().parse().ok()?))
        };
        let pairs: BTreeSet<_> = list_elements(value).filter_map(pair).collect();
        if pairs.is_empty() { Self::None } else { Self::Some(pairs) }
    }

    /// Whether the replica of a partition on a broker is in the list.
    pub(in crate::partition) fn contains(&self, partition: i32, broker: i32) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(pairs) => pairs.contains(&(partition, broker)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_replicas_by_partition_and_broker() {
        let list = ThrottledReplicas::parse("0:1, 12:101");
        assert!(list.contains(0, 1) && list.contains(12, 101));
        assert!(!list.contains(1, 0) && !list.contains(0, 101));
        assert!(ThrottledReplicas::parse("*").contains(7, 7));
        for nothing in ["", " ", "1", "a:b"] {
            assert_eq!(ThrottledReplicas::parse(nothing), ThrottledReplicas::None);
        }
    }
}
