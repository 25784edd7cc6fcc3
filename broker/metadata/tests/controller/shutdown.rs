//! Controlled shutdown.

use crate::cluster::Cluster;

fn wants_to_stop(cluster: &mut Cluster, id: i32) -> bool {
    cluster.heartbeat_with(id, |request| request.want_shut_down = true).should_shut_down
}

#[test]
fn a_stopping_broker_goes_when_the_others_know_who_leads_now() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], &[]);
    assert!(!wants_to_stop(&mut cluster, 0));
    let moved = cluster.partition();
    assert_eq!((moved.leader, &moved.isr), (1, &vec![1, 2]));
    assert!(cluster.image.broker(0).unwrap().in_controlled_shutdown);
    assert!(!wants_to_stop(&mut cluster, 0), "1 and 2 have not seen it yet");
    cluster.heartbeat(1);
    assert!(!wants_to_stop(&mut cluster, 0));
    let offset = cluster.image.offset();
    cluster.controller.on_metadata_applied(2, offset);
    assert!(wants_to_stop(&mut cluster, 0));
    assert!(cluster.image.broker(0).unwrap().fenced);
}

#[test]
fn a_heartbeat_from_before_a_broker_wanted_to_stop_does_not_bring_it_back() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], &[]);
    wants_to_stop(&mut cluster, 0);
    (1..3).for_each(|id| drop(cluster.heartbeat(id)));
    assert!(wants_to_stop(&mut cluster, 0));
    assert!(cluster.heartbeat(0).is_fenced, "it was overtaken on its way");
    assert!(cluster.image.broker(0).unwrap().fenced);
}

#[test]
fn a_broker_that_nobody_can_replace_stops_all_the_same_and_leads_again() {
    let mut cluster = Cluster::of(2);
    cluster.topic_on(&[0, 1], &[]);
    cluster.kill(1);
    assert!(wants_to_stop(&mut cluster, 0));
    let stopped = cluster.partition();
    assert_eq!((stopped.leader, &stopped.elr), (-1, &vec![0]));
    cluster.start(1);
    assert_eq!(cluster.partition().leader, -1);
    cluster.start_cleanly(0);
    assert_eq!((cluster.partition().leader, cluster.partition().leader_recovery_state), (0, 0));
}

#[test]
fn a_fenced_broker_may_stop_at_once() {
    let mut cluster = Cluster::new();
    cluster.register(0, -1);
    assert!(wants_to_stop(&mut cluster, 0));
}

#[test]
fn a_stopping_broker_gets_no_new_leaderships_and_is_placed_last() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1, 2], &[]);
    wants_to_stop(&mut cluster, 0);
    let created = cluster.create(crate::cluster::creatable("u", 6, 3, &[]));
    assert_eq!(created.error_code, 0);
    for partition in cluster.image.topic("u").unwrap().partitions.values() {
        assert!(partition.leader != 0 && !partition.isr.contains(&0) && partition.replicas[2] == 0);
    }
}

#[test]
fn a_stopping_leader_still_takes_in_the_follower_that_will_replace_it() {
    let mut cluster = Cluster::of(3);
    cluster.topic_on(&[0, 1], &[]);
    cluster.kill(1);
    cluster.start(1);
    cluster.topic_called("u", &[0, 2], &[]);
    assert!(!wants_to_stop(&mut cluster, 0), "u is handed to 2");
    assert_eq!(cluster.partition().leader, 0);
    assert_eq!(cluster.alter_isr(&[0, 1]), 0);
    assert!(!wants_to_stop(&mut cluster, 0));
    assert_eq!((cluster.partition().leader, &cluster.partition().isr), (1, &vec![1]));
}
