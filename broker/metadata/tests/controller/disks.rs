//! Brokers that come back with other disks than they had.

use crate::cluster::Cluster;
use crate::isr::elect;

const MIN_ISR_2: &[(&str, &str)] = &[("min.insync.replicas", "2")];

/// Registers a broker that did not stop cleanly, with this disk, and unfences it.
fn start_with_disk(cluster: &mut Cluster, id: i32, disk: u128) {
    let mut request = cluster.registration(id, -1);
    request.log_dirs = vec![uuid::Uuid::from_u128(disk)];
    cluster.try_register(request).unwrap();
    cluster.heartbeat(id);
}

/// Brokers 0 to `count - 1`, each with a disk that the controller knows: 10, 11 and so on.
fn with_disks(count: i32) -> Cluster {
    let mut cluster = Cluster::new();
    for id in 0..count {
        start_with_disk(&mut cluster, id, 10 + u128::from(id.unsigned_abs()));
    }
    cluster
}

#[test]
fn a_leader_with_an_empty_disk_leaves_it_to_who_kept_his() {
    let mut cluster = with_disks(3);
    cluster.topic_on(&[0, 1, 2], MIN_ISR_2);
    cluster.kill(2);
    cluster.kill(1);
    start_with_disk(&mut cluster, 1, 11);
    assert_eq!((&cluster.partition().isr, &cluster.partition().last_known_elr), (&vec![0], &vec![1]));
    cluster.kill(1);
    start_with_disk(&mut cluster, 0, 20);
    assert_eq!((cluster.partition().leader, &cluster.partition().last_known_elr), (-1, &vec![1]));
    cluster.heartbeat(1);
    assert_eq!((cluster.partition().leader, &cluster.partition().isr), (1, &vec![1]));
}

/// One of two disks only seems to be lost: a late copy of a registration, of a process that is gone, had another directory.
#[test]
fn an_empty_disk_does_not_lead_because_another_seems_to_be_lost_too() {
    let mut cluster = with_disks(2);
    cluster.topic_on(&[0, 1], MIN_ISR_2);
    start_with_disk(&mut cluster, 0, 20);
    assert_eq!((cluster.partition().leader, &cluster.partition().isr), (1, &vec![1]));
    start_with_disk(&mut cluster, 1, 21);
    let nobody = cluster.partition();
    assert_eq!((nobody.leader, &nobody.isr), (-1, &vec![]), "{nobody:?}");
    assert!(nobody.last_known_elr.is_empty() && nobody.elr.is_empty(), "{nobody:?}");
    start_with_disk(&mut cluster, 1, 11);
    cluster.heartbeat(0);
    assert_eq!(cluster.partition().leader, -1, "which of them holds the records, only an operator can say");
    cluster.kill(0);
    assert_eq!(elect(&mut cluster, 1, Some(&[0])), [(0, 0)]);
    let led = cluster.partition();
    assert_eq!((led.leader, &led.isr, led.leader_recovery_state), (1, &vec![1], 1));
}

#[test]
fn where_the_topic_allows_an_unclean_election_empty_disks_lead_at_once() {
    let mut cluster = with_disks(2);
    cluster.topic_on(&[0, 1], &[("unclean.leader.election.enable", "true")]);
    start_with_disk(&mut cluster, 0, 20);
    cluster.kill(0);
    start_with_disk(&mut cluster, 1, 21);
    let led = cluster.partition();
    assert_eq!((led.leader, &led.isr, led.leader_recovery_state), (1, &vec![1], 1));
}

/// It was the last leader, complete, and stopped uncleanly: for each of these it would be known.
#[test]
fn whoever_was_the_last_known_is_forgotten_with_his_disk() {
    let mut cluster = with_disks(2);
    cluster.topic_on(&[0, 1], MIN_ISR_2);
    cluster.kill(1);
    start_with_disk(&mut cluster, 1, 11);
    cluster.kill(1);
    cluster.kill(0);
    start_with_disk(&mut cluster, 1, 11);
    let known = cluster.partition().clone();
    assert_eq!((known.leader, &known.elr, &known.last_known_elr), (-1, &vec![0], &vec![1, 0]));
    start_with_disk(&mut cluster, 0, 20);
    let forgotten = cluster.partition();
    assert_eq!((forgotten.leader, &forgotten.isr, forgotten.leader_recovery_state), (1, &vec![1], 1));
    cluster.kill(1);
    assert_eq!(cluster.partition().last_known_elr, [1]);
    start_with_disk(&mut cluster, 1, 21);
    let nobody = cluster.partition();
    assert_eq!((nobody.leader, &nobody.last_known_elr), (-1, &vec![]), "{nobody:?}");
}

/// Nobody else can have anything.
#[test]
fn the_only_replica_leads_on_a_new_disk() {
    let mut cluster = with_disks(2);
    cluster.topic_on(&[0], &[]);
    start_with_disk(&mut cluster, 0, 20);
    let led = cluster.partition().clone();
    assert_eq!((led.leader, &led.isr, led.leader_recovery_state), (0, &vec![0], 1));
    cluster.kill(0);
    start_with_disk(&mut cluster, 0, 21);
    start_with_disk(&mut cluster, 0, 22);
    assert_eq!((cluster.partition().leader, &cluster.partition().isr), (0, &vec![0]));
}
