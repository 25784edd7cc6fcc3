//! What a replica may believe after a crash, a truncation or a full disk: not more than what is on its disk.

use std::path::Path;

use klamm_log::{Disk, OpenMode};

use super::cluster::{Cluster, TOPIC};
use super::{batch, eventually};
use crate::partition::Acks;

async fn produce(cluster: &Cluster, broker: i32, acks: Acks, records: usize) {
    if let Some(ack) = cluster.partition(broker).append_leader(batch(records), acks).unwrap().ack {
        let acked = tokio::time::timeout(std::time::Duration::from_secs(20), ack).await;
        acked.expect("acknowledged in time").unwrap().unwrap();
    }
}

/// Three brokers with five committed records; broker 2 is down.
async fn two_of_three() -> Cluster {
    let cluster = Cluster::start(3, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0, 1, 2], &[("min.insync.replicas", "2")]);
    produce(&cluster, 0, Acks::All, 5).await;
    cluster.kill(2);
    cluster
}

/// The stored recovery point of partition 0.
fn recovery_point(cluster: &Cluster, broker: usize) -> i64 {
    let path = Path::new("/data/recovery-point-offset-checkpoint");
    let file = cluster.disks[broker].open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let line = text.lines().find(|line| line.starts_with("orders 0 ")).unwrap_or("orders 0 0");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_leads_nothing_before_its_own_registration() {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    produce(&cluster, 0, Acks::All, 5).await;
    cluster.kill(0);
    let process = cluster.start_unregistered(0);
    assert_eq!(cluster.partition(0).led_epoch(), None, "the epoch is that of the process before");
    cluster.register(0, process);
    assert_eq!(cluster.partition(0).led_epoch(), Some(1));
}

/// As when a leader is deposed while it writes, and the answer to its first fetch tells it to truncate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_is_not_full_any_more_when_what_did_not_fit_was_truncated() {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    produce(&cluster, 0, Acks::All, 5).await;
    let partition = cluster.partition(0);
    cluster.disks[0].set_capacity(cluster.disks[0].used());
    drop(partition.append_leader(batch(3), Acks::None).unwrap());
    eventually("the disk is full", || partition.state.lock().disk_full).await;
    partition.state.lock().log.truncate_to(5).unwrap();
    cluster.disks[0].set_capacity(u64::MAX);
    eventually("appends are accepted", || partition.append_leader(batch(1), Acks::None).is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncation_that_fails_takes_the_directory_offline() {
    let cluster = two_of_three().await;
    produce(&cluster, 0, Acks::Leader, 3).await;
    eventually("the follower has it", || cluster.partition(1).state.lock().log.durable_end() == 8).await;
    cluster.kill(0);
    cluster.start_broker(2);
    cluster.disks[1].fail_reads(u32::MAX);
    cluster.elect(2, &[1, 2]);
    let mut failure = cluster.registry(1).failure();
    let failed = failure.wait_for(Option::is_some);
    tokio::time::timeout(std::time::Duration::from_secs(20), failed).await.expect("offline").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stored_recovery_point_goes_down_with_a_truncated_log() {
    let cluster = two_of_three().await;
    cluster.kill(1);
    produce(&cluster, 0, Acks::Leader, 20).await;
    cluster.shut_down(0);
    assert_eq!(recovery_point(&cluster, 0), 25);
    cluster.elect(1, &[1, 2]);
    cluster.start_broker(1);
    cluster.start_broker(2);
    cluster.start_broker(0);
    produce(&cluster, 1, Acks::All, 1).await;
    eventually("the old leader has followed", || cluster.isr() == [0, 1, 2]).await;
    produce(&cluster, 1, Acks::All, 1).await;
    assert_eq!(cluster.partition(0).log_end_offset(), 7);
    let stored = recovery_point(&cluster, 0);
    assert!(stored <= 7, "{stored}: a crash now would take what comes next for durable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_topic_inherits_no_recovery_point_from_one_of_the_same_name() {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    produce(&cluster, 0, Acks::All, 25).await;
    cluster.shut_down(0);
    cluster.start_broker(0);
    assert_eq!(recovery_point(&cluster, 0), 25);
    cluster.delete_topic(TOPIC);
    cluster.create_topic(uuid::Uuid::from_u128(0x71), "orders", 1, &[0], &[]);
    let partition = cluster.registry(0).get(&uuid::Uuid::from_u128(0x71), 0).unwrap();
    if let Some(ack) = partition.append_leader(batch(1), Acks::All).unwrap().ack {
        ack.await.unwrap().unwrap();
    }
    let stored = recovery_point(&cluster, 0);
    assert!(stored <= 1, "{stored}: a crash now would take what comes next for durable");
}
