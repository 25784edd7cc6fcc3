//! Leader epochs that no leader had: a flipped bit that nothing on the disk contradicts, as the epoch checkpoint is damaged, too.

use std::path::Path;

use klamm_log::{Disk, OpenMode};
use klamm_records::batches;

use super::cluster::{Cluster, TOPIC};
use super::rot::{bytes_of, produce};
use super::{consumer_at, eventually};
use crate::partition::Partition;
use crate::partition::damage::Damage;

const SEGMENT: &str = "/data/orders-0/00000000000000000000.log";
const EPOCHS: &str = "/data/orders-0/leader-epoch-checkpoint";
/// Where a batch has its leader epoch.
const EPOCH_AT: u64 = 12;
const BATCHES: usize = 20;
/// Where the last batch begins, which gets another epoch.
const LAST: i64 = (BATCHES * (BATCHES - 1) / 2) as i64;

/// A partition on these brokers with batches of 1, 2, 3 records and so on, all in the first leader epoch.
async fn filled(brokers: &[i32]) -> Cluster {
    let cluster = Cluster::start(brokers.len(), &[]);
    cluster.create_topic(TOPIC, "orders", 1, brokers, &[]);
    for records in 1..=BATCHES {
        produce(&cluster, 0, records).await;
    }
    cluster
}

fn leader_epoch(cluster: &Cluster) -> i32 {
    cluster.image().partition("orders", 0).unwrap().leader_epoch
}

fn damage_of(partition: &Partition) -> Damage {
    partition.state.lock().damage
}

/// The contents of a file of a broker.
fn contents(cluster: &Cluster, broker: i32, path: &str) -> Vec<u8> {
    let file = cluster.disks[broker as usize].open(Path::new(path), OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

/// Kills a broker; a bit flips in its epoch checkpoint, and one in the epoch of its last batch.
fn raise_last_epoch(cluster: &Cluster, broker: i32) {
    cluster.kill(broker);
    let disk = &cluster.disks[broker as usize];
    disk.corrupt(Path::new(EPOCHS), 0, 4).unwrap();
    let all = batches(contents(cluster, broker, SEGMENT).into()).map(Result::unwrap);
    let sizes: Vec<u64> = all.map(|batch| batch.bytes.len() as u64).collect();
    let last: u64 = sizes[..sizes.len() - 1].iter().sum();
    disk.corrupt(Path::new(SEGMENT), last + EPOCH_AT + 2, 1).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_gives_up_what_begins_with_an_epoch_that_no_leader_had() {
    let cluster = filled(&[0, 1, 2]).await;
    let sound = bytes_of(&cluster, 0);
    raise_last_epoch(&cluster, 1);
    cluster.start_broker(1);
    eventually("the copy is whole again", || bytes_of(&cluster, 1) == sound).await;
    eventually("it is back in the ISR", || cluster.isr() == [0, 1, 2]).await;
    produce(&cluster, 0, 1).await;
    assert_eq!(leader_epoch(&cluster), 1, "the controller is told once");
}

/// Whoever leads begins its epoch at the log's end, which must not hide what is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_with_an_epoch_that_no_leader_had_hands_over() {
    let cluster = filled(&[0, 1, 2]).await;
    let sound = bytes_of(&cluster, 1);
    cluster.kill(1);
    cluster.kill(2);
    raise_last_epoch(&cluster, 0);
    cluster.start_broker(0);
    eventually("it is cut before that epoch", || cluster.partition(0).log_end_offset() == LAST).await;
    assert_eq!(cluster.isr(), [1, 2]);
    cluster.start_broker(1);
    cluster.start_broker(2);
    eventually("the copy is whole again", || bytes_of(&cluster, 0) == sound).await;
    eventually("it is back in the ISR", || cluster.isr() == [0, 1, 2]).await;
    produce(&cluster, 1, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_else_has_it_nothing_is_cut() {
    let cluster = filled(&[0]).await;
    let end = cluster.partition(0).log_end_offset();
    raise_last_epoch(&cluster, 0);
    cluster.start_broker(0);
    let partition = cluster.partition(0);
    assert_eq!(damage_of(&partition), Damage::Found { offset: LAST });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!((damage_of(&partition), partition.log_end_offset()), (Damage::Found { offset: LAST }, end));
    assert!(partition.fetch_blocking(&consumer_at(0)).unwrap().bytes > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_that_may_be_older_than_the_log_show_no_damage() {
    let cluster = filled(&[0, 1]).await;
    let before = cluster.image();
    cluster.elect(0, &[0, 1]);
    produce(&cluster, 0, 1).await;
    let end = cluster.partition(0).log_end_offset();
    eventually("the follower has it", || cluster.partition(1).log_end_offset() == end).await;
    cluster.kill(1);
    let process = cluster.start_behind(1, &before);
    assert_eq!(damage_of(&cluster.partition(1)), Damage::None);
    cluster.register(1, process);
    produce(&cluster, 0, 1).await;
    assert_eq!((damage_of(&cluster.partition(1)), leader_epoch(&cluster)), (Damage::None, 1));

    raise_last_epoch(&cluster, 1);
    let process = cluster.start_unregistered(1);
    assert!(cluster.partition(1).state.lock().log.latest_epoch() > Some(1));
    assert_eq!(damage_of(&cluster.partition(1)), Damage::None, "it is not registered");
    cluster.register(1, process);
    eventually("it is mended", || cluster.partition(1).state.lock().log.latest_epoch() == Some(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_damages_the_first_counts_and_the_controller_hears_of_one() {
    for (known, counts) in [(3, 3), (LAST + 1, LAST)] {
        let cluster = filled(&[0, 1]).await;
        raise_last_epoch(&cluster, 1);
        let process = cluster.start_unregistered(1);
        cluster.partition(1).state.lock().damage = Damage::Found { offset: known };
        cluster.register(1, process);
        cluster.set_isr(&[0, 1]);
        assert_eq!(damage_of(&cluster.partition(1)), Damage::Found { offset: counts });
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert_eq!(leader_epoch(&cluster), 0, "whoever has found it tells");
    }
}

/// It may be of a quorum that was lost, where a topic of this name had other leaders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_does_not_say_whose_it_is_is_not_compared() {
    let cluster = filled(&[0, 1]).await;
    let end = cluster.partition(1).log_end_offset();
    raise_last_epoch(&cluster, 1);
    for name in ["partition.metadata", "partition.metadata.crc32c"] {
        cluster.disks[1].remove_file(&Path::new("/data/orders-0").join(name)).unwrap();
    }
    cluster.start_broker(1);
    cluster.set_isr(&[0, 1]);
    let partition = cluster.partition(1);
    assert!(partition.state.lock().log.latest_epoch() > Some(0));
    assert_eq!((damage_of(&partition), partition.log_end_offset()), (Damage::None, end));
}
