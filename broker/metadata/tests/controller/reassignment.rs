//! Partition reassignment (KIP-455): begun, completed, cancelled, replaced, listed.

use klamm_metadata::controller::{Command, Reply};
use klamm_wire::ErrorCode;
use klamm_wire::messages::alter_partition_reassignments_request as alter;
use klamm_wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use klamm_wire::messages::delete_topics_request::DeleteTopicsRequest;
use klamm_wire::messages::list_partition_reassignments_request as list;

use crate::cluster::{Cluster, code, creatable};

const MIN_ISR_2: [(&str, &str); 1] = [("min.insync.replicas", "2")];

impl Cluster {
    /// Reassigns `t-0`, or cancels; returns the partition's error code.
    pub fn reassign(&mut self, replicas: Option<&[i32]>) -> i16 {
        self.reassign_partition("t", 0, replicas, true)
    }

    pub fn reassign_partition(
        &mut self,
        topic: &'static str,
        index: i32,
        replicas: Option<&[i32]>,
        may_change_factor: bool,
    ) -> i16 {
        let partition = alter::ReassignablePartition {
            partition_index: index,
            replicas: replicas.map(<[i32]>::to_vec),
            ..Default::default()
        };
        let topic = alter::ReassignableTopic {
            name: topic.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = alter::AlterPartitionReassignmentsRequest {
            allow_replication_factor_change: may_change_factor,
            topics: vec![topic],
            ..Default::default()
        };
        match self.run(Command::AlterPartitionReassignments(request)) {
            Reply::AlterPartitionReassignments(reply) => {
                assert_eq!(reply.error_code, 0);
                let answer = &reply.responses[0].partitions[0];
                assert_eq!(answer.error_code == 0, answer.error_message.is_none(), "{answer:?}");
                answer.error_code
            }
            other => panic!("{other:?}"),
        }
    }

    /// Topic, partition and replicas of what is being reassigned.
    fn reassignments(&mut self, asked: Option<&[(&'static str, i32)]>) -> Vec<(String, i32, Vec<i32>)> {
        let topic = |(name, index): &(&'static str, i32)| list::ListPartitionReassignmentsTopics {
            name: (*name).into(),
            partition_indexes: vec![*index],
            ..Default::default()
        };
        let topics = asked.map(|asked| asked.iter().map(topic).collect());
        let request = list::ListPartitionReassignmentsRequest { topics, ..Default::default() };
        let Reply::ListPartitionReassignments(reply) = self.run(Command::ListPartitionReassignments(request))
        else {
            panic!("another reply");
        };
        let topics = reply.topics.into_iter();
        let rows = topics.flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.into_iter().map(move |p| (name.clone(), p.partition_index, p.replicas))
        });
        rows.collect()
    }
}

fn five(replicas: &[i32], configs: &[(&str, &str)]) -> Cluster {
    let mut cluster = Cluster::of(6);
    cluster.topic_on(replicas, configs);
    cluster
}

#[test]
fn a_move_is_complete_when_all_new_replicas_are_in_sync() {
    let mut cluster = five(&[0, 1, 2], &MIN_ISR_2);
    assert_eq!(cluster.reassign(Some(&[3, 4, 2])), 0);
    let moving = cluster.partition();
    assert_eq!(moving.replicas, [3, 4, 2, 0, 1]);
    assert_eq!((&moving.adding, &moving.removing), (&vec![3, 4], &vec![0, 1]));
    assert_eq!((moving.leader, &moving.isr), (0, &vec![0, 1, 2]));
    assert_eq!(cluster.alter_isr(&[0, 1, 2, 3]), 0);
    assert!(cluster.partition().is_reassigning(), "4 is missing");
    let epoch = cluster.partition().leader_epoch;
    let new_leader = code(ErrorCode::NewLeaderElected);
    assert_eq!(cluster.alter_isr(&[0, 1, 2, 3, 4]), new_leader, "the leader was removed");
    let moved = cluster.partition();
    assert_eq!((&moved.replicas, &moved.isr), (&vec![3, 4, 2], &vec![2, 3, 4]));
    assert_eq!((moved.leader, moved.leader_epoch), (3, epoch + 1));
    assert!(moved.adding.is_empty() && moved.removing.is_empty());
}

/// Whoever is removed and comes back has an empty log, and its leader may see both as one change: what it knows of the
/// follower from before must not count (KIP-966).
#[test]
fn a_leader_that_stays_begins_a_new_epoch_when_a_replica_goes() {
    let mut cluster = five(&[0, 1], &[]);
    assert_eq!(cluster.reassign(Some(&[2, 0])), 0);
    assert_eq!(cluster.alter_isr(&[0, 1, 2]), 0);
    let moved = cluster.partition();
    assert_eq!((moved.leader, moved.leader_epoch, &moved.isr), (0, 1, &vec![0, 2]));
    assert_eq!(moved.preferred_leader(), Some(2));
    cluster.advance_to(6_000);
    assert_eq!(cluster.partition().leader, 2, "the first of the new list is preferred");
}

#[test]
fn what_needs_no_new_replica_is_done_at_once() {
    let mut cluster = five(&[0, 1, 2], &MIN_ISR_2);
    assert_eq!(cluster.reassign(Some(&[2, 1, 0])), 0);
    assert_eq!((&cluster.partition().replicas, cluster.partition().leader), (&vec![2, 1, 0], 0));
    assert_eq!(cluster.reassign(Some(&[2, 1])), 0);
    let smaller = cluster.partition();
    assert_eq!((&smaller.replicas, &smaller.isr, smaller.leader), (&vec![2, 1], &vec![1, 2], 2));
    assert!(!smaller.is_reassigning());
}

#[test]
fn a_replica_that_is_out_of_sync_is_waited_for_also_when_it_was_there_before() {
    let mut cluster = five(&[0, 1, 2], &[]);
    cluster.kill(1);
    assert_eq!(cluster.reassign(Some(&[1])), 0);
    assert_eq!(cluster.partition().removing, [0, 2]);
    cluster.start(1);
    assert_eq!(cluster.alter_isr(&[0, 1, 2]), code(ErrorCode::NewLeaderElected));
    assert_eq!((&cluster.partition().replicas, &cluster.partition().isr), (&vec![1], &vec![1]));
}

#[test]
fn a_removed_replica_that_dies_does_not_hold_up_the_end() {
    let mut cluster = five(&[0, 1], &[]);
    assert_eq!(cluster.reassign(Some(&[1, 2])), 0);
    cluster.kill(0);
    assert_eq!((cluster.partition().leader, &cluster.partition().isr), (1, &vec![1]));
    assert_eq!(cluster.alter_isr(&[1, 2]), 0);
    assert_eq!(cluster.partition().replicas, [1, 2]);
}

#[test]
fn a_target_is_checked() {
    let mut cluster = five(&[0, 1], &[]);
    let invalid = code(ErrorCode::InvalidReplicaAssignment);
    assert_eq!(cluster.reassign(Some(&[])), invalid);
    assert_eq!(cluster.reassign(Some(&[2, 2])), invalid);
    assert_eq!(cluster.reassign(Some(&[2, 9])), invalid);
    assert_eq!(cluster.reassign(Some(&[-1])), invalid);
    let unknown = code(ErrorCode::UnknownTopicOrPartition);
    assert_eq!(cluster.reassign_partition("t", 1, Some(&[2, 3]), true), unknown);
    assert_eq!(cluster.reassign_partition("u", 0, None, true), unknown);
    assert_eq!(cluster.reassign(None), code(ErrorCode::NoReassignmentInProgress));
    assert_eq!(cluster.partition().replicas, [0, 1], "nothing was changed");
}

#[test]
fn the_replication_factor_changes_only_where_that_is_allowed() {
    let mut cluster = five(&[0, 1], &[]);
    let refused = code(ErrorCode::InvalidReplicationFactor);
    assert_eq!(cluster.reassign_partition("t", 0, Some(&[0, 1, 2]), false), refused);
    assert_eq!(cluster.reassign_partition("t", 0, Some(&[0, 1, 2]), true), 0);
    assert_eq!(cluster.reassign_partition("t", 0, Some(&[3, 4]), false), refused, "it is on its way to 3");
    assert_eq!(cluster.reassign_partition("t", 0, Some(&[3, 4, 5]), false), 0);
}

#[test]
fn a_cancelled_move_leaves_what_was_there() {
    let mut cluster = five(&[1, 0, 2], &MIN_ISR_2);
    assert_eq!(cluster.reassign(Some(&[3, 4, 5])), 0);
    assert_eq!(cluster.alter_isr(&[0, 1, 2, 3]), 0);
    assert_eq!(cluster.reassign(None), 0);
    let back = cluster.partition();
    assert_eq!((&back.replicas, &back.isr, back.leader), (&vec![1, 0, 2], &vec![0, 1, 2], 1));
    assert!(!back.is_reassigning() && back.elr.is_empty());
    assert_eq!(cluster.reassign(None), code(ErrorCode::NoReassignmentInProgress));
}

#[test]
fn a_cancellation_takes_the_leadership_from_a_new_replica() {
    let mut cluster = five(&[0, 1], &[]);
    assert_eq!(cluster.reassign(Some(&[2, 3])), 0);
    assert_eq!(cluster.alter_isr(&[0, 1, 2]), 0);
    cluster.advance_to(6_000);
    assert_eq!(cluster.partition().leader, 2, "the preferred one");
    (0..4).for_each(|id| drop(cluster.heartbeat(id)));
    assert_eq!(cluster.reassign(None), 0);
    assert_eq!((cluster.partition().leader, &cluster.partition().isr), (0, &vec![0, 1]));
}

#[test]
fn a_cancellation_that_would_lose_records_is_refused() {
    let mut cluster = five(&[0], &[]);
    assert_eq!(cluster.reassign(Some(&[1, 2])), 0);
    assert_eq!(cluster.alter_isr(&[0, 1]), 0);
    cluster.kill(0);
    assert_eq!((cluster.partition().leader, &cluster.partition().isr), (1, &vec![1]));
    cluster.start(0);
    let before = cluster.partition().clone();
    assert_eq!(cluster.reassign(None), code(ErrorCode::InvalidReplicaAssignment));
    assert_eq!(*cluster.partition(), before);
}

#[test]
fn an_unclean_cancellation_happens_only_where_the_topic_allows_it() {
    let mut cluster = five(&[0], &[("unclean.leader.election.enable", "true")]);
    assert_eq!(cluster.reassign(Some(&[1, 2])), 0);
    assert_eq!(cluster.alter_isr(&[0, 1]), 0);
    cluster.kill(0);
    assert_eq!(cluster.reassign(None), code(ErrorCode::InvalidReplicaAssignment), "nobody is there");
    cluster.start(0);
    assert_eq!(cluster.reassign(None), 0);
    let back = cluster.partition();
    assert_eq!((&back.replicas, &back.isr, back.leader_recovery_state), (&vec![0], &vec![0], 1));
}

#[test]
fn who_is_eligible_may_take_a_partition_back_also_later() {
    let mut cluster = five(&[0, 1], &MIN_ISR_2);
    assert_eq!(cluster.reassign(Some(&[2, 3])), 0);
    assert_eq!(cluster.alter_isr(&[0, 1, 2]), 0);
    for id in [0, 1, 2] {
        cluster.kill(id);
    }
    let nobody = cluster.partition();
    assert_eq!((nobody.leader, &nobody.elr), (-1, &vec![2, 1]));
    assert_eq!(cluster.reassign(None), 0);
    assert_eq!((&cluster.partition().replicas, &cluster.partition().elr), (&vec![0, 1], &vec![1]));
    cluster.start_cleanly(1);
    assert_eq!((cluster.partition().leader, &cluster.partition().isr), (1, &vec![1]));
}

#[test]
fn removed_replicas_are_eligible_no_more() {
    let mut cluster = five(&[0, 1, 2], &MIN_ISR_2);
    assert_eq!(cluster.reassign(Some(&[3])), 0);
    for id in [1, 2] {
        cluster.kill(id);
    }
    assert_eq!((&cluster.partition().isr, &cluster.partition().elr), (&vec![0], &vec![2]));
    assert_eq!(cluster.alter_isr(&[0, 3]), code(ErrorCode::NewLeaderElected));
    let moved = cluster.partition();
    assert_eq!((&moved.replicas, &moved.isr, moved.leader), (&vec![3], &vec![3], 3));
    assert!(moved.elr.is_empty() && moved.last_known_elr.is_empty());
}

#[test]
fn another_target_replaces_the_one_that_is_under_way() {
    let mut cluster = five(&[0, 1], &[]);
    assert_eq!(cluster.reassign(Some(&[2, 3])), 0);
    assert_eq!(cluster.alter_isr(&[0, 1, 2]), 0);
    assert_eq!(cluster.reassign(Some(&[4, 1])), 0);
    let moving = cluster.partition();
    assert_eq!(moving.replicas, [4, 1, 2, 0], "3 held nothing");
    assert_eq!((&moving.adding, &moving.removing), (&vec![4, 2], &vec![2, 0]));
    assert_eq!(cluster.alter_isr(&[0, 1, 2, 4]), code(ErrorCode::NewLeaderElected));
    assert_eq!((&cluster.partition().replicas, cluster.partition().leader), (&vec![4, 1], 4));
}

#[test]
fn after_a_replacement_a_cancellation_goes_all_the_way_back() {
    let mut cluster = five(&[0, 1], &[]);
    assert_eq!(cluster.reassign(Some(&[2, 3])), 0);
    assert_eq!(cluster.alter_isr(&[0, 1, 2]), 0);
    assert_eq!(cluster.reassign(Some(&[4, 5])), 0);
    assert_eq!(cluster.reassign(None), 0);
    assert_eq!((&cluster.partition().replicas, &cluster.partition().isr), (&vec![0, 1], &vec![0, 1]));
}

#[test]
fn more_replicas_do_not_make_a_partition_unavailable_before_they_are_there() {
    let mut cluster = five(&[0], &MIN_ISR_2);
    assert_eq!(cluster.reassign(Some(&[0, 1, 2])), 0);
    assert_eq!((cluster.partition().replication_factor(), &cluster.partition().isr), (1, &vec![0]));
    assert_eq!(cluster.alter_isr(&[0, 1]), 0);
    assert_eq!(cluster.alter_isr(&[0]), 0);
    assert!(cluster.partition().elr.is_empty(), "one was enough");
    assert_eq!(cluster.alter_isr(&[0, 1, 2]), 0);
    assert_eq!(cluster.alter_isr(&[0]), 0);
    assert_eq!(cluster.partition().elr, [1, 2], "now two are needed");
}

#[test]
fn a_single_target_elected_uncleanly_ends_the_reassignment() {
    let mut cluster = five(&[0], &[("unclean.leader.election.enable", "true")]);
    assert_eq!(cluster.reassign(Some(&[1])), 0);
    cluster.kill(0);
    let moved = cluster.partition();
    assert_eq!((&moved.replicas, &moved.isr, moved.leader), (&vec![1], &vec![1], 1));
}

#[test]
fn what_is_under_way_is_listed() {
    let mut cluster = five(&[0, 1], &[]);
    cluster.topic_called("u", &[1, 2], &[]);
    assert_eq!(cluster.reassignments(None), []);
    cluster.reassign(Some(&[2, 3]));
    let expected = [("t".to_owned(), 0, vec![2, 3, 0, 1])];
    assert_eq!(cluster.reassignments(None), expected);
    assert_eq!(cluster.reassignments(Some(&[("u", 0), ("t", 7), ("t", 0), ("nowhere", 0)])), expected);
    assert_eq!(cluster.reassignments(Some(&[])), []);
    assert_eq!(cluster.alter_isr(&[0, 1, 2, 3]), code(ErrorCode::NewLeaderElected));
    assert_eq!(cluster.reassignments(None), []);
}

#[test]
fn a_topic_that_moves_can_be_deleted_and_can_grow() {
    let mut cluster = Cluster::of(6);
    cluster.create(creatable("t", 1, 3, &[]));
    cluster.reassign(Some(&[3, 4]));
    let grown = CreatePartitionsTopic { name: "t".into(), count: 4, assignments: None, ..Default::default() };
    let request = CreatePartitionsRequest { topics: vec![grown], ..Default::default() };
    let Reply::CreatePartitions(reply) = cluster.run(Command::CreatePartitions(request)) else { panic!() };
    assert_eq!(reply.results[0].error_code, 0, "{reply:?}");
    let sizes: Vec<usize> =
        (1..4).map(|index| cluster.image.partition("t", index).unwrap().replicas.len()).collect();
    assert_eq!(sizes, [2, 2, 2], "new partitions have as many replicas as the moving one will have");
    let delete = DeleteTopicsRequest { topic_names: vec!["t".into()], ..Default::default() };
    let Reply::DeleteTopics(reply) = cluster.run(Command::DeleteTopics(delete)) else { panic!() };
    assert_eq!(reply.responses[0].error_code, 0);
    assert_eq!(cluster.reassign(None), code(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(cluster.reassignments(None), []);
}

#[test]
fn leave_to_stop_is_given_as_if_new_replicas_were_not_there_yet() {
    let mut cluster = five(&[0, 1, 2], &MIN_ISR_2);
    cluster.topic_called("one", &[0], &[]);
    cluster.reassign(Some(&[3, 4, 5]));
    cluster.reassign_partition("one", 0, Some(&[3]), true);
    let answer = cluster.begin(0);
    assert!(answer.granted, "two are left of three, and one replica stands against nothing: {answer:?}");
    cluster.end(0, answer.grant_id);
    let answer = cluster.begin(3);
    assert!(answer.granted, "{answer:?}");
    cluster.kill(3);
    cluster.start_cleanly(3);
    assert!(cluster.grants()[0].restored, "what it was being sent it did not have before either");
    cluster.end(3, answer.grant_id);
    cluster.kill(1);
    let answer = cluster.begin(0);
    assert_eq!(&*answer.blockers[0].kind, "MinIsr", "{answer:?}");
}
