//! Leaders, ISR and eligible leader replicas.

use klamm_metadata::controller::{Command, Reply};
use klamm_wire::ErrorCode;
use klamm_wire::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use klamm_wire::messages::replica_damage_request::ReplicaDamageRequest;
use klamm_wire::messages::replica_damage_response::ReplicaDamageResponse;

use crate::cluster::{Cluster, code};

const MIN_ISR_2: &[(&str, &str)] = &[("min.insync.replicas", "2")];

#[test]
fn a_dead_leaders_partition_goes_to_the_next_replica_of_the_isr() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], &[]);
    let before = cluster.partition().clone();
    assert_eq!((before.leader, &before.isr), (0, &vec![0, 1, 2]));
    cluster.kill(0);
    let after = cluster.partition();
    assert_eq!((after.leader, &after.isr), (1, &vec![1, 2]));
    assert_eq!(after.leader_epoch, before.leader_epoch + 1);
    assert_eq!(after.partition_epoch, before.partition_epoch + 1);
}

#[test]
fn a_dead_follower_leaves_the_isr_without_a_new_leader_epoch() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], &[]);
    cluster.kill(2);
    let after = cluster.partition();
    assert_eq!((after.leader, after.leader_epoch, after.partition_epoch), (0, 0, 1));
    assert_eq!(after.isr, [0, 1]);
}

#[test]
fn who_leaves_an_isr_below_its_minimum_stays_eligible_and_may_lead() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], MIN_ISR_2);
    cluster.kill(0);
    assert!(cluster.partition().elr.is_empty(), "two in sync are enough");
    cluster.kill(1);
    assert_eq!((&cluster.partition().isr, &cluster.partition().elr), (&vec![2], &vec![1]));
    cluster.kill(2);
    let nobody = cluster.partition();
    assert_eq!((nobody.leader, &nobody.elr, &nobody.last_known_elr), (-1, &vec![1, 2], &vec![2]));
    assert!(nobody.isr.is_empty());
    cluster.start_cleanly(0);
    assert_eq!(cluster.partition().leader, -1, "0 missed what 1 and 2 acknowledged");
    cluster.start_cleanly(1);
    let led = cluster.partition();
    assert_eq!((led.leader, &led.isr, &led.elr), (1, &vec![1], &vec![2]));
    assert!(led.last_known_elr.is_empty());
    assert_eq!(led.leader_recovery_state, 0);
}

#[test]
fn an_isr_that_is_large_enough_ends_eligibility() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], MIN_ISR_2);
    assert_eq!(cluster.alter_isr(&[0]), 0);
    assert_eq!(cluster.partition().elr, [1, 2]);
    assert_eq!(cluster.alter_isr(&[0, 2]), 0);
    assert!(cluster.partition().elr.is_empty());
}

#[test]
fn an_unclean_restart_ends_membership_in_isr_and_elr() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], MIN_ISR_2);
    assert_eq!(cluster.alter_isr(&[0]), 0);
    cluster.kill(1);
    cluster.register(1, -1);
    assert_eq!(cluster.partition().elr, [2]);
    cluster.start(0);
    let after = cluster.partition();
    assert_eq!((after.leader, &after.isr), (2, &vec![2]), "0 may have lost its tail, 2 has not");
    assert!(after.elr.is_empty());
}

#[test]
fn when_all_restart_uncleanly_the_last_leader_leads_again() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], MIN_ISR_2);
    for id in 0..3 {
        cluster.register(id, -1);
    }
    let nobody = cluster.partition();
    assert_eq!((nobody.leader, &nobody.last_known_elr), (-1, &vec![1, 2]));
    assert!(nobody.isr.is_empty() && nobody.elr.is_empty());
    cluster.heartbeat(0);
    assert_eq!(cluster.partition().leader, -1);
    cluster.heartbeat(2);
    let led = cluster.partition();
    assert_eq!((led.leader, &led.isr), (2, &vec![2]));
    assert_eq!(led.leader_recovery_state, 1);
    assert_eq!(cluster.alter_isr(&[2, 0]), 0);
    assert_eq!(cluster.partition().leader_recovery_state, 0);
}

#[test]
fn the_replica_that_was_complete_last_leads_and_not_a_leader_that_was_gone_before() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], MIN_ISR_2);
    assert_eq!(cluster.alter_isr(&[0, 1]), 0);
    cluster.kill(1);
    assert_eq!((&cluster.partition().isr, &cluster.partition().elr), (&vec![0], &vec![1]));
    cluster.register(0, -1);
    cluster.register(1, -1);
    let nobody = cluster.partition();
    assert_eq!((nobody.leader, &nobody.last_known_elr), (-1, &vec![0, 1]));
    cluster.heartbeat(0);
    assert_eq!(cluster.partition().leader, -1);
    cluster.heartbeat(1);
    assert_eq!(cluster.partition().leader, 1);
}

#[test]
fn a_single_broker_leads_again_after_a_crash() {
    let mut cluster = Cluster::of(1);
    cluster.topic_on(&[0], &[]);
    cluster.start(0);
    assert_eq!((cluster.partition().leader, cluster.partition().leader_epoch), (0, 2));
}

#[test]
fn an_unclean_election_happens_only_where_the_topic_allows_it() {
    let lose_all_but_0 = |configs| {
        let mut cluster = Cluster::of(2);
        cluster.topic_on(&[0, 1], configs);
        cluster.kill(0);
        cluster.kill(1);
        cluster.start_cleanly(0);
        (cluster.partition().leader, cluster.partition().leader_recovery_state)
    };
    assert_eq!(lose_all_but_0(&[]), (-1, 0));
    assert_eq!(lose_all_but_0(&[("unclean.leader.election.enable", "true")]), (0, 1));
}

#[test]
fn a_proposal_with_stale_epochs_is_refused_by_name() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], &[]);
    cluster.kill(0);
    cluster.start(0);
    let mut refused = |expected, adjust: &dyn Fn(&mut _, &mut _)| {
        assert_eq!(
            cluster.alter_isr_with(&[1, 2], |request, proposal| adjust(request, proposal)),
            code(expected)
        );
    };
    type Request = klamm_wire::messages::alter_partition_request::AlterPartitionRequest;
    type Proposal = klamm_wire::messages::alter_partition_request::PartitionData;
    refused(ErrorCode::FencedLeaderEpoch, &|_: &mut Request, p: &mut Proposal| p.leader_epoch -= 1);
    refused(ErrorCode::NotController, &|_, p| p.leader_epoch += 1);
    refused(ErrorCode::NotController, &|_, p| p.partition_epoch += 1);
    refused(ErrorCode::InvalidUpdateVersion, &|_, p| p.partition_epoch -= 1);
    refused(ErrorCode::StaleBrokerEpoch, &|r, _| r.broker_epoch -= 1);
    refused(ErrorCode::UnknownTopicOrPartition, &|_, p| p.partition_index = 9);
    refused(ErrorCode::InvalidRequest, &|_, p| p.leader_recovery_state = 1);
    refused(ErrorCode::InvalidRequest, &|_, p| p.new_isr_with_epochs.remove(0).broker_id = 1);
    let epoch_of_2 = cluster.epoch(2);
    let not_the_leader = cluster.alter_isr_with(&[1, 2], |request, _| {
        request.broker_id = 2;
        request.broker_epoch = epoch_of_2;
    });
    assert_eq!(not_the_leader, code(ErrorCode::InvalidRequest));
}

#[test]
fn an_ineligible_replica_does_not_join_the_isr() {
    let mut cluster = Cluster::of(4);
    cluster.topic_on(&[0, 1, 2], &[]);
    cluster.kill(1);
    let ineligible = code(ErrorCode::IneligibleReplica);
    assert_eq!(cluster.alter_isr(&[0, 1, 2]), ineligible, "fenced");
    cluster.start(1);
    let old_epoch =
        |_: &mut _, proposal: &mut klamm_wire::messages::alter_partition_request::PartitionData| {
            proposal.new_isr_with_epochs[1].broker_epoch -= 1;
        };
    assert_eq!(cluster.alter_isr_with(&[0, 1, 2], old_epoch), ineligible, "caught up in another life");
    let future_epoch =
        |_: &mut _, proposal: &mut klamm_wire::messages::alter_partition_request::PartitionData| {
            proposal.new_isr_with_epochs[1].broker_epoch += 1;
        };
    let replaced = cluster.alter_isr_with(&[0, 1, 2], future_epoch);
    assert_eq!(replaced, code(ErrorCode::NotController), "registered with a newer controller");
    assert_eq!(cluster.alter_isr(&[0, 2, 3]), code(ErrorCode::InvalidRequest), "not a replica");
    assert_eq!(cluster.alter_isr(&[0, 1, 2]), 0);
    assert_eq!(cluster.partition().isr, [0, 1, 2]);
}

/// A leader that was refused goes on without the replica; a copy of its proposal that arrives later, when the replica is
/// eligible again in the same process, must not bring it into the ISR (simulator seed 1792).
#[test]
fn what_was_refused_once_is_refused_whenever_it_arrives() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], &[]);
    assert_eq!(cluster.alter_isr(&[0, 1]), 0);
    cluster.kill(2);
    let epoch = cluster.partition().partition_epoch;
    assert_eq!(cluster.alter_isr(&[0, 1, 2]), code(ErrorCode::IneligibleReplica));
    assert_eq!((cluster.partition().leader_epoch, &cluster.partition().isr), (0, &vec![0, 1]));
    cluster.heartbeat(2);
    let late = cluster.alter_isr_with(&[0, 1, 2], |_, proposal| proposal.partition_epoch = epoch);
    assert_eq!(late, code(ErrorCode::InvalidUpdateVersion));
    assert_eq!(cluster.alter_isr(&[0, 1, 2]), 0, "proposed anew");
}

#[test]
fn version_2_of_alter_partition_has_no_broker_epochs_and_works() {
    let mut cluster = Cluster::of(2);
    cluster.topic_on(&[0, 1], &[]);
    let without_epochs = cluster.alter_isr_with(&[], |_, proposal| proposal.new_isr = vec![0]);
    assert_eq!((without_epochs, &cluster.partition().isr), (0, &vec![0]));
}

#[test]
fn repeating_a_proposal_that_holds_already_changes_nothing() {
    let mut cluster = Cluster::of(2);
    cluster.topic_on(&[0, 1], &[]);
    let entries = cluster.log.len();
    assert_eq!(cluster.alter_isr(&[0, 1]), 0);
    assert_eq!((cluster.log.len(), cluster.partition().partition_epoch), (entries, 0));
}

#[test]
fn leadership_returns_to_the_preferred_replica_soon_after_it_has_caught_up() {
    let mut cluster = Cluster::of(2);
    cluster.topic_on(&[0, 1], &[]);
    cluster.kill(0);
    cluster.advance_to(6_000);
    cluster.start(0);
    cluster.heartbeat(1);
    cluster.advance_to(11_000);
    assert_eq!(cluster.partition().leader, 1, "0 is not in the ISR yet");
    cluster.heartbeat(0);
    cluster.heartbeat(1);
    assert_eq!(cluster.alter_isr(&[1, 0]), 0);
    cluster.advance_to(16_000);
    assert_eq!((cluster.partition().leader, cluster.partition().leader_epoch), (0, 2));
}

pub fn elect(cluster: &mut Cluster, election_type: i8, partitions: Option<&[i32]>) -> Vec<(i32, i16)> {
    let topics = |partitions: &[i32]| {
        vec![TopicPartitions { topic: "t".into(), partitions: partitions.to_vec(), ..Default::default() }]
    };
    let topic_partitions = partitions.map(topics);
    let request = ElectLeadersRequest { election_type, topic_partitions, ..Default::default() };
    match cluster.run(Command::ElectLeaders(request)) {
        Reply::ElectLeaders(reply) => {
            let results = reply.replica_election_results.into_iter().flat_map(|topic| topic.partition_result);
            results.map(|result| (result.partition_id, result.error_code)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn elections_on_request_answer_for_each_partition() {
    let mut cluster = Cluster::of(2);
    cluster.topic_on(&[0, 1], &[]);
    assert_eq!(elect(&mut cluster, 0, Some(&[0])), [(0, code(ErrorCode::ElectionNotNeeded))]);
    assert_eq!(elect(&mut cluster, 0, Some(&[5])), [(5, code(ErrorCode::UnknownTopicOrPartition))]);
    assert_eq!(elect(&mut cluster, 0, None), [], "nothing needed an election");
    cluster.kill(0);
    assert_eq!(elect(&mut cluster, 0, None), [(0, code(ErrorCode::PreferredLeaderNotAvailable))]);
    cluster.start(0);
    cluster.alter_isr(&[0, 1]);
    assert_eq!(elect(&mut cluster, 0, None), [(0, 0)]);
    assert_eq!(cluster.partition().leader, 0);
}

#[test]
fn an_unclean_election_on_request_needs_any_live_replica() {
    let mut cluster = Cluster::of(2);
    cluster.topic_on(&[0, 1], &[]);
    cluster.kill(0);
    cluster.kill(1);
    assert_eq!(elect(&mut cluster, 1, Some(&[0])), [(0, code(ErrorCode::EligibleLeadersNotAvailable))]);
    cluster.start(0);
    assert_eq!(cluster.partition().leader, -1);
    assert_eq!(elect(&mut cluster, 1, Some(&[0])), [(0, 0)]);
    assert_eq!((cluster.partition().leader, &cluster.partition().isr), (0, &vec![0]));
    assert!(cluster.partition().elr.is_empty());
}

fn report_damage(cluster: &mut Cluster, id: i32) -> ReplicaDamageResponse {
    let topic_id = cluster.image.topic("t").unwrap().id;
    let request = ReplicaDamageRequest {
        broker_id: id,
        broker_epoch: cluster.epoch(id),
        topic_id,
        partition_index: 0,
        ..ReplicaDamageRequest::default()
    };
    match cluster.run(Command::ReplicaDamage(request)) {
        Reply::ReplicaDamage(response) => response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_follower_leaves_the_isr_in_a_new_leader_epoch() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], MIN_ISR_2);
    let response = report_damage(&mut cluster, 2);
    assert_eq!((response.error_code, response.leader_epoch), (0, 1));
    let after = cluster.partition();
    assert_eq!((after.leader, after.leader_epoch, &after.isr), (0, 1, &vec![0, 1]));
    let again = report_damage(&mut cluster, 2);
    assert_eq!(
        (again.error_code, again.leader_epoch),
        (0, 2),
        "what its fetches have shown since counts for nothing"
    );
}

#[test]
fn a_damaged_leader_is_replaced_and_not_eligible() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], MIN_ISR_2);
    cluster.kill(2);
    assert_eq!(report_damage(&mut cluster, 0).error_code, 0);
    let after = cluster.partition();
    assert_eq!((after.leader, &after.isr), (1, &vec![1]));
    assert!(!after.elr.contains(&0), "{after:?}");
    cluster.kill(1);
    cluster.start_cleanly(0);
    assert_eq!(cluster.partition().leader, -1, "{:?}", cluster.partition());
}

#[test]
fn a_damaged_leader_that_is_alone_in_the_isr_is_replaced_by_an_eligible_replica() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], MIN_ISR_2);
    cluster.kill(2);
    cluster.kill(1);
    assert_eq!((&cluster.partition().isr, &cluster.partition().elr), (&vec![0], &vec![1]));
    assert_eq!(report_damage(&mut cluster, 0).error_code, code(ErrorCode::IneligibleReplica), "1 is away");
    cluster.start_cleanly(1);
    assert_eq!(report_damage(&mut cluster, 0).error_code, 0, "1 holds all that is committed");
    let after = cluster.partition();
    assert_eq!((after.leader, &after.isr, &after.elr), (1, &vec![1], &vec![]));
    assert_eq!(after.leader_recovery_state, 0, "nothing is lost");
}

#[test]
fn whoever_is_alone_keeps_its_damaged_copy() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], MIN_ISR_2);
    cluster.kill(1);
    cluster.kill(2);
    assert_eq!(report_damage(&mut cluster, 0).error_code, code(ErrorCode::IneligibleReplica));
    assert_eq!((cluster.partition().leader, cluster.partition().leader_epoch), (0, 0));
}
