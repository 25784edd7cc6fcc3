//! The registry: start-up, shutdown, deletion, strays, configuration.

use klamm_log::Disk;
use klamm_records::{BatchBuilder, batches};
use klamm_wire::ErrorCode;
use uuid::Uuid;

use super::cluster::{Cluster, TOPIC};
use super::{batch, consumer_at, eventually};
use crate::partition::Acks;

async fn produce(cluster: &Cluster) {
    let append = cluster.partition(0).append_leader(batch(5), Acks::All).unwrap();
    if let Some(ack) = append.ack {
        ack.await.unwrap().unwrap();
    }
}

fn directories(cluster: &Cluster) -> Vec<String> {
    let mut names: Vec<String> = cluster.disks[0]
        .list(std::path::Path::new("/data"))
        .unwrap()
        .into_iter()
        .filter(|entry| entry.is_dir)
        .map(|entry| entry.name)
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_shutdown_keeps_logs_and_high_watermarks() {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 3, &[0], &[]);
    produce(&cluster).await;
    cluster.shut_down(0);
    cluster.start_broker(0);
    let partition = cluster.partition(0);
    assert_eq!((partition.log_end_offset(), partition.high_watermark()), (5, 5));
    assert!(partition.fetch_blocking(&consumer_at(0)).unwrap().bytes > 0);
    assert_eq!(cluster.registry(0).all().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_topic_leaves_and_its_name_can_be_used_again() {
    let cluster = Cluster::start(1, &[("replica.high.watermark.checkpoint.interval.ms", "100")]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    produce(&cluster).await;
    let old = cluster.partition(0);
    cluster.delete_topic(TOPIC);
    assert!(cluster.registry(0).get(&TOPIC, 0).is_none());
    assert_eq!(old.append_leader(batch(1), Acks::All).unwrap_err().code, ErrorCode::UnknownTopicOrPartition);
    let again = Uuid::from_u128(0x71);
    cluster.create_topic(again, "orders", 1, &[0], &[]);
    assert_eq!(cluster.registry(0).get(&again, 0).unwrap().log_end_offset(), 0);
    eventually("the old files are gone", || directories(&cluster) == ["orders-0"]).await;
    assert!(!cluster.registry(0).is_offline());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_created_again_while_the_broker_was_down_does_not_get_the_old_records() {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    produce(&cluster).await;
    cluster.kill(0);
    cluster.delete_topic(TOPIC);
    let again = Uuid::from_u128(0x71);
    cluster.create_topic(again, "orders", 1, &[0], &[]);
    cluster.start_broker(0);
    assert_eq!(cluster.registry(0).get(&again, 0).unwrap().log_end_offset(), 0);
    assert!(directories(&cluster).iter().any(|name| name.ends_with("-stray")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strays_are_set_aside_not_served() {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    produce(&cluster).await;
    cluster.kill(0);
    cluster.delete_topic(TOPIC);
    cluster.start_broker(0);
    cluster.registry(0).set_strays_aside();
    assert!(cluster.registry(0).all().is_empty());
    assert!(directories(&cluster).iter().all(|name| name.ends_with("-stray")));
}

const IDENTITY: &str = "/data/orders-0/partition.metadata";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_identity_is_damaged_stays_where_it_is() {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    produce(&cluster).await;
    for records in [5, 10] {
        cluster.kill(0);
        let file = cluster.disks[0].open(IDENTITY.as_ref(), klamm_log::OpenMode::Replace).unwrap();
        file.write_at(&[std::io::IoSlice::new(b"vorsion")], 0).unwrap();
        drop(file);
        cluster.start_broker(0);
        cluster.registry(0).set_strays_aside();
        assert_eq!(cluster.registry(0).all().len(), 1, "opened once");
        assert_eq!(directories(&cluster), ["orders-0"]);
        assert_eq!(cluster.partition(0).log_end_offset(), records);
        produce(&cluster).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_replica_that_lost_its_identity_in_a_power_failure_leaves_nothing_behind() {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    cluster.kill(0);
    cluster.disks[0].remove_file(IDENTITY.as_ref()).unwrap();
    cluster.start_broker(0);
    cluster.registry(0).set_strays_aside();
    assert_eq!(directories(&cluster), ["orders-0"]);
    produce(&cluster).await;
    cluster.kill(0);
    cluster.disks[0].remove_file(IDENTITY.as_ref()).unwrap();
    cluster.delete_topic(TOPIC);
    cluster.start_broker(0);
    cluster.registry(0).set_strays_aside();
    // What nobody knows any more is kept if it holds anything.
    assert!(directories(&cluster).iter().all(|name| name.ends_with("-stray")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_directory_without_an_identity_that_no_topic_needs_is_removed() {
    let cluster = Cluster::start(1, &[("replica.high.watermark.checkpoint.interval.ms", "100")]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    cluster.kill(0);
    cluster.disks[0].remove_file(IDENTITY.as_ref()).unwrap();
    cluster.delete_topic(TOPIC);
    cluster.start_broker(0);
    cluster.registry(0).set_strays_aside();
    assert!(cluster.registry(0).all().is_empty());
    eventually("it is gone", || directories(&cluster).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_moved_away_is_removed_also_when_its_broker_was_down() {
    let fast = [("replica.high.watermark.checkpoint.interval.ms", "100")];
    let cluster = Cluster::start(2, &fast);
    cluster.create_topic(TOPIC, "orders", 2, &[0], &[]);
    produce(&cluster).await;
    cluster.move_to(0, &[1]);
    assert!(cluster.registry(0).get(&TOPIC, 0).is_none());
    eventually("the moved replica's files are gone", || directories(&cluster) == ["orders-1"]).await;
    cluster.kill(0);
    cluster.move_to(1, &[1]);
    cluster.start_broker(0);
    cluster.registry(0).set_strays_aside();
    assert!(cluster.registry(0).all().is_empty());
    eventually("the other's, too", || directories(&cluster).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_config_holds_at_once() {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    produce(&cluster).await;
    let limit = klamm_wire::messages::config_record::ConfigRecord {
        resource_type: 2,
        resource_name: "orders".into(),
        name: "max.message.bytes".into(),
        value: Some("100".into()),
        ..Default::default()
    };
    cluster.commit(&[limit.into()]);
    let refused = cluster.partition(0).append_leader(batch(50), Acks::All).unwrap_err();
    assert_eq!(refused.code, ErrorCode::MessageTooLarge);
}

/// Key and value of every record of the partition.
fn records(cluster: &Cluster) -> Vec<(Vec<u8>, Vec<u8>)> {
    let partition = cluster.partition(0);
    let (mut found, mut at) = (Vec::new(), 0);
    while at < partition.log_end_offset() {
        let (bytes, next) = partition.read_for_replay(at, 1 << 20, i64::MAX).unwrap();
        at = next;
        for batch in batches(bytes).map(Result::unwrap) {
            let kept = batch.records(1 << 20).unwrap().map(Result::unwrap);
            found.extend(kept.map(|r| (r.key.unwrap().to_vec(), r.value.unwrap().to_vec())));
        }
    }
    found
}

async fn churn(cluster: &Cluster, values: std::ops::Range<i32>) {
    for value in values {
        let mut builder = BatchBuilder::new(0);
        let (key, value) = ([(value % 3) as u8], value.to_be_bytes());
        builder.push(crate::clock::now_ms(), Some(&key), Some(&value), &[]).unwrap();
        let append = cluster.partition(0).append_leader(builder.finish().unwrap(), Acks::All).unwrap();
        if let Some(ack) = append.ack {
            ack.await.unwrap().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compacted_topic_keeps_the_last_value_of_each_key_and_stays_small() {
    let cluster = Cluster::start(1, &[("log.cleaner.backoff.ms", "100")]);
    let policy =
        [("cleanup.policy", "compact"), ("segment.bytes", "1000"), ("min.cleanable.dirty.ratio", "0.2")];
    cluster.create_topic(TOPIC, "table", 1, &[0], &policy);
    for round in 1..4 {
        churn(&cluster, (round - 1) * 300..round * 300).await;
        eventually("old values go", || records(&cluster).len() < 60).await;
        let last: std::collections::BTreeMap<_, _> = records(&cluster).into_iter().collect();
        let newest = (round * 300 - 3..round * 300).map(|v| (vec![(v % 3) as u8], v.to_be_bytes().to_vec()));
        assert_eq!(last, newest.collect());
        match round % 2 {
            0 => cluster.shut_down(0),
            _ => cluster.kill_with_power_loss(0),
        }
        cluster.start_broker(0);
        assert_eq!(cluster.partition(0).log_end_offset(), i64::from(round) * 300);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_records_go_soon_after_a_start_and_offsets_go_on() {
    let cluster = Cluster::start(1, &[("log.initial.task.delay.ms", "100")]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[("retention.ms", "0")]);
    produce(&cluster).await;
    cluster.kill(0);
    cluster.start_broker(0);
    let first = || cluster.partition(0).list_offset(-2, -1, false).unwrap().offset;
    eventually("the records are gone", || first() == 5).await;
    cluster.kill_with_power_loss(0);
    cluster.start_broker(0);
    assert_eq!(cluster.partition(0).log_end_offset(), 5);
}

/// The first job of a log is held up just before it makes the segment's file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_out_while_its_topic_is_deleted_leaves_nothing_in_the_next_one() {
    let cluster = std::sync::Arc::new(Cluster::start(1, &[]));
    cluster.create_topic(TOPIC, "orders", 1, &[0], &[]);
    let (arrived, arrivals) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let held = parking_lot::Mutex::new(Some((arrived, released)));
    cluster.disks[0].on_open(move |path| {
        if path.ends_with("orders-0/00000000000000000000.log")
            && let Some((arrived, released)) = held.lock().take()
        {
            arrived.send(()).unwrap();
            released.recv().unwrap();
        }
    });
    let old = cluster.partition(0);
    old.append_leader(batch(5), Acks::None).unwrap();
    arrivals.recv().unwrap();
    let (made, is_made) = std::sync::mpsc::channel();
    let (controller, again) = (std::sync::Arc::clone(&cluster), Uuid::from_u128(0x71));
    let changes = std::thread::spawn({
        let runtime = tokio::runtime::Handle::current();
        move || {
            let _inside = runtime.enter();
            controller.delete_topic(TOPIC);
            controller.create_topic(again, "orders", 1, &[0], &[]);
            made.send(()).unwrap();
        }
    });
    // It is made only behind the write; a broker that does not wait has time to be wrong.
    let _too_early = is_made.recv_timeout(std::time::Duration::from_millis(500));
    release.send(()).unwrap();
    changes.join().unwrap();
    eventually("the write is over", || old.state.lock().io == crate::partition::replica::Io::Idle).await;
    let files = cluster.disks[0].list(std::path::Path::new("/data/orders-0")).unwrap();
    let foreign: Vec<_> = files.iter().filter(|file| file.name.ends_with(".log")).collect();
    assert!(foreign.is_empty(), "{files:?}");
    cluster.kill(0);
    cluster.start_broker(0);
    assert_eq!(cluster.registry(0).get(&again, 0).unwrap().log_end_offset(), 0);
}
