//! Disks that give back something else than they were given, below what recovery looks at.

use std::path::Path;

use klamm_log::{Chunk, FileChunk};
use klamm_wire::{ErrorCode, Segment};

use super::cluster::{Cluster, TOPIC};
use super::{batch, consumer_at, eventually};
use crate::net::Response;
use crate::partition::damage::Damage;
use crate::partition::{Acks, Fetched, Partition, file_range};

const SEGMENT: &str = "/data/orders-0/00000000000000000000.log";

pub(super) async fn produce(cluster: &Cluster, broker: i32, records: usize) {
    if let Some(ack) = cluster.partition(broker).append_leader(batch(records), Acks::All).unwrap().ack {
        let acked = tokio::time::timeout(std::time::Duration::from_secs(20), ack).await;
        acked.expect("acknowledged in time").unwrap().unwrap();
    }
}

async fn filled(brokers: &[i32]) -> Cluster {
    let cluster = Cluster::start(brokers.len(), &[]);
    cluster.create_topic(TOPIC, "orders", 1, brokers, &[]);
    for records in 1..60 {
        produce(&cluster, 0, records).await;
    }
    cluster
}

pub(super) fn bytes_of(cluster: &Cluster, broker: i32) -> Option<bytes::Bytes> {
    let partition = cluster.partition(broker);
    partition.read_for_replay(0, 1 << 20, partition.log_end_offset()).ok().map(|(bytes, _)| bytes)
}

/// Stops a broker cleanly, flips a bit of a batch in the middle of its log, and starts it.
fn rot(cluster: &Cluster, broker: i32) {
    cluster.shut_down(broker);
    cluster.disks[broker as usize].corrupt(Path::new(SEGMENT), 2_000, 4).unwrap();
    cluster.start_broker(broker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_finds_its_damage_and_fetches_again() {
    let cluster = filled(&[0, 1, 2]).await;
    let sound = bytes_of(&cluster, 0);
    rot(&cluster, 1);
    eventually("the copy is whole again", || bytes_of(&cluster, 1) == sound).await;
    eventually("it is back in the ISR", || cluster.isr() == [0, 1, 2]).await;
    produce(&cluster, 0, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_hands_its_damaged_copy_over_and_fetches_again() {
    let cluster = filled(&[0, 1, 2]).await;
    let sound = bytes_of(&cluster, 1);
    rot(&cluster, 0);
    eventually("another leads", || cluster.partition(0).led_epoch().is_none()).await;
    eventually("the copy is whole again", || bytes_of(&cluster, 0) == sound).await;
    eventually("it is back in the ISR", || cluster.isr() == [0, 1, 2]).await;
    assert!(cluster.partition(1).led_epoch().is_some());
    produce(&cluster, 1, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_copy_is_kept_and_only_its_damage_refused() {
    let cluster = filled(&[0]).await;
    let end = cluster.partition(0).log_end_offset();
    rot(&cluster, 0);
    let partition = cluster.partition(0);
    let read = |offset| partition.fetch_blocking(&FetchOne::at(offset));
    let served: Vec<bool> = (0..end).map(|offset| read(offset).is_ok()).collect();
    assert!(served.first() == Some(&true) && served.last() == Some(&true), "{served:?}");
    let refused = (0..end).find_map(|offset| read(offset).err()).expect("the damage is not served");
    assert_eq!(refused.code, ErrorCode::KafkaStorageError);
    assert_eq!(partition.log_end_offset(), end, "nothing is cut where nobody else has it");
    produce(&cluster, 0, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_copy_that_nobody_wants_any_more_is_let_go() {
    let cluster = filled(&[0]).await;
    rot(&cluster, 0);
    let partition = std::sync::Arc::downgrade(&cluster.partition(0));
    let is_found = |damage| matches!(damage, Damage::Found { .. });
    eventually("it asks whether others hold it", || {
        partition.upgrade().is_some_and(|partition| is_found(partition.state.lock().damage))
    })
    .await;
    cluster.delete_topic(TOPIC);
    eventually("nobody holds it", || partition.strong_count() == 0).await;
}

/// The disk cannot read a sector any more that this very process has written, or has checked before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_cannot_read_a_sector_hands_its_copy_over() {
    let cluster = filled(&[0, 1, 2]).await;
    let sound = bytes_of(&cluster, 1);
    cluster.partition(0).change(|state, _, _| state.log.set_tail_cache_limit(0));
    cluster.disks[0].fail_reads_of(Path::new(SEGMENT), 2_000..2_512).unwrap();
    let end = cluster.partition(0).log_end_offset();
    let refused =
        (0..end).find_map(|offset| cluster.partition(0).fetch_blocking(&FetchOne::at(offset)).err());
    assert_eq!(refused.expect("some are not readable").code, ErrorCode::KafkaStorageError);
    eventually("another leads", || cluster.partition(1).led_epoch().is_some()).await;
    eventually("the copy is whole again", || bytes_of(&cluster, 0) == sound).await;
    eventually("it is back in the ISR", || cluster.isr() == [0, 1, 2]).await;
    assert!(!cluster.registry(0).is_offline());
}

/// The same sector within the records: reading a range looks at headers only, so it is met when the answer is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_cannot_read_a_sector_while_it_answers_hands_its_copy_over() {
    let cluster = filled(&[0, 1, 2]).await;
    let sound = bytes_of(&cluster, 1);
    cluster.partition(0).change(|state, _, _| state.log.set_tail_cache_limit(0));
    let chunk = file_chunk(&cluster.partition(0), 500);
    let inside = chunk.position as usize + 100;
    assert!(chunk.length > 200, "behind its header");
    cluster.disks[0].fail_reads_of(Path::new(SEGMENT), inside..inside + 1).unwrap();
    let fetched = cluster.partition(0).fetch_blocking(&FetchOne::at(500)).expect("headers can be read");
    send(fetched).await.expect_err("the disk does not have it");
    eventually("another leads", || cluster.partition(1).led_epoch().is_some()).await;
    eventually("the copy is whole again", || bytes_of(&cluster, 0) == sound).await;
    eventually("it is back in the ISR", || cluster.isr() == [0, 1, 2]).await;
    assert!(!cluster.registry(0).is_offline());
}

/// The range of the file in which the batch with this offset lies.
fn file_chunk(partition: &std::sync::Arc<Partition>, offset: i64) -> FileChunk {
    let fetched = partition.fetch_blocking(&FetchOne::at(offset)).unwrap();
    match fetched.chunks.as_slice() {
        [Chunk::File(chunk)] => chunk.clone(),
        other => panic!("not one range of a file: {other:?}"),
    }
}

/// Sends what was read as an answer does.
async fn send(fetched: Fetched) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let stream = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
    let (_peer, _) = listener.accept().await?;
    let (mut segments, mut files) = (Vec::new(), Vec::new());
    for chunk in fetched.chunks {
        let Chunk::File(chunk) = chunk else { panic!("in memory") };
        let (index, length) = (files.len() as u32, chunk.length as u32);
        segments.push(Segment::External { index, length });
        files.push(file_range(fetched.partition.clone(), chunk));
    }
    Response { segments, files }.write(&stream).await
}

/// A consumer's read of one batch.
struct FetchOne;

impl FetchOne {
    fn at(offset: i64) -> super::FetchRead {
        super::FetchRead { max_bytes: 1, ..consumer_at(offset) }
    }
}
