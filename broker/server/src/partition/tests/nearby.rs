//! Followers that serve consumers.

use klamm_wire::ErrorCode;

use super::cluster::{Cluster, TOPIC};
use super::{batch, consumer_at, eventually};
use crate::partition::{Acks, FetchRead, Parked, Reader};

fn nearby_at(fetch_offset: i64) -> FetchRead {
    FetchRead { reader: Reader::NearbyConsumer, ..consumer_at(fetch_offset) }
}

async fn produce(cluster: &Cluster) {
    let append = cluster.partition(0).append_leader(batch(5), Acks::All).unwrap();
    append.ack.unwrap().await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_serves_what_it_knows_to_be_committed() {
    let cluster = Cluster::start(2, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0, 1], &[]);
    produce(&cluster).await;
    let follower = cluster.partition(1);
    eventually("the follower knows the high watermark", || follower.high_watermark() == 5).await;
    let fetched = follower.fetch_blocking(&nearby_at(0)).unwrap();
    assert!(fetched.bytes > 0 && fetched.high_watermark == 5);
    let code = |read: FetchRead| follower.fetch(&read, None).unwrap_err().code;
    assert_eq!(code(consumer_at(0)), ErrorCode::NotLeaderOrFollower, "an old client");
    assert_eq!(code(nearby_at(6)), ErrorCode::OffsetNotAvailable);
    assert_eq!(code(nearby_at(-1)), ErrorCode::OffsetOutOfRange);
    let epoch = |current_leader_epoch| FetchRead { current_leader_epoch, ..nearby_at(0) };
    assert_eq!(code(epoch(1)), ErrorCode::UnknownLeaderEpoch);
    cluster.elect(0, &[0, 1]);
    assert_eq!(code(epoch(0)), ErrorCode::FencedLeaderEpoch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_at_a_follower_is_woken_by_the_high_watermark() {
    let cluster = Cluster::start(2, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0, 1], &[]);
    let waiting = Parked::new();
    let follower = cluster.partition(1);
    assert_eq!(follower.fetch(&nearby_at(0), Some(&waiting)).unwrap().bytes, 0);
    produce(&cluster).await;
    assert!(waiting.wait(std::time::Duration::from_secs(20)).await, "nobody woke it");
    assert_eq!(follower.high_watermark(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_knows_the_follower_that_holds_an_offset() {
    let cluster = Cluster::start(3, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0, 1, 2], &[]);
    produce(&cluster).await;
    let leader = cluster.partition(0);
    let near = |offset, id: i32| leader.nearby_replica(offset, |other| other == id);
    eventually("the leader knows where its followers are", || near(5, 1) == Some(1)).await;
    assert_eq!(near(6, 1), None, "nobody has that");
    assert_eq!(near(0, 0), None, "the leader is no follower");
    cluster.set_isr(&[0, 2]);
    eventually("2 is known", || near(5, 2) == Some(2)).await;
    assert_eq!(cluster.partition(2).nearby_replica(0, |_| true), None, "a follower knows nobody");
}
