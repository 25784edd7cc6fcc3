//! One broker: producing, fetching, waiting, looking offsets up.

use std::time::Duration;

use klamm_records::BatchBuilder;
use klamm_replica::EpochEnd;
use klamm_wire::ErrorCode;

use super::cluster::{Cluster, TOPIC};
use super::{batch, batch_of, consumer_at};
use crate::partition::{Acks, FetchRead, Parked, Reader};

fn one_broker(configs: &[(&str, &str)]) -> Cluster {
    let cluster = Cluster::start(1, &[]);
    cluster.create_topic(TOPIC, "orders", 1, &[0], configs);
    cluster
}

const MULTI: &str = "needs the runtime's threads";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_batch_is_durable_and_comes_back_as_it_was_sent() {
    let cluster = one_broker(&[]);
    let partition = cluster.partition(0);
    let append = partition.append_leader(batch(3), Acks::All).unwrap();
    assert_eq!((append.appended.base_offset, append.appended.next_offset), (0, 3));
    append.ack.expect(MULTI).await.unwrap().unwrap();
    assert_eq!(partition.state.lock().log.durable_end(), 3);
    let fetched = partition.fetch(&consumer_at(0), None).unwrap();
    assert_eq!((fetched.high_watermark, fetched.bytes > 0), (3, true));
    let (bytes, next) = partition.read_for_replay(0, 1 << 20, 3).unwrap();
    assert_eq!((bytes.len(), next), (fetched.bytes, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acks_1_waits_for_the_flush_policy_and_acks_0_for_nothing() {
    let cluster = one_broker(&[]);
    let partition = cluster.partition(0);
    assert!(partition.append_leader(batch(1), Acks::None).unwrap().ack.is_none());
    if let Some(ack) = partition.append_leader(batch(1), Acks::Leader).unwrap().ack {
        ack.await.unwrap().unwrap();
    }
    assert!(partition.state.lock().log.durable_end() >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_flush_messages_an_ack_does_not_wait_for_the_disk() {
    let cluster = one_broker(&[("flush.messages", "9223372036854775807")]);
    let partition = cluster.partition(0);
    let syncs = cluster.disks[0].sync_count();
    for _ in 0..20 {
        if let Some(ack) = partition.append_leader(batch(1), Acks::All).unwrap().ack {
            ack.await.unwrap().unwrap();
        }
    }
    assert_eq!(cluster.disks[0].sync_count(), syncs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_flush_covers_all_appends_that_wait() {
    let cluster = one_broker(&[]);
    let partition = cluster.partition(0);
    let append = |_| partition.append_leader(batch(1), Acks::All).unwrap().ack;
    let acks: Vec<_> = (0..500).filter_map(append).collect();
    let waited = acks.len() as u64;
    for ack in acks {
        ack.await.unwrap().unwrap();
    }
    let syncs = cluster.disks[0].sync_count();
    assert!(syncs < 500, "{syncs} syncs for {waited} waiting appends");
    assert_eq!(partition.high_watermark(), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_batch_gets_its_first_offset_again() {
    let cluster = one_broker(&[]);
    let partition = cluster.partition(0);
    let sequenced = |sequence| batch_of(BatchBuilder::new(0).producer(9, 0, sequence), 2);
    let first = partition.append_leader(sequenced(0), Acks::All).unwrap();
    first.ack.expect(MULTI).await.unwrap().unwrap();
    let second = partition.append_leader(sequenced(2), Acks::All).unwrap();
    assert_eq!(second.appended.base_offset, 2);
    let again = partition.append_leader(sequenced(0), Acks::All).unwrap();
    assert_eq!(again.appended.base_offset, 0);
    assert!(again.ack.is_none(), "it is committed already");
    let gap = partition.append_leader(sequenced(9), Acks::All).unwrap_err();
    assert_eq!(gap.code, ErrorCode::OutOfOrderSequenceNumber);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_batches_are_refused_with_kafkas_codes() {
    let cluster = one_broker(&[("max.message.bytes", "200"), ("message.timestamp.after.max.ms", "3600000")]);
    let partition = cluster.partition(0);
    let code = |bytes| partition.append_leader(bytes, Acks::All).unwrap_err().code;
    let mut damaged = batch(1);
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert_eq!(code(damaged), ErrorCode::CorruptMessage);
    assert_eq!(code(batch(50)), ErrorCode::MessageTooLarge);
    let mut late = BatchBuilder::new(0);
    late.push(i64::MAX / 2, None, None, &[]).unwrap();
    assert_eq!(code(late.finish().unwrap()), ErrorCode::InvalidTimestamp);
    let mut two = batch(1);
    two.extend_from_slice(&batch(1));
    assert!(matches!(code(two), ErrorCode::InvalidRecord | ErrorCode::MessageTooLarge));
    let open_for_ever = batch_of(BatchBuilder::new(0).producer(1, 0, 0).transactional(), 1);
    assert_eq!(code(open_for_ever), ErrorCode::InvalidTxnState);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compacted_topic_wants_keys() {
    let cluster = one_broker(&[("cleanup.policy", "compact")]);
    let refused = cluster.partition(0).append_leader(batch(1), Acks::All).unwrap_err();
    assert_eq!(refused.code, ErrorCode::InvalidRecord);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_consumer_wakes_when_records_are_committed() {
    let cluster = one_broker(&[]);
    let partition = cluster.partition(0);
    let parked = Parked::new();
    assert_eq!(partition.fetch(&consumer_at(0), Some(&parked)).unwrap().bytes, 0);
    let append = partition.append_leader(batch(1), Acks::Leader).unwrap();
    assert!(parked.wait(Duration::from_secs(10)).await);
    assert!(partition.fetch(&consumer_at(0), None).unwrap().bytes > 0);
    drop(append);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_are_fenced_by_epoch_and_range() {
    let cluster = one_broker(&[]);
    cluster.elect(0, &[0]);
    let partition = cluster.partition(0);
    let code = |read: FetchRead| partition.fetch(&read, None).unwrap_err().code;
    assert_eq!(code(FetchRead { current_leader_epoch: 0, ..consumer_at(0) }), ErrorCode::FencedLeaderEpoch);
    assert_eq!(code(FetchRead { current_leader_epoch: 2, ..consumer_at(0) }), ErrorCode::UnknownLeaderEpoch);
    assert_eq!(code(consumer_at(1)), ErrorCode::OffsetOutOfRange);
    let stranger = Reader::Follower { replica: 7, broker_epoch: 1 };
    assert_eq!(code(FetchRead { reader: stranger, ..consumer_at(0) }), ErrorCode::NotLeaderOrFollower);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_whose_log_parts_is_told_where() {
    let cluster = one_broker(&[]);
    let partition = cluster.partition(0);
    partition.append_leader(batch(4), Acks::All).unwrap().ack.expect(MULTI).await.unwrap().unwrap();
    cluster.elect(0, &[0]);
    let diverged = FetchRead { last_fetched_epoch: 0, ..consumer_at(4) };
    assert_eq!(partition.fetch(&diverged, None).unwrap().diverging, None);
    partition.append_leader(batch(4), Acks::All).unwrap().ack.expect(MULTI).await.unwrap().unwrap();
    let diverged = FetchRead { last_fetched_epoch: 0, ..consumer_at(6) };
    let end = EpochEnd { epoch: 0, end_offset: 4 };
    assert_eq!(partition.fetch(&diverged, None).unwrap().diverging, Some(end));
    assert_eq!(partition.epoch_end(0, -1, || false).unwrap(), end);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_have_been_replaced_does_not_say_that_a_later_epoch_ends_early() {
    let cluster = one_broker(&[]);
    let partition = cluster.partition(0);
    partition.append_leader(batch(4), Acks::All).unwrap().ack.expect(MULTI).await.unwrap().unwrap();
    assert_eq!(partition.epoch_end(0, -1, || false).unwrap(), EpochEnd { epoch: 0, end_offset: 4 });
    let refused = partition.epoch_end(1, -1, || false).unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotLeaderOrFollower);
    assert!(partition.epoch_end(1, -1, || true).is_ok(), "a topic that was made anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_found_and_records_deleted() {
    let cluster = one_broker(&[]);
    let partition = cluster.partition(0);
    partition.append_leader(batch(10), Acks::All).unwrap().ack.expect(MULTI).await.unwrap().unwrap();
    let offset = |timestamp| partition.list_offset(timestamp, -1, false).unwrap().offset;
    assert_eq!((offset(-1), offset(-2), offset(0)), (10, 0, 0));
    assert_eq!(offset(i64::MAX / 2), -1);
    assert_eq!((offset(-4), offset(-5), offset(-6)), (0, -1, -1), "there is no tiered storage");
    assert!(partition.list_offset(-7, -1, false).is_err());
    drop(partition.delete_records(4).unwrap());
    assert_eq!(partition.log_start_offset(), 4);
    assert_eq!(offset(-2), 4);
    assert_eq!(partition.fetch(&consumer_at(3), None).unwrap_err().code, ErrorCode::OffsetOutOfRange);
    assert_eq!(partition.delete_records(11).unwrap_err().code, ErrorCode::OffsetOutOfRange);
    drop(partition.delete_records(-1).unwrap());
    assert_eq!(partition.log_start_offset(), 10);
}
