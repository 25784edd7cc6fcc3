//! A broker whose small files are not what it wrote: it believes none of them, and keeps its records.

use std::path::Path;

use klamm_log::{Disk, OpenMode};
use uuid::Uuid;

use super::cluster::{Cluster, TOPIC};
use super::{batch, consumer_at, eventually};
use crate::partition::Acks;

const METADATA: &str = "/data/orders-0/partition.metadata";

/// One broker with five committed records, closed cleanly.
async fn closed() -> Cluster {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    let append = cluster.partition(0).append_leader(batch(5), Acks::All).unwrap();
    append.ack.expect("waits").await.unwrap().unwrap();
    cluster.shut_down(0);
    cluster
}

fn contents(cluster: &Cluster, path: &str) -> Vec<u8> {
    let file = cluster.disks[0].open(Path::new(path), OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes
}

fn stray_is_there(cluster: &Cluster) -> bool {
    let names = cluster.disks[0].list(Path::new("/data")).unwrap();
    names.iter().any(|entry| entry.name.ends_with("-stray"))
}

async fn serves_everything(cluster: &Cluster, topic: Uuid) {
    let partition = cluster.registry(0).get(&topic, 0).unwrap();
    assert_eq!(partition.log_end_offset(), 5);
    eventually("the high watermark is known again", || partition.high_watermark() == 5).await;
    assert!(partition.fetch_blocking(&consumer_at(0)).unwrap().bytes > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_does_not_believe_its_checkpoints_counts_as_unclean_and_keeps_its_records() {
    for name in
        ["recovery-point-offset-checkpoint", "log-start-offset-checkpoint", "replication-offset-checkpoint"]
    {
        let cluster = closed().await;
        let path = format!("/data/{name}");
        let last_digit = contents(&cluster, &path).len() as u64 - 2;
        cluster.disks[0].corrupt(Path::new(&path), last_digit, 1).unwrap();
        cluster.start_broker(0);
        assert!(cluster.registry(0).lost_durable_records(), "{name}");
        serves_everything(&cluster, TOPIC).await;
        cluster.shut_down(0);
        cluster.start_broker(0);
        assert!(!cluster.registry(0).lost_durable_records(), "{name} is right again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_id_that_is_not_what_was_written_is_put_right_from_the_metadata() {
    let cluster = closed().await;
    let written = contents(&cluster, METADATA);
    cluster.disks[0].corrupt(Path::new(METADATA), 30, 2).unwrap();
    cluster.start_broker(0);
    assert!(
        cluster.registry(0).lost_durable_records(),
        "what the log has lost would have been noticed too late"
    );
    serves_everything(&cluster, TOPIC).await;
    assert!(!stray_is_there(&cluster));
    assert_eq!(contents(&cluster, METADATA), written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_topic_id_makes_no_records_another_topics() {
    let cluster = closed().await;
    cluster.disks[0].corrupt(Path::new(METADATA), 30, 2).unwrap();
    cluster.delete_topic(TOPIC);
    let again = Uuid::from_u128(0x71);
    cluster.create_topic(again, "orders", 1, &[0], &[]);
    cluster.start_broker(0);
    assert_eq!(cluster.registry(0).get(&again, 0).unwrap().log_end_offset(), 0);
    assert!(stray_is_there(&cluster));
}
