//! Disks that fill up, fail, or lose what was not flushed.

use klamm_wire::ErrorCode;

use super::cluster::{Cluster, TOPIC};
use super::{batch, eventually};
use crate::partition::Acks;

fn one_broker() -> Cluster {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_appends_until_there_is_space() {
    let cluster = one_broker();
    let partition = cluster.partition(0);
    cluster.disks[0].set_capacity(cluster.disks[0].used());
    let waiting = partition.append_leader(batch(1), Acks::All).unwrap();
    eventually("appends are refused", || {
        matches!(partition.append_leader(batch(1), Acks::None), Err(refused) if refused.code == ErrorCode::KafkaStorageError)
    })
    .await;
    assert!(!cluster.registry(0).is_offline());
    cluster.disks[0].set_capacity(u64::MAX);
    waiting.ack.unwrap().await.unwrap().expect("nothing was lost");
    eventually("appends are accepted", || partition.append_leader(batch(1), Acks::None).is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_flush_takes_the_directory_offline_for_good() {
    let cluster = one_broker();
    let partition = cluster.partition(0);
    cluster.disks[0].fail_syncs(1);
    let append = partition.append_leader(batch(1), Acks::All).unwrap();
    assert_eq!(append.ack.unwrap().await.unwrap(), Err(ErrorCode::KafkaStorageError));
    let mut failure = cluster.registry(0).failure();
    failure.wait_for(Option::is_some).await.unwrap();
    let refused = partition.append_leader(batch(1), Acks::All).unwrap_err();
    assert_eq!(refused.code, ErrorCode::KafkaStorageError);
    cluster.elect(0, &[0]);
    assert_eq!(partition.led_epoch(), None, "it does not come back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_power_loss() {
    let cluster = one_broker();
    for _ in 0..50 {
        let append = cluster.partition(0).append_leader(batch(2), Acks::All).unwrap();
        if let Some(ack) = append.ack {
            ack.await.unwrap().unwrap();
        }
    }
    cluster.kill_with_power_loss(0);
    cluster.start_broker(0);
    assert!(cluster.partition(0).log_end_offset() >= 100);
    eventually("everything is committed again", || cluster.partition(0).high_watermark() >= 100).await;
}
