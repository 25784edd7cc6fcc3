//! A broker that starts with an image of the past: what it finds on its disk may be newer than what it knows.

use std::sync::Arc;
use std::time::Duration;

use klamm_log::Disk;
use klamm_metadata::Image;
use uuid::Uuid;

use super::cluster::{Cluster, TOPIC};
use super::{batch, eventually};
use crate::partition::Acks;

/// The topic that takes the name of [`TOPIC`] later.
const AGAIN: Uuid = Uuid::from_u128(0x71);

async fn produce(cluster: &Cluster, topic: Uuid) {
    let partition = cluster.registry(0).get(&topic, 0).unwrap();
    let append = partition.append_leader(batch(5), Acks::All).unwrap();
    if let Some(ack) = append.ack {
        ack.await.unwrap().unwrap();
    }
}

fn directories(cluster: &Cluster) -> Vec<String> {
    let entries = cluster.disks[0].list(std::path::Path::new("/data")).unwrap();
    let mut names: Vec<String> =
        entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect();
    names.sort_unstable();
    names
}

fn log_end(cluster: &Cluster, topic: Uuid) -> Option<i64> {
    Some(cluster.registry(0).get(&topic, 0)?.log_end_offset())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_created_again_after_the_image_keeps_its_records() {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    let older = cluster.image();
    cluster.delete_topic(TOPIC);
    cluster.create_topic(AGAIN, "orders", 1, &[0], &[]);
    produce(&cluster, AGAIN).await;
    cluster.kill(0);
    let process = cluster.start_behind(0, &older);
    cluster.register(0, process);
    cluster.registry(0).set_strays_aside();
    assert_eq!(log_end(&cluster, AGAIN), Some(5));
    assert!(directories(&cluster).contains(&"orders-0".to_owned()), "{:?}", directories(&cluster));
    cluster.kill(0);
    cluster.start_broker(0);
    assert_eq!(log_end(&cluster, AGAIN), Some(5), "{:?}", directories(&cluster));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_moved_here_after_the_image_keeps_its_records() {
    let fast = [("replica.high.watermark.checkpoint.interval.ms", "100")];
    let cluster = Cluster::start(2, &fast);
    cluster.create_topic(TOPIC, "orders", 1, &[1], &[]);
    let older = cluster.image();
    cluster.move_to(0, &[0]);
    produce(&cluster, TOPIC).await;
    cluster.kill(0);
    let process = cluster.start_behind(0, &older);
    cluster.register(0, process);
    cluster.registry(0).set_strays_aside();
    assert_eq!(log_end(&cluster, TOPIC), Some(5), "{:?}", directories(&cluster));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_made_for_a_topic_that_is_gone_since_the_image() {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    let older = cluster.image();
    cluster.delete_topic(TOPIC);
    cluster.kill(0);
    eventually("the old files are gone", || {
        let left = directories(&cluster);
        left.iter().for_each(|name| {
            cluster.disks[0].remove_dir_all(&std::path::Path::new("/data").join(name)).unwrap()
        });
        left.is_empty()
    })
    .await;
    let process = cluster.start_behind(0, &older);
    cluster.register(0, process);
    assert!(directories(&cluster).is_empty(), "{:?}", directories(&cluster));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_made_again_while_the_broker_was_down_survives_the_setting_aside_of_strays() {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    produce(&cluster, TOPIC).await;
    cluster.kill(0);
    cluster.delete_topic(TOPIC);
    cluster.create_topic(AGAIN, "orders", 1, &[0], &[]);
    cluster.start_broker(0);
    produce(&cluster, AGAIN).await;
    cluster.registry(0).set_strays_aside();
    assert!(cluster.registry(0).get(&TOPIC, 0).is_none());
    cluster.kill(0);
    cluster.start_broker(0);
    assert_eq!(log_end(&cluster, AGAIN), Some(5), "{:?}", directories(&cluster));
}

/// The log of a topic that keeps everything, on a broker that by default keeps nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_default_retention_is_applied_to_a_topic_whose_own_is_not_known_yet() {
    let eager = [
        ("log.retention.ms", "0"),
        ("log.initial.task.delay.ms", "100"),
        ("log.retention.check.interval.ms", "100"),
    ];
    let cluster = Cluster::start(1, &eager);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[("retention.ms", "-1")]);
    produce(&cluster, TOPIC).await;
    cluster.shut_down(0);
    let now = cluster.image();
    cluster.set_image(&Arc::new(Image::empty()));
    let process = cluster.start_behind(0, &Arc::new(Image::empty()));
    // Several rounds of the janitor; a busy machine makes them fewer, never a failure.
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.set_image(&now);
    cluster.register(0, process);
    assert_eq!(cluster.partition(0).log_start_offset(), 0);
}
