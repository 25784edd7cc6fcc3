//! Who holds a partition while a reassignment adds replicas to it and removes others (KIP-455).

use crate::Partition;

/// Replicas of a partition, the preferred leader first.
///
/// While a reassignment is under way the replicas are those that are wanted, followed by those that will go. A replica that
/// an earlier reassignment added and a later one does not want is in both `adding` and `removing` for as long as its log
/// may be needed, so that without `adding` there is always what a cancellation goes back to, and without `removing` what
/// completion arrives at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Assignment {
    pub(super) replicas: Vec<i32>,
    pub(super) adding: Vec<i32>,
    pub(super) removing: Vec<i32>,
}

impl Assignment {
    /// As the partition is.
    pub(super) fn of(partition: &Partition) -> Assignment {
        Assignment {
            replicas: partition.replicas.clone(),
            adding: partition.adding.clone(),
            removing: partition.removing.clone(),
        }
    }

    /// Nothing to add or remove.
    pub(super) fn settled(replicas: Vec<i32>) -> Assignment {
        Assignment { replicas, adding: Vec::new(), removing: Vec::new() }
    }

    /// On the way from what the partition is to `target`. What an earlier reassignment was adding goes at once unless it is
    /// known to hold records.
    pub(super) fn towards(partition: &Partition, target: &[i32]) -> Assignment {
        let original = partition.original_replicas();
        let holds = |id: &i32| {
            [&partition.isr, &partition.elr, &partition.last_known_elr].iter().any(|ids| ids.contains(id))
        };
        let stays = |id: &i32| !target.contains(id) && (original.contains(id) || holds(id));
        let removing: Vec<i32> = partition.replicas.iter().copied().filter(stays).collect();
        let replicas = [target, &removing].concat();
        let adding = replicas.iter().copied().filter(|id| !original.contains(id)).collect();
        Assignment { replicas, adding, removing }
    }

    /// Whether there is something to add or remove.
    pub(super) fn is_under_way(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// The replicas that are wanted, once all of them are in the ISR.
    pub(super) fn completed_by(&self, isr: &[i32]) -> Option<Assignment> {
        let target: Vec<i32> =
            self.replicas.iter().copied().filter(|id| !self.removing.contains(id)).collect();
        (self.is_under_way() && target.iter().all(|id| isr.contains(id))).then(|| Assignment::settled(target))
    }

    /// How many replicas an ISR is measured against: those that a reassignment adds do not count before it is complete.
    pub(super) fn replication_factor(&self) -> usize {
        self.replicas.len().saturating_sub(self.adding.len())
    }

    pub(super) fn contains(&self, id: i32) -> bool {
        self.replicas.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(replicas: &[i32], isr: &[i32], adding: &[i32], removing: &[i32]) -> Partition {
        Partition {
            replicas: replicas.to_vec(),
            isr: isr.to_vec(),
            adding: adding.to_vec(),
            removing: removing.to_vec(),
            ..Partition::default()
        }
    }

    #[test]
    fn wanted_replicas_come_first_and_the_others_stay_until_the_end() {
        let moving = Assignment::towards(&partition(&[1, 2, 3], &[1, 2, 3], &[], &[]), &[3, 4]);
        let expected = Assignment { replicas: vec![3, 4, 1, 2], adding: vec![4], removing: vec![1, 2] };
        assert_eq!(moving, expected);
        assert_eq!(moving.replication_factor(), 3);
        assert_eq!(moving.completed_by(&[1, 2, 3]), None);
        assert_eq!(moving.completed_by(&[1, 3, 4]), Some(Assignment::settled(vec![3, 4])));
    }

    #[test]
    fn another_order_is_no_reassignment() {
        let turned = Assignment::towards(&partition(&[1, 2], &[1], &[], &[]), &[2, 1]);
        assert_eq!(turned, Assignment::settled(vec![2, 1]));
        assert!(!turned.is_under_way());
    }

    #[test]
    fn a_replaced_reassignment_still_knows_where_it_came_from() {
        let moving = partition(&[4, 5, 1, 2], &[1, 2, 4], &[4, 5], &[1, 2]);
        let replaced = Assignment::towards(&moving, &[6, 2]);
        assert_eq!(replaced.replicas, [6, 2, 4, 1], "4 is in sync and stays to the end, 5 goes at once");
        assert_eq!((&replaced.adding, &replaced.removing), (&vec![6, 4], &vec![4, 1]));
        assert_eq!(replaced.completed_by(&[1, 2, 4, 6]), Some(Assignment::settled(vec![6, 2])));
        let replaced = partition(&replaced.replicas, &[1, 2, 4], &replaced.adding, &replaced.removing);
        assert_eq!(replaced.original_replicas(), [2, 1]);
    }
}
