//! A quorum that lost all its disks and was founded anew, and a controller that comes back with a disk of before.

use std::path::Path;
use std::time::Duration;

use klamm_log::{Disk, SimDisk};
use klamm_metadata::Record;
use klamm_quorum::{Applied, Quorum, QuorumConfig, QuorumStatus};
use klamm_wire::messages::founding_record::FoundingRecord;
use uuid::Uuid;

use crate::harness::{Cluster, DIR, image_at, propose_topics};

const OLD: Uuid = Uuid::from_u128(1);
const NEW: Uuid = Uuid::from_u128(2);
/// The node that gets its old disk back.
const BACK: i32 = 3;
/// Longer than it takes until an observer is in the place of a silent voter.
const LONG: Duration = Duration::from_secs(3);

async fn found(leader: &Quorum, founding_id: Uuid) {
    let founding: Record = FoundingRecord { founding_id, ..FoundingRecord::default() }.into();
    leader.propose(vec![founding]).await.expect("applied");
}

/// A cluster whose quorum is gone with all disks but one, which is not in the cluster, and was founded anew; and that disk. Its
/// epochs are higher and its log is longer than the new ones.
async fn founded_anew(
    adjust: fn(&mut QuorumConfig),
    replace: fn(&mut Cluster, i32),
) -> (Cluster, (SimDisk, Uuid), Applied) {
    let mut cluster = Cluster::new(3, adjust);
    cluster.start_all().await;
    found(&cluster.leader().await.1, OLD).await;
    for round in 0..4 {
        let (_, leader) = cluster.leader().await;
        propose_topics(&leader, &format!("old-{round}"), 20).await;
        let _ = leader.transfer_leadership().await;
    }
    let (_, leader) = cluster.leader().await;
    let last = propose_topics(&leader, "old", 1).await;
    for (_, voter) in cluster.running() {
        image_at(&voter, last.offset).await;
    }
    cluster.stop_all().await;
    let kept = (cluster.disks[&BACK].clone(), cluster.directory(BACK));
    (1..=3).for_each(|id| replace(&mut cluster, id));
    cluster.start_all().await;
    let (_, leader) = cluster.leader().await;
    found(&leader, NEW).await;
    let applied = propose_topics(&leader, "new", 3).await;
    for (_, voter) in cluster.running() {
        image_at(&voter, applied.offset).await;
    }
    cluster.stop(BACK).await;
    (cluster, kept, last)
}

/// Members as node id and disk.
fn members(status: &QuorumStatus) -> Vec<(i32, Uuid)> {
    status.voters.iter().chain(&status.observers).map(|one| (one.id, one.directory_id)).collect()
}

/// What a machine that lost power may have left: `committed` is written without a flush.
fn forget_what_is_committed(disk: &SimDisk) {
    disk.remove_file(&Path::new(DIR).join("committed")).expect("it is there");
}

/// The old disk comes back, and neither quorum takes anything from the other; with an empty one the node is welcome.
async fn keeps_to_itself(adjust: fn(&mut QuorumConfig), replace: fn(&mut Cluster, i32)) {
    let (mut cluster, kept, last) = founded_anew(adjust, replace).await;
    let before = cluster.leader().await.1.status().borrow().clone();
    cluster.give_back(BACK, kept);
    let old = cluster.start(BACK).await;
    tokio::time::sleep(LONG).await;
    let (id, leader) = cluster.leader().await;
    let now = leader.status().borrow().clone();
    assert!(now.epoch < last.epoch, "it has disturbed the leader: {} < {}", now.epoch, last.epoch);
    assert_eq!(members(&now), members(&before), "it was let in");
    assert_eq!(old.image().borrow().offset(), last.offset);
    assert!(old.image().borrow().topics().all(|topic| topic.name.starts_with("old")));
    // Nor does one that has lost its leader make it a majority.
    cluster.stop(id).await;
    tokio::time::sleep(LONG).await;
    assert!(cluster.running().iter().all(|(_, voter)| !voter.status().borrow().is_active));
    cluster.start(id).await;
    let (_, leader) = cluster.leader().await;
    propose_topics(&leader, "new", 1).await;
    cluster.stop(BACK).await;
    cluster.give_new_disk(BACK);
    let empty = cluster.start(BACK).await;
    let last = propose_topics(&cluster.leader().await.1, "newer", 1).await;
    let image = image_at(&empty, last.offset).await;
    assert!(image.topics().all(|topic| topic.name.starts_with("new")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_of_a_lost_quorum_is_not_let_into_the_one_that_was_founded_anew() {
    keeps_to_itself(|_| {}, Cluster::give_new_disk).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metadata_log_of_a_lost_quorum_under_the_same_directory_id_is_neither_overwritten_nor_followed() {
    keeps_to_itself(|_| {}, Cluster::empty_disk).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_enough_to_know_the_lost_quorum_by() {
    keeps_to_itself(
        |config| {
            config.snapshot.max_entries = 25;
            config.snapshot.keep_entries = 5;
        },
        Cluster::empty_disk,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_does_not_know_what_is_committed_knows_its_founding() {
    let (mut cluster, kept, last) = founded_anew(|_| {}, Cluster::empty_disk).await;
    let before = cluster.leader().await.1.status().borrow().clone();
    forget_what_is_committed(&kept.0);
    cluster.give_back(BACK, kept);
    let old = cluster.start(BACK).await;
    assert!(old.image().borrow().is_blank());
    tokio::time::sleep(LONG).await;
    let now = cluster.leader().await.1.status().borrow().clone();
    assert!(now.epoch < last.epoch, "it has disturbed the leader: {} < {}", now.epoch, last.epoch);
    assert_eq!(members(&now), members(&before), "it was let in");
    assert!(old.image().borrow().is_blank(), "it has followed the new quorum");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voters_of_a_version_that_says_nothing_of_its_founding_are_members_as_before() {
    let cluster = Cluster::new(3, |_| {});
    cluster.silence(2);
    cluster.start_all().await;
    found(&cluster.leader().await.1, NEW).await;
    // Every one of them leads, and every two of them are a majority.
    for away in 1..=3 {
        let (_, leader) = cluster.leader().await;
        let last = propose_topics(&leader, &format!("without-{away}"), 1).await;
        cluster.stop(away).await;
        let (_, leader) = cluster.leader().await;
        propose_topics(&leader, &format!("during-{away}"), 1).await;
        let back = cluster.start(away).await;
        image_at(&back, last.offset + 1).await;
    }
}
