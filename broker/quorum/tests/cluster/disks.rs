//! Disks that are empty, replaced, copied or older than they were: none of them may vote in another's name.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use klamm_log::RealDisk;
use klamm_quorum::{Quorum, QuorumError};
use tokio::time::timeout;

use crate::harness::{Cluster, image_at, propose_topics, status_of};

/// Many election timeouts.
const LONG: Duration = Duration::from_secs(3);

/// Fails if one of these becomes the active leader while there should be none.
async fn nobody_leads(voters: &[&Quorum]) {
    for voter in voters {
        let mut status = voter.status();
        let led = timeout(LONG / voters.len() as u32, status.wait_for(|status| status.is_active)).await;
        assert!(!matches!(led, Ok(Ok(_))), "a leader was elected");
    }
}

/// The ids of two followers of the active leader.
async fn followers(cluster: &Cluster) -> (i32, Quorum, i32, i32) {
    let (id, leader) = cluster.leader().await;
    let others: Vec<i32> =
        cluster.running().into_iter().map(|(other, _)| other).filter(|other| *other != id).collect();
    (id, leader, others[0], others[1])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_voter_and_one_that_lags_do_not_outvote_what_was_committed() {
    let mut cluster = Cluster::started(3).await;
    let (id, leader, lags, wiped) = followers(&cluster).await;
    cluster.stop(lags).await;
    // Committed by the leader and the one that is about to lose its disk.
    let applied = propose_topics(&leader, "orders", 20).await;
    cluster.stop(wiped).await;
    cluster.stop(id).await;
    cluster.give_new_disk(wiped);
    let (empty, behind) = (cluster.start(wiped).await, cluster.start(lags).await);
    nobody_leads(&[&empty, &behind]).await;
    cluster.start(id).await;
    let (_, leader) = cluster.leader().await;
    let image = image_at(&leader, applied.offset).await;
    assert_eq!(image.topics().count(), 20, "committed topics are lost");
    image_at(&empty, applied.offset).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_disk_takes_the_place_of_the_lost_one_and_counts_from_then_on() {
    let mut cluster = Cluster::started(3).await;
    let (id, leader, lost, other) = followers(&cluster).await;
    let applied = propose_topics(&leader, "orders", 20).await;
    let before = cluster.directory(lost);
    cluster.stop(lost).await;
    cluster.give_new_disk(lost);
    cluster.start(lost).await;
    let (after, status) = (
        cluster.directory(lost),
        status_of(&leader, |status| {
            status.voters.iter().all(|voter| voter.directory_id != before) && status.voters.len() == 3
        }),
    );
    assert!(status.await.voters.iter().any(|voter| (voter.id, voter.directory_id) == (lost, after)));
    // It is one of a majority now.
    cluster.stop(other).await;
    propose_topics(&leader, "payments", 5).await;
    cluster.stop(id).await;
    cluster.start(other).await;
    let (_, leader) = cluster.leader().await;
    let image = image_at(&leader, applied.offset).await;
    assert!(image.topic("payments-4").is_some(), "acknowledged with the new disk's help, and lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_is_founded_only_when_every_disk_is_known_to_be_empty() {
    let cluster = Cluster::new(3, |_| {});
    let (first, second) = (cluster.start(1).await, cluster.start(2).await);
    nobody_leads(&[&first, &second]).await;
    cluster.start(3).await;
    let (_, leader) = cluster.leader().await;
    propose_topics(&leader, "orders", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voters_that_lost_all_disks_but_one_do_not_found_a_quorum_of_their_own() {
    let mut cluster = Cluster::started(3).await;
    let (id, leader, first, second) = followers(&cluster).await;
    let applied = propose_topics(&leader, "orders", 5).await;
    cluster.stop_all().await;
    cluster.give_new_disk(first);
    cluster.give_new_disk(second);
    let (first, second) = (cluster.start(first).await, cluster.start(second).await);
    nobody_leads(&[&first, &second]).await;
    // What is left cannot decide alone, but it has what was decided, and says so for as long as anybody asks.
    let left = cluster.start(id).await;
    nobody_leads(&[&first, &second, &left]).await;
    assert!(left.image().borrow().offset() >= applied.offset);
}

#[tokio::test]
async fn a_log_that_was_copied_to_another_directory_is_refused() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("log");
    let mut cluster = Cluster::new(1, |_| {});
    cluster.start_on(1, Arc::new(RealDisk), dir.clone()).await;
    cluster.leader().await;
    cluster.stop_all().await;
    cluster.give_new_disk(1);
    let refused = cluster.try_start_on(1, Arc::new(RealDisk), dir).await;
    assert!(
        matches!(&refused, Err(QuorumError::Config(why)) if why.contains("copied")),
        "{:?}",
        refused.err()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_a_disk_is_noticed_and_does_not_vote() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = |id: i32| root.path().join(id.to_string());
    let cluster = Cluster::new(3, |_| {});
    for id in 1..=3 {
        cluster.start_on(id, Arc::new(RealDisk), dir(id)).await;
    }
    let (id, leader, restored, lags) = followers(&cluster).await;
    cluster.stop(restored).await;
    let backup = root.path().join("backup");
    copy(&dir(restored), &backup);
    cluster.start_on(restored, Arc::new(RealDisk), dir(restored)).await;
    cluster.stop(lags).await;
    let applied = propose_topics(&leader, "orders", 20).await;
    cluster.stop(restored).await;
    std::fs::remove_dir_all(dir(restored)).expect("removed");
    copy(&backup, &dir(restored));
    let old = cluster.start_on(restored, Arc::new(RealDisk), dir(restored)).await;
    status_of(&old, |status| status.stopped.as_ref().is_some_and(|why| why.contains("older copy"))).await;
    cluster.stop(id).await;
    let behind = cluster.start_on(lags, Arc::new(RealDisk), dir(lags)).await;
    nobody_leads(&[&old, &behind]).await;
    cluster.start_on(id, Arc::new(RealDisk), dir(id)).await;
    let (_, leader) = cluster.leader().await;
    assert_eq!(image_at(&leader, applied.offset).await.topics().count(), 20);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}
