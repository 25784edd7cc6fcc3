//! Three brokers: replication, failover, truncation, ISR.

use std::time::Duration;

use klamm_wire::ErrorCode;
use tokio::time::Instant;

use super::cluster::{Cluster, TOPIC};
use super::{batch, consumer_at, eventually};
use crate::partition::{Acks, FetchRead, Parked, Reader};

fn three_brokers() -> Cluster {
    let cluster = Cluster::start(3, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0, 1, 2], &[("min.insync.replicas", "2")]);
    cluster
}

async fn produce(cluster: &Cluster, broker: i32, records: usize) -> i64 {
    let append = cluster.partition(broker).append_leader(batch(records), Acks::All).unwrap();
    if let Some(ack) = append.ack {
        let acked = tokio::time::timeout(PATIENCE, ack).await;
        acked.expect("acknowledged in time").unwrap().unwrap();
    }
    append.appended.next_offset
}

const PATIENCE: Duration = Duration::from_secs(20);

fn bytes_of(cluster: &Cluster, broker: i32) -> bytes::Bytes {
    let partition = cluster.partition(broker);
    partition.read_for_replay(partition.log_start_offset(), 1 << 20, partition.log_end_offset()).unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_record_is_durable_on_every_in_sync_replica() {
    let cluster = three_brokers();
    for records in 1..20 {
        let end = produce(&cluster, 0, records).await;
        for broker in 0..3 {
            assert!(cluster.partition(broker).state.lock().log.durable_end() >= end, "broker {broker}");
        }
    }
    eventually("followers learn the high watermark", || {
        (0..3).all(|broker| cluster.partition(broker).high_watermark() == 190)
    })
    .await;
    assert_eq!(bytes_of(&cluster, 0), bytes_of(&cluster, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_survived_and_returns_to_the_isr() {
    let cluster = three_brokers();
    let acked = produce(&cluster, 0, 5).await;
    // Records that no follower has are lost with the leader: they were never acknowledged.
    cluster.kill_with_power_loss(0);
    cluster.elect(1, &[1, 2]);
    cluster.fence(0);
    assert_eq!(produce(&cluster, 1, 7).await, acked + 7);
    cluster.start_broker(0);
    eventually("the old leader is back in the ISR", || cluster.isr() == [0, 1, 2]).await;
    let end = produce(&cluster, 1, 1).await;
    assert!(cluster.partition(0).state.lock().log.durable_end() >= end);
    assert_eq!(bytes_of(&cluster, 0), bytes_of(&cluster, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_a_deposed_leader_are_truncated() {
    let cluster = three_brokers();
    produce(&cluster, 0, 5).await;
    cluster.kill(1);
    cluster.kill(2);
    let lost = cluster.partition(0).append_leader(batch(3), Acks::Leader).unwrap();
    if let Some(ack) = lost.ack {
        ack.await.unwrap().unwrap();
    }
    assert_eq!(cluster.partition(0).log_end_offset(), 8);
    cluster.kill(0);
    cluster.elect(1, &[1, 2]);
    cluster.start_broker(1);
    cluster.start_broker(2);
    produce(&cluster, 1, 1).await;
    cluster.start_broker(0);
    eventually("the deposed leader agrees with the new one", || {
        cluster.partition(0).log_end_offset() == 6 && bytes_of(&cluster, 0) == bytes_of(&cluster, 1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_leader_that_does_not_know_what_is_committed_says_so_when_asked_by_time() {
    const MAX_TIMESTAMP: i64 = -3;
    let cluster = three_brokers();
    produce(&cluster, 0, 5).await;
    let listed = |broker, timestamp| cluster.partition(broker).list_offset(timestamp, -1, false);
    let (first, last) = (listed(0, 0).unwrap(), listed(0, MAX_TIMESTAMP).unwrap());
    assert!(first.offset == 0 && last.offset >= 0, "{first:?} {last:?}");
    cluster.kill(0);
    cluster.kill(2);
    cluster.partition(1).state.lock().high_watermark = 0;
    cluster.elect(1, &[1, 2]);
    for timestamp in [0, MAX_TIMESTAMP] {
        assert_eq!(listed(1, timestamp).unwrap_err().code, ErrorCode::OffsetNotAvailable);
    }
    let later = listed(1, i64::MAX).unwrap();
    assert_eq!(later.offset, -1, "nothing is that late, committed or not");
    cluster.start_broker(2);
    eventually("it knows when its follower has fetched", || listed(1, 0).is_ok()).await;
    assert_eq!(listed(1, 0).unwrap().offset, first.offset);
    assert_eq!(listed(1, MAX_TIMESTAMP).unwrap().offset, last.offset);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn producers_that_wait_are_told_when_the_leader_is_deposed() {
    let cluster = three_brokers();
    cluster.kill(1);
    cluster.kill(2);
    let append = cluster.partition(0).append_leader(batch(1), Acks::All).unwrap();
    let parked = Parked::new();
    let end = cluster.partition(0).log_start_offset();
    assert_eq!(cluster.partition(0).fetch(&consumer_at(end), Some(&parked)).unwrap().bytes, 0);
    cluster.elect(1, &[1, 2]);
    let told = append.ack.unwrap().await.unwrap();
    assert_eq!(told, Err(ErrorCode::NotLeaderOrFollower));
    assert!(parked.is_over(), "a consumer looks for the new leader at once");
    let refused = cluster.partition(0).append_leader(batch(1), Acks::All).unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotLeaderOrFollower);
}

/// A leader of the past, cut off from the controllers, may be the leader in the image that a process starts with; it counts every
/// later process of its ISR.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_follows_nobody_before_its_image_has_its_registration() {
    let cluster = three_brokers();
    let end = produce(&cluster, 0, 1).await;
    cluster.kill(1);
    cluster.fence(1);
    cluster.set_isr(&[0, 2]);
    cluster.kill(2);
    let process = cluster.start_unregistered(2);
    let append = cluster.partition(0).append_leader(batch(1), Acks::All).unwrap();
    let mut ack = append.ack.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut ack).await.is_err());
    assert_eq!(cluster.partition(2).log_end_offset(), end);
    cluster.register(2, process);
    tokio::time::timeout(PATIENCE, ack).await.expect("acknowledged in time").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_min_isr_acks_all_is_refused_and_acks_1_is_not() {
    let cluster = three_brokers();
    produce(&cluster, 0, 1).await;
    // A fetch that was under way when they died would bring them back into the ISR, were they not fenced.
    for id in [1, 2] {
        cluster.kill(id);
        cluster.fence(id);
    }
    cluster.set_isr(&[0]);
    let refused = cluster.partition(0).append_leader(batch(1), Acks::All).unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotEnoughReplicas);
    if let Some(ack) = cluster.partition(0).append_leader(batch(1), Acks::Leader).unwrap().ack {
        ack.await.unwrap().unwrap();
    }
    assert_eq!(cluster.partition(0).high_watermark(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_follower_leaves_the_isr_and_is_no_longer_waited_for() {
    let cluster = Cluster::start(3, &[("replica.lag.time.max.ms", "300")]);
    cluster.create_topic(TOPIC, "orders", 1, &[0, 1, 2], &[("min.insync.replicas", "2")]);
    produce(&cluster, 0, 1).await;
    cluster.kill(2);
    produce(&cluster, 0, 1).await;
    assert_eq!(cluster.isr(), [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_follower_wakes_on_append() {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0, 7], &[]);
    let partition = cluster.partition(0);
    let reader = Reader::Follower { replica: 7, broker_epoch: 1 };
    let read = FetchRead { reader, current_leader_epoch: 0, ..consumer_at(0) };
    let parked = Parked::new();
    assert_eq!(partition.fetch(&read, Some(&parked)).unwrap().bytes, 0);
    let append = partition.append_leader(batch(1), Acks::All).unwrap();
    assert!(parked.is_over());
    assert!(partition.fetch(&read, None).unwrap().bytes > 0, "before it is committed");
    assert_eq!(partition.fetch(&FetchRead { fetch_offset: 1, ..read }, None).unwrap().bytes, 0);
    append.ack.unwrap().await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_starts_over_when_the_leaders_log_begins_later() {
    let cluster = three_brokers();
    produce(&cluster, 0, 5).await;
    cluster.kill(2);
    cluster.fence(2);
    cluster.set_isr(&[0, 1]);
    produce(&cluster, 0, 5).await;
    let deletion = cluster.partition(0).delete_records(8).unwrap();
    let deleted = cluster.partition(0).deleted(deletion, Instant::now() + PATIENCE).await;
    assert_eq!(deleted, Ok(8), "2 is in the ISR no longer");
    cluster.start_broker(2);
    eventually("the follower starts at the leader's start", || {
        let partition = cluster.partition(2);
        (partition.log_start_offset(), partition.log_end_offset()) == (8, 10)
    })
    .await;
    let end = produce(&cluster, 0, 1).await;
    assert_eq!(cluster.partition(2).log_end_offset(), end);
}

/// A deposed leader has records of its own, of which the new leader's log has something else in one batch, whose first records are
/// deleted: as far as the new leader can tell, the logs part where its own starts. It does not see that they part when the deposed
/// leader's ends there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_leader_starts_over_when_the_logs_part_where_the_new_leaders_starts_inside_a_batch() {
    for past_the_start in [5, 0] {
        let cluster = three_brokers();
        produce(&cluster, 0, 5).await;
        cluster.kill(1);
        cluster.kill(2);
        for records in [3, past_the_start].into_iter().filter(|records| *records > 0) {
            let lost = cluster.partition(0).append_leader(batch(records), Acks::Leader).unwrap();
            if let Some(ack) = lost.ack {
                ack.await.unwrap().unwrap();
            }
        }
        cluster.kill(0);
        cluster.elect(1, &[1, 2]);
        cluster.start_broker(1);
        cluster.start_broker(2);
        assert_eq!(produce(&cluster, 1, 10).await, 15);
        let deletion = cluster.partition(1).delete_records(8).unwrap();
        assert_eq!(cluster.partition(1).deleted(deletion, Instant::now() + PATIENCE).await, Ok(8));
        cluster.start_broker(0);
        eventually("the deposed leader agrees with the new one", || {
            let partition = cluster.partition(0);
            (partition.log_start_offset(), partition.log_end_offset()) == (8, 15)
                && bytes_of(&cluster, 0) == bytes_of(&cluster, 1)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_partitions_fail_over_at_once() {
    let cluster = Cluster::start(3, &[]);
    cluster.create_topic(TOPIC, "orders", 40, &[0, 1, 2], &[]);
    let produce_all = |broker: i32| {
        let registry = cluster.registry(broker);
        let append = |index| registry.get(&TOPIC, index).unwrap().append_leader(batch(3), Acks::All).unwrap();
        (0..40).filter_map(|index| append(index).ack).collect::<Vec<_>>()
    };
    for ack in produce_all(0) {
        ack.await.unwrap().unwrap();
    }
    cluster.kill(0);
    let moved = (0..40).map(|partition_id| {
        klamm_metadata::Record::from(klamm_wire::messages::partition_change_record::PartitionChangeRecord {
            partition_id,
            topic_id: TOPIC,
            leader: 1,
            isr: Some(vec![1, 2]),
            ..Default::default()
        })
    });
    cluster.commit(&moved.collect::<Vec<_>>());
    for ack in produce_all(1) {
        ack.await.unwrap().unwrap();
    }
    assert!((0..40).all(|index| cluster.registry(2).get(&TOPIC, index).unwrap().log_end_offset() == 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_deposed_before_it_wrote_anything_follows_again() {
    let cluster = three_brokers();
    produce(&cluster, 0, 5).await;
    cluster.elect(1, &[0, 1, 2]);
    cluster.elect(2, &[0, 1, 2]);
    let end = produce(&cluster, 2, 2).await;
    assert!((0..3).all(|broker| cluster.partition(broker).log_end_offset() == end));
}

/// Its leader epoch starts at the end of a log that is shorter than the next leader's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_epoch_at_the_end_of_a_log_is_forgotten_when_another_log_goes_on_there() {
    let cluster = three_brokers();
    produce(&cluster, 0, 5).await;
    cluster.kill(1);
    cluster.kill(2);
    let tail = cluster.partition(0).append_leader(batch(3), Acks::Leader).unwrap();
    if let Some(ack) = tail.ack {
        ack.await.unwrap().unwrap();
    }
    cluster.kill(0);
    cluster.start_broker(1);
    cluster.elect(1, &[0, 1, 2]);
    cluster.start_broker(0);
    cluster.elect(0, &[0, 1, 2]);
    cluster.start_broker(2);
    let end = produce(&cluster, 0, 1).await;
    assert!((0..3).all(|broker| cluster.partition(broker).log_end_offset() == end));
    assert_eq!(bytes_of(&cluster, 0), bytes_of(&cluster, 1));
    let epochs = |broker| cluster.partition(broker).state.lock().log.epochs().to_vec();
    assert_eq!(epochs(0), epochs(1));
}
