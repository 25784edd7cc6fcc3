//! What is there after a restart.

use crate::harness::{Cluster, image_at, propose_topics};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_committed_is_there_after_all_voters_restart() {
    let cluster = Cluster::started(3).await;
    let (_, leader) = cluster.leader().await;
    let applied = propose_topics(&leader, "orders", 200).await;
    let before = image_at(&leader, applied.offset).await;
    cluster.stop_all().await;
    cluster.start_all().await;
    let (_, leader) = cluster.leader().await;
    let after = image_at(&leader, applied.offset).await;
    assert!(before.topics().eq(after.topics()));
    assert!(leader.status().borrow().epoch > applied.epoch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_starts_alone_serves_what_it_knew_to_be_committed() {
    let cluster = Cluster::started(3).await;
    let (_, leader) = cluster.leader().await;
    let applied = propose_topics(&leader, "orders", 30).await;
    for (_, voter) in cluster.running() {
        image_at(&voter, applied.offset).await;
    }
    cluster.stop_all().await;
    let alone = cluster.start(2).await;
    assert!(alone.image().borrow().offset() >= applied.offset);
    assert!(!alone.status().borrow().is_active);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_committed_survives_a_power_loss_of_all_voters() {
    let cluster = Cluster::started(3).await;
    let (_, leader) = cluster.leader().await;
    let applied = propose_topics(&leader, "orders", 100).await;
    cluster.disks.values().for_each(klamm_log::SimDisk::power_loss);
    cluster.stop_all().await;
    cluster.start_all().await;
    let (_, leader) = cluster.leader().await;
    let image = image_at(&leader, applied.offset).await;
    assert_eq!(image.topics().count(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_away_catches_up() {
    let cluster = Cluster::started(3).await;
    let (id, leader) = cluster.leader().await;
    let (away, _) = cluster.running().into_iter().find(|(other, _)| *other != id).expect("a follower");
    cluster.stop(away).await;
    let applied = propose_topics(&leader, "orders", 50).await;
    let back = cluster.start(away).await;
    let image = image_at(&back, applied.offset).await;
    assert!(image.topics().eq(image_at(&leader, applied.offset).await.topics()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_whose_disk_was_replaced_is_filled_again() {
    let mut cluster = Cluster::started(3).await;
    let (id, leader) = cluster.leader().await;
    let applied = propose_topics(&leader, "orders", 50).await;
    let (wiped, _) = cluster.running().into_iter().find(|(other, _)| *other != id).expect("a follower");
    cluster.stop(wiped).await;
    cluster.disks.insert(wiped, klamm_log::SimDisk::new(99));
    let back = cluster.start(wiped).await;
    image_at(&back, applied.offset).await;
    assert!(leader.status().borrow().is_active);
    propose_topics(&leader, "payments", 1).await;
}
