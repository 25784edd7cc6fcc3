//! Snapshots: the log behind them goes, and who needs it gets the whole image.

use std::time::Duration;

use bytes::Bytes;
use klamm_metadata::{Image, Record, UnknownRecord, encode_records};
use klamm_quorum::{Fetched, Quorum, QuorumConfig};
use tokio::time::timeout;

use crate::harness::{Cluster, PATIENCE, image_at, propose_topics};

/// A snapshot every 20 entries, nothing kept behind it, small pieces and small segments.
fn often(config: &mut QuorumConfig) {
    config.snapshot.max_entries = 20;
    config.snapshot.keep_entries = 0;
    config.snapshot.chunk_bytes = 700;
    config.segment_bytes = 4096;
}

/// Waits until the first offset is no longer in the voter's log, and returns the snapshot that replaces it.
async fn purged(quorum: &Quorum) -> Image {
    let search = async {
        loop {
            if let Fetched::Snapshot { offset, epoch, bytes } = quorum.read_committed(0, 1024).expect("read")
            {
                let image = Image::from_snapshot(bytes).expect("decodes");
                assert_eq!((image.offset(), image.epoch()), (offset, epoch));
                return image;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, search).await.expect("the log is purged")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_lags_behind_the_log_gets_the_whole_image() {
    let cluster = Cluster::new(3, often);
    cluster.start_all().await;
    let (id, leader) = cluster.leader().await;
    let (away, _) = cluster.running().into_iter().find(|(other, _)| *other != id).expect("a follower");
    cluster.stop(away).await;
    let applied = propose_topics(&leader, "orders", 110).await;
    purged(&leader).await;
    let back = cluster.start(away).await;
    assert!(
        image_at(&back, applied.offset).await == image_at(&leader, applied.offset).await,
        "the images differ"
    );
    let applied = propose_topics(&leader, "payments", 5).await;
    assert!(
        image_at(&back, applied.offset).await == image_at(&leader, applied.offset).await,
        "the images differ"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_lags_behind_the_log_gets_the_newest_snapshot() {
    let cluster = Cluster::new(1, often);
    cluster.start_all().await;
    let (_, leader) = cluster.leader().await;
    propose_topics(&leader, "orders", 50).await;
    let image = purged(&leader).await;
    assert!(image.topics().count() >= 15);
    let rest = leader.read_committed(image.offset() + 1, usize::MAX).expect("the rest is in the log");
    assert!(matches!(rest, Fetched::Batches(_)), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_epoch_of_an_entry_is_known_while_it_is_applied_and_in_the_log() {
    let cluster = Cluster::new(1, often);
    cluster.start_all().await;
    let (_, leader) = cluster.leader().await;
    let applied = propose_topics(&leader, "orders", 50).await;
    let image = purged(&leader).await;
    let epoch_at = |offset| leader.epoch_at(offset).expect("the log is readable");
    assert_eq!(epoch_at(applied.offset), Some(applied.epoch));
    assert_eq!(epoch_at(applied.offset + 1), None, "it is not there yet");
    assert_eq!((epoch_at(0), epoch_at(-1)), (None, None), "it is no longer there");
    // Where the log begins: who has the snapshot that replaced the rest asks for the entry before.
    let first = (0..=applied.offset).find(|offset| epoch_at(*offset).is_some()).expect("some are there");
    let Ok(Fetched::Batches(batches)) = leader.read_committed(first + 1, 1) else { panic!("not in the log") };
    assert_eq!(batches[0].0, first + 1);
    assert!(matches!(leader.read_committed(first, 1), Ok(Fetched::Snapshot { .. })), "{first} is purged");
    assert!(first <= image.offset());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_from_snapshot_and_log_gives_the_same_image() {
    let cluster = Cluster::new(1, often);
    cluster.start_all().await;
    let (_, leader) = cluster.leader().await;
    let applied = propose_topics(&leader, "orders", 75).await;
    purged(&leader).await;
    let before = image_at(&leader, applied.offset).await;
    cluster.stop_all().await;
    let again = cluster.start(1).await;
    let after = image_at(&again, applied.offset).await;
    assert!(before.topics().eq(after.topics()));
    cluster.leader().await;
    propose_topics(&again, "payments", 1).await;
}

/// What a voter has of an entry: its records, byte for byte.
fn records_at(quorum: &Quorum, offset: i64) -> Bytes {
    match quorum.read_committed(offset, 1).expect("read") {
        Fetched::Batches(batches) => batches[0].2.clone(),
        Fetched::Snapshot { .. } => panic!("a snapshot has taken the place of the entry at {offset}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_only_a_newer_version_knows_stays_in_the_log_instead_of_being_left_out_of_a_snapshot() {
    let cluster = Cluster::new(3, often);
    cluster.start_all().await;
    let (id, leader) = cluster.leader().await;
    let (away, _) = cluster.running().into_iter().find(|(other, _)| *other != id).expect("a follower");
    cluster.stop(away).await;
    propose_topics(&leader, "before", 50).await;
    let known = purged(&leader).await;
    let unknown = UnknownRecord { kind: 9_999, version: 3, body: Bytes::from_static(b"from a newer one") };
    let records = vec![Record::Unknown(unknown)];
    let written = leader.propose(records.clone()).await.expect("applied");
    let last = propose_topics(&leader, "after", 110).await;
    assert!(known.offset() < written.offset);
    assert_eq!(records_at(&leader, written.offset), encode_records(&records));
    cluster.start(away).await;
    cluster.stop(id).await;
    cluster.start(id).await;
    for (_, voter) in cluster.running() {
        assert!(image_at(&voter, last.offset).await.has_skipped_records());
        assert_eq!(records_at(&voter, written.offset), encode_records(&records));
    }
}
