//! Files that a disk has changed while nothing ran on it, and files and messages of a newer version.

use std::path::Path;

use klamm_log::{Disk, OpenMode};
use klamm_quorum::{Parcel, QuorumError, api};

use crate::harness::{Cluster, DIR, image_at, propose_topics};

/// The only segment of a short log.
const SEGMENT: &str = "00000000000000000000.log";

fn read(cluster: &Cluster, name: &str) -> Vec<u8> {
    let file = cluster.disks[&1].open(&Path::new(DIR).join(name), OpenMode::Read).expect("there");
    let mut bytes = vec![0; file.len().expect("length") as usize];
    assert_eq!(file.read_at(&mut bytes, 0).expect("reads"), bytes.len());
    bytes
}

fn write(cluster: &Cluster, name: &str, bytes: &[u8]) {
    let file = cluster.disks[&1].open(&Path::new(DIR).join(name), OpenMode::Replace).expect("opens");
    assert_eq!(file.write_at(&[std::io::IoSlice::new(bytes)], 0).expect("writes"), bytes.len());
    file.sync_data().expect("syncs");
}

/// A sole voter with topics, stopped, and the last offset of its log.
async fn stopped() -> (Cluster, i64) {
    let cluster = Cluster::started(1).await;
    let (_, leader) = cluster.leader().await;
    let offset = propose_topics(&leader, "orders", 20).await.offset;
    cluster.stop_all().await;
    (cluster, offset)
}

/// Fails unless the voter refuses to start, twice, and says where the damage is and what to do.
async fn is_refused(cluster: &Cluster) {
    for _ in 0..2 {
        let refused = cluster.try_start(1).await.err();
        let says = refused.as_ref().map(QuorumError::to_string).unwrap_or_default();
        assert!(matches!(refused, Some(QuorumError::Damaged { .. })), "{refused:?}");
        assert!(
            says.contains(DIR) && says.contains("start this node with an empty data directory"),
            "{says}"
        );
    }
}

#[tokio::test]
async fn an_end_that_was_acknowledged_is_missed_although_nobody_knew_it_to_be_committed() {
    for cut in [9, 60, 700] {
        let (cluster, _) = stopped().await;
        cluster.disks[&1].remove_file(&Path::new(DIR).join("committed")).expect("removed");
        let log = read(&cluster, SEGMENT);
        write(&cluster, SEGMENT, &log[..log.len() - cut]);
        is_refused(&cluster).await;
        let mut zeros = log.clone();
        zeros[log.len() - cut..].fill(0);
        write(&cluster, SEGMENT, &zeros);
        is_refused(&cluster).await;
    }
}

#[tokio::test]
async fn a_vote_that_goes_back_to_an_older_one_is_not_given_again() {
    let (cluster, offset) = stopped().await;
    let older = read(&cluster, "quorum-state");
    cluster.start(1).await;
    let (_, voted) = cluster.leader().await;
    let epoch = propose_topics(&voted, "payments", 1).await.epoch;
    cluster.stop_all().await;
    assert_ne!(read(&cluster, "quorum-state"), older, "there was another vote");
    write(&cluster, "quorum-state", &older);
    cluster.start(1).await;
    let (_, again) = cluster.leader().await;
    assert!(propose_topics(&again, "refunds", 1).await.epoch > epoch);
    assert_eq!(image_at(&again, offset).await.topics().count(), 22);
}

#[tokio::test]
async fn either_place_of_the_vote_may_be_damaged() {
    for name in ["quorum-state", "voter-state"] {
        for length in [0, 9, usize::MAX] {
            let (cluster, offset) = stopped().await;
            let mut bytes = read(&cluster, name);
            bytes[8] ^= 1;
            bytes.truncate(length);
            write(&cluster, name, &bytes);
            cluster.start(1).await;
            let (_, again) = cluster.leader().await;
            assert!(propose_topics(&again, "payments", 1).await.epoch > 1, "{name}");
            assert_eq!(image_at(&again, offset).await.topics().count(), 21, "{name}");
            cluster.stop_all().await;
            assert_ne!(read(&cluster, name), bytes, "{name} is what it was");
        }
    }
}

#[tokio::test]
async fn a_file_of_a_newer_format_is_named_and_left_as_it_is() {
    for name in ["quorum-state", "voter-state", "raft-identity", "committed"] {
        let (cluster, offset) = stopped().await;
        let written = read(&cluster, name);
        let mut newer = written[..written.len() - 4].to_vec();
        newer[0] = 2;
        newer.extend(crc32c::crc32c(&newer).to_be_bytes());
        write(&cluster, name, &newer);
        let refused = cluster.try_start(1).await.err();
        let says = refused.map(|error| error.to_string() + &format!("{error:?}")).unwrap_or_default();
        assert!(says.contains(name) && says.contains("format 2"), "{says}");
        assert_eq!(read(&cluster, name), newer);
        write(&cluster, name, &written);
        let again = cluster.start(1).await;
        assert_eq!(image_at(&again, offset).await.topics().count(), 20);
    }
}

#[tokio::test]
async fn a_request_of_a_newer_format_is_refused_and_changes_nothing() {
    let cluster = Cluster::started(1).await;
    let (_, leader) = cluster.leader().await;
    let offset = propose_topics(&leader, "orders", 5).await.offset;
    let before = leader.status().borrow().clone();
    for api in [api::APPEND, api::VOTE, api::PRE_VOTE, api::SNAPSHOT, api::TRANSFER_LEADER, api::IDENTIFY] {
        let request = Parcel { founding: None, payload: vec![2; 64].into() };
        let refused = leader.handle_rpc(api, request).await.expect_err("of a newer version").to_string();
        assert!(refused.contains("format 2") && refused.contains("knows 1"), "{refused}");
    }
    assert_eq!(
        (leader.status().borrow().epoch, image_at(&leader, offset).await.offset()),
        (before.epoch, offset)
    );
}

/// A version that does not know `voter-state` votes, and truncates what had been synced before.
#[tokio::test]
async fn what_was_synced_before_a_vote_that_only_the_other_file_has_is_not_missed() {
    let (cluster, _) = stopped().await;
    let (log, voter) = (read(&cluster, SEGMENT), read(&cluster, "voter-state"));
    cluster.start(1).await;
    cluster.leader().await;
    cluster.stop_all().await;
    write(&cluster, SEGMENT, &log[..log.len() - 60]);
    write(&cluster, "voter-state", &voter);
    cluster.disks[&1].remove_file(&Path::new(DIR).join("committed")).expect("removed");
    let started = cluster.try_start(1).await;
    assert!(started.is_ok(), "{:?}", started.err());
}
