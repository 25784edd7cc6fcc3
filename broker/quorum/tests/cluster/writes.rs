//! Proposals, what a broker reads, and disks that fail.

use std::time::Duration;

use bytes::Bytes;
use klamm_metadata::{Image, decode_records};
use klamm_quorum::{Fetched, Parcel, ProposeError, Quorum, QuorumError, api};
use tokio::time::timeout;

use crate::harness::{Cluster, PATIENCE, image_at, propose_topics, status_of, topic};

#[tokio::test]
async fn the_offset_of_the_next_proposal_is_known_within_an_epoch() {
    let cluster = Cluster::started(1).await;
    let (_, leader) = cluster.leader().await;
    let epoch = leader.status().borrow().epoch;
    for number in 0..20 {
        let next = leader.image().borrow().offset() + 1;
        let applied = leader.propose_in(epoch, topic(&format!("orders-{number}"))).await.expect("applied");
        assert_eq!(applied.offset, next);
        assert_eq!(leader.image().borrow().offset(), next);
    }
}

#[tokio::test]
async fn a_proposal_for_an_epoch_that_is_over_is_refused() {
    let cluster = Cluster::started(1).await;
    let (_, leader) = cluster.leader().await;
    let epoch = leader.status().borrow().epoch;
    let refused = leader.propose_in(epoch + 1, topic("orders")).await;
    assert!(matches!(refused, Err(ProposeError::NotLeader { .. })), "{refused:?}");
    assert!(leader.image().borrow().topic("orders").is_none());
}

#[tokio::test]
async fn a_broker_rebuilds_the_image_from_what_it_fetches() {
    let cluster = Cluster::started(1).await;
    let (_, leader) = cluster.leader().await;
    let applied = propose_topics(&leader, "orders", 50).await;
    let mut image = Image::empty();
    while image.offset() < applied.offset {
        let fetched = leader.read_committed(image.offset() + 1, 256).expect("read");
        let Fetched::Batches(batches) = fetched else { panic!("nothing was purged") };
        assert!(!batches.is_empty());
        for (offset, epoch, records) in batches {
            assert_eq!(offset, image.offset() + 1);
            image.apply(offset, epoch, &decode_records(records).expect("decodes"));
        }
    }
    assert_eq!(image, **leader.image().borrow());
    assert_eq!(
        leader.read_committed(applied.offset + 1, 256).expect("the end"),
        Fetched::Batches(Vec::new())
    );
    let beyond = leader.read_committed(applied.offset + 2, 256);
    assert!(matches!(beyond, Err(QuorumError::OffsetOutOfRange { .. })), "{beyond:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_fsync_stops_the_voter_and_the_others_go_on() {
    let cluster = Cluster::started(3).await;
    let (first, leader) = cluster.leader().await;
    let before = propose_topics(&leader, "orders", 5).await;
    cluster.disks[&first].fail_syncs(1);
    let outcome = leader.propose(topic("struck")).await;
    let status = status_of(&leader, |status| status.stopped.is_some()).await;
    assert!(!status.is_active);
    assert!(!matches!(outcome, Err(ProposeError::NotLeader { .. })), "{outcome:?}");
    let after = leader.propose(topic("late")).await;
    assert!(matches!(after, Err(ProposeError::Fatal(_))), "{after:?}");
    cluster.disconnect(first);
    let (_, successor) = cluster.leader().await;
    let image = image_at(&successor, before.offset).await;
    assert!((0..5).all(|number| image.topic(&format!("orders-{number}")).is_some()));
    propose_topics(&successor, "payments", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voters_whose_disks_are_full_wait_for_room_and_go_on() {
    let cluster = Cluster::new(3, |config| {
        config.snapshot.max_entries = 10;
        config.snapshot.keep_entries = 2;
    });
    cluster.start_all().await;
    let (_, leader) = cluster.leader().await;
    propose_topics(&leader, "before", 8).await;
    let disks = || cluster.disks.values();
    disks().for_each(|disk| disk.set_capacity(disk.used()));
    let struck = timeout(Duration::from_millis(700), leader.propose(topic("struck"))).await;
    assert!(!matches!(struck, Ok(Ok(_))), "nothing is acknowledged that is not on two disks");
    let has_stopped = |(_, voter): (i32, Quorum)| voter.status().borrow().stopped.is_some();
    assert!(!cluster.running().into_iter().any(has_stopped), "they wait");
    disks().for_each(|disk| disk.set_capacity(u64::MAX));
    // Enough for a snapshot, which had to wait for room, too. While nobody could write, the voters' patience with
    // their leader has run out: who leads first may be replaced at once.
    let mut last = 0;
    for number in 0..20 {
        last = cluster.propose(&format!("after-{number}")).await.offset;
    }
    for (_, voter) in cluster.running() {
        let image = image_at(&voter, last).await;
        assert!(image.topic("before-7").is_some() && image.topic("after-19").is_some());
    }
    // Who is told to stop does not wait.
    let (_, leader) = cluster.leader().await;
    disks().for_each(|disk| disk.set_capacity(disk.used()));
    let _ = timeout(Duration::from_millis(300), leader.propose(topic("last"))).await;
    timeout(PATIENCE, cluster.stop_all()).await.expect("they stop");
}

#[tokio::test]
async fn bytes_that_are_no_request_are_refused() {
    let cluster = Cluster::started(1).await;
    let (_, leader) = cluster.leader().await;
    let parcel = |payload| Parcel { founding: None, payload: Bytes::from_static(payload) };
    for number in [api::APPEND, api::VOTE, api::PRE_VOTE, api::SNAPSHOT, api::TRANSFER_LEADER] {
        for bytes in [&b""[..], b"\x01", b"\x02\x00\x00", &[0xff; 100], &[1; 200]] {
            assert!(leader.handle_rpc(number, parcel(bytes)).await.is_err());
        }
    }
    assert!(matches!(leader.handle_rpc(0, parcel(b"")).await, Err(QuorumError::UnknownRequest(0))));
    propose_topics(&leader, "orders", 1).await;
}

#[tokio::test]
async fn a_single_voter_has_nobody_to_hand_over_to() {
    let cluster = Cluster::started(1).await;
    let (_, leader) = cluster.leader().await;
    assert!(matches!(leader.transfer_leadership().await, Err(QuorumError::NoSuccessor)));
    propose_topics(&leader, "orders", 1).await;
}
