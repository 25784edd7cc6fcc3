//! Deleted records: who has deleted them before it is acknowledged.

use std::time::Duration;

use klamm_records::BatchBuilder;
use klamm_wire::ErrorCode;
use tokio::time::Instant;

use super::cluster::{Cluster, TOPIC};
use super::{batch, batch_of, consumer_at, eventually};
use crate::partition::{Acks, FetchRead, Parked, Reader};

const PATIENCE: Duration = Duration::from_secs(20);
const AT_ONCE: Duration = Duration::ZERO;

/// Deletes what lies before `offset`, on broker 0.
async fn delete(cluster: &Cluster, offset: i64, timeout: Duration) -> Result<i64, ErrorCode> {
    let partition = cluster.partition(0);
    let deletion = partition.delete_records(offset).map_err(|refused| refused.code)?;
    let deleted = partition.deleted(deletion, Instant::now() + timeout).await;
    deleted.map_err(|refused| refused.code)
}

/// Appends ten records on broker 0.
async fn produce(cluster: &Cluster, followers: &[i32]) {
    let append = cluster.partition(0).append_leader(batch(10), Acks::All).unwrap();
    followers.iter().for_each(|replica| fetch(cluster, *replica, 0));
    if let Some(ack) = append.ack {
        tokio::time::timeout(PATIENCE, ack).await.expect("acknowledged in time").unwrap().unwrap();
    }
}

/// Broker 0 leads ten records; 7 and 8 are in sync, and fetch when the test does.
async fn followers_by_hand() -> Cluster {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0, 7, 8], &[]);
    produce(&cluster, &[7, 8]).await;
    cluster
}

/// A fetch by a follower that holds everything from `log_start_offset` on.
fn follower_at(replica: i32, log_start_offset: i64) -> FetchRead {
    let reader = Reader::Follower { replica, broker_epoch: 1 };
    FetchRead { reader, log_start_offset, current_leader_epoch: 0, ..consumer_at(10) }
}

fn fetch(cluster: &Cluster, replica: i32, log_start_offset: i64) {
    drop(cluster.partition(0).fetch(&follower_at(replica, log_start_offset), None).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_deletion_outlives_the_leader() {
    for _ in 0..5 {
        let cluster = Cluster::start(3, &[]);
        cluster.create_topic(TOPIC, "orders", 1, &[0, 1, 2], &[("min.insync.replicas", "2")]);
        produce(&cluster, &[]).await;
        assert_eq!(delete(&cluster, 8, PATIENCE).await, Ok(8));
        cluster.kill(0);
        cluster.elect(1, &[1, 2]);
        assert_eq!(cluster.partition(1).list_offset(-2, -1, false).unwrap().offset, 8);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_waits_for_every_replica_that_may_be_elected() {
    let cluster = followers_by_hand().await;
    assert_eq!(delete(&cluster, 8, AT_ONCE).await, Err(ErrorCode::RequestTimedOut));
    fetch(&cluster, 7, 8);
    assert_eq!(delete(&cluster, 8, AT_ONCE).await, Err(ErrorCode::RequestTimedOut), "8 has not deleted them");
    fetch(&cluster, 8, 8);
    assert_eq!(delete(&cluster, 8, AT_ONCE).await, Ok(8));
    assert_eq!(delete(&cluster, 3, AT_ONCE).await, Ok(8), "the answer says how far it went");
    assert_eq!(delete(&cluster, -1, AT_ONCE).await, Err(ErrorCode::RequestTimedOut));
    assert_eq!(
        cluster.partition(0).log_start_offset(),
        10,
        "who does not wait has asked for it all the same"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_deletion_goes_on_when_the_last_follower_has_it() {
    let cluster = followers_by_hand().await;
    let partition = cluster.partition(0);
    let deletion = partition.delete_records(8).unwrap();
    fetch(&cluster, 8, 8);
    fetch(&cluster, 7, 8);
    assert_eq!(partition.deleted(deletion, Instant::now()).await, Ok(8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_deletion_goes_on_when_the_last_follower_leaves_the_isr() {
    let cluster = followers_by_hand().await;
    let partition = cluster.partition(0);
    let deletion = partition.delete_records(8).unwrap();
    fetch(&cluster, 7, 8);
    cluster.set_isr(&[0, 7]);
    assert_eq!(partition.deleted(deletion, Instant::now()).await, Ok(8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_deletion_is_told_when_the_leader_is_deposed() {
    let cluster = followers_by_hand().await;
    let partition = cluster.partition(0);
    let deletion = partition.delete_records(8).unwrap();
    cluster.elect(7, &[7, 8]);
    let refused = partition.deleted(deletion, Instant::now()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotLeaderOrFollower);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_follower_wakes_on_a_deletion() {
    let cluster = followers_by_hand().await;
    let partition = cluster.partition(0);
    let parked = Parked::new();
    assert_eq!(partition.fetch(&follower_at(7, 0), Some(&parked)).unwrap().log_start_offset, 0);
    drop(partition.delete_records(3).unwrap());
    assert!(parked.is_over());
    assert_eq!(partition.fetch(&follower_at(7, 0), None).unwrap().log_start_offset, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_begins_behind_deleted_records_knows_who_produced_them() {
    // All is deleted, or a batch of another producer is left.
    for start in [6, 4] {
        let cluster = Cluster::start(3, &[]);
        cluster.create_topic(TOPIC, "orders", 1, &[0, 1], &[("min.insync.replicas", "2")]);
        for (producer, sequence) in [(9, 0), (9, 2), (8, 0)] {
            let produced = batch_of(BatchBuilder::new(0).producer(producer, 0, sequence), 2);
            let append = cluster.partition(0).append_leader(produced, Acks::All).unwrap();
            tokio::time::timeout(PATIENCE, append.ack.unwrap()).await.unwrap().unwrap().unwrap();
        }
        assert_eq!(delete(&cluster, start, PATIENCE).await, Ok(start));
        cluster.move_to(0, &[0, 1, 2]);
        eventually("the new replica is told, and holds what is left", || {
            let partition = cluster.partition(2);
            let log = &partition.state.lock().log;
            (log.start_offset(), log.end_offset(), log.lacks_producers()) == (start, 6, false)
        })
        .await;
        cluster.kill(0);
        cluster.elect(2, &[1, 2]);
        let next = |sequence| {
            let produced = batch_of(BatchBuilder::new(0).producer(9, 0, sequence), 1);
            cluster.partition(2).append_leader(produced, Acks::All).map_err(|refused| refused.code)
        };
        assert_eq!(next(5).err(), Some(ErrorCode::OutOfOrderSequenceNumber), "4 comes first");
        assert!(next(4).is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_yet_to_be_told_of_producers_does_not_count_as_in_sync() {
    let cluster = followers_by_hand().await;
    let partition = cluster.partition(0);
    let mut ack = partition.append_leader(batch(10), Acks::All).unwrap().ack.unwrap();
    let at_the_end = |replica| FetchRead { fetch_offset: 20, ..follower_at(replica, 0) };
    let untold = FetchRead { lacks_producers: true, ..at_the_end(7) };
    drop(partition.fetch(&at_the_end(8), None).unwrap());
    assert!(partition.fetch(&untold, None).unwrap().producers.is_some());
    let early = tokio::time::timeout(Duration::from_millis(300), &mut ack).await;
    assert!(early.is_err(), "the answer may be lost, and this replica elected");
    drop(partition.fetch(&at_the_end(7), None).unwrap());
    tokio::time::timeout(PATIENCE, ack).await.expect("acknowledged in time").unwrap().unwrap();
}
