//! A broker that starts with an image of the past: what it finds on its disk may be newer than what it knows.

use std::sync::Arc;
use std::time::Duration;

use klamm_log::Disk;
use klamm_metadata::Image;
use klamm_wire::messages::partition_record::PartitionRecord;
use klamm_wire::messages::topic_record::TopicRecord;
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

/// The records of a copy from its start on, as they lie there.
fn copy(cluster: &Cluster, broker: i32, topic: Uuid) -> Option<(i64, bytes::Bytes)> {
    let partition = cluster.registry(broker).get(&topic, 0)?;
    let (start, end) = (partition.log_start_offset(), partition.log_end_offset());
    partition.read_for_replay(start, 1 << 20, end).ok().map(|(bytes, _)| (start, bytes))
}

async fn produce_on(cluster: &Cluster, broker: i32, topic: Uuid, records: usize) {
    let partition = cluster.registry(broker).get(&topic, 0).unwrap();
    if let Some(ack) = partition.append_leader(batch(records), Acks::All).unwrap().ack {
        ack.await.unwrap().unwrap();
    }
}

/// Creates [`AGAIN`] while broker 0 is down, as a controller does that has fenced it.
fn create_again_without_0(cluster: &Cluster) {
    let partition = PartitionRecord {
        partition_id: 0,
        topic_id: AGAIN,
        replicas: vec![1, 0],
        isr: vec![1],
        leader: 1,
        ..PartitionRecord::default()
    };
    let topic = TopicRecord { name: "orders".into(), topic_id: AGAIN, ..TopicRecord::default() };
    cluster.commit(&[topic.into(), partition.into()]);
}

async fn are_equal_from_0(cluster: &Cluster) {
    eventually("the copies are equal from 0 on", || {
        let (leader, follower) = (copy(cluster, 1, AGAIN), copy(cluster, 0, AGAIN));
        leader.as_ref().is_some_and(|(start, bytes)| *start == 0 && !bytes.is_empty()) && leader == follower
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_start_of_a_deleted_log_does_not_outlive_a_crash() {
    let cluster = Cluster::start(2, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0, 1], &[]);
    produce(&cluster, TOPIC).await;
    cluster.partition(0).delete_records(5).unwrap();
    cluster.shut_down(0);
    cluster.start_broker(0);
    assert_eq!(cluster.partition(0).log_start_offset(), 5);
    cluster.delete_topic(TOPIC);
    cluster.kill(0);
    create_again_without_0(&cluster);
    produce_on(&cluster, 1, AGAIN, 20).await;
    cluster.start_broker(0);
    are_equal_from_0(&cluster).await;
}

/// The log begins anew at its leader's start, with a segment of its own, while the files still tell of the topic before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_start_of_a_deleted_log_does_not_outlive_a_second_crash_either() {
    let cluster = Cluster::start(2, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0, 1], &[]);
    for _ in 0..4 {
        produce(&cluster, TOPIC).await;
    }
    cluster.partition(0).delete_records(20).unwrap();
    cluster.shut_down(0);
    cluster.start_broker(0);
    cluster.delete_topic(TOPIC);
    cluster.kill(0);
    create_again_without_0(&cluster);
    produce_on(&cluster, 1, AGAIN, 5).await;
    cluster.registry(1).get(&AGAIN, 0).unwrap().delete_records(5).unwrap();
    cluster.start_broker(0);
    let ends =
        |partition: &crate::partition::Partition| (partition.log_start_offset(), partition.log_end_offset());
    eventually("it begins where its leader does", || {
        cluster.registry(0).get(&AGAIN, 0).is_some_and(|partition| ends(&partition) == (5, 5))
    })
    .await;
    cluster.kill(0);
    cluster.start_broker(0);
    assert_eq!(ends(&cluster.registry(0).get(&AGAIN, 0).unwrap()), (5, 5));
}

/// Retention took all segments but the last, which holds nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_log_keeps_its_start() {
    let eager = [("log.initial.task.delay.ms", "100"), ("log.retention.check.interval.ms", "100")];
    let cluster = Cluster::start(1, &eager);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[("retention.ms", "0")]);
    produce(&cluster, TOPIC).await;
    eventually("the records are gone", || cluster.partition(0).log_start_offset() == 5).await;
    cluster.shut_down(0);
    cluster.start_broker(0);
    assert_eq!((cluster.partition(0).log_start_offset(), log_end(&cluster, TOPIC)), (5, Some(5)));
    cluster.kill(0);
    cluster.start_broker(0);
    assert_eq!((cluster.partition(0).log_start_offset(), log_end(&cluster, TOPIC)), (5, Some(5)));
}
