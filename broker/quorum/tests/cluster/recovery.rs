//! What is there after a restart.

use std::path::Path;

use klamm_log::Disk;
use klamm_quorum::QuorumError;

use crate::harness::{Cluster, DIR, image_at, propose_topics};

/// The only segment of a short log.
const SEGMENT: &str = "00000000000000000000.log";

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
    let lost = (0..100).filter(|number| image.topic(&format!("orders-{number}")).is_none());
    assert_eq!(lost.collect::<Vec<_>>(), Vec::<i32>::new(), "{applied:?}");
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

#[tokio::test]
async fn a_log_with_a_damaged_committed_entry_is_refused() {
    let cluster = Cluster::started(1).await;
    let (_, leader) = cluster.leader().await;
    propose_topics(&leader, "orders", 20).await;
    cluster.stop_all().await;
    cluster.disks[&1].corrupt(&Path::new(DIR).join(SEGMENT), 700, 0x10).expect("corrupted");
    let refused = cluster.try_start(1).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_log_that_has_lost_committed_entries_is_refused() {
    let cluster = Cluster::started(1).await;
    let (_, leader) = cluster.leader().await;
    propose_topics(&leader, "orders", 20).await;
    cluster.stop_all().await;
    cluster.disks[&1].remove_file(&Path::new(DIR).join(SEGMENT)).expect("removed");
    let refused = cluster.try_start(1).await;
    assert!(matches!(refused, Err(QuorumError::Damaged { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_losses_in_the_middle_of_writing_lose_nothing_committed() {
    let cluster = Cluster::started(3).await;
    let mut last = None;
    for round in 0..4 {
        let (_, leader) = cluster.leader().await;
        let writing = leader.clone();
        let applied = propose_topics(&leader, &format!("round-{round}"), 10).await;
        let unanswered =
            tokio::spawn(async move { writing.propose(crate::harness::topic("cut short")).await });
        cluster.disks.values().for_each(klamm_log::SimDisk::power_loss);
        cluster.stop_all().await;
        let _ = unanswered.await;
        cluster.start_all().await;
        last = Some((round, applied.offset));
    }
    let (rounds, offset) = last.expect("there were rounds");
    let (_, leader) = cluster.leader().await;
    let image = image_at(&leader, offset).await;
    for round in 0..=rounds {
        assert!(
            (0..10).all(|number| image.topic(&format!("round-{round}-{number}")).is_some()),
            "round {round}"
        );
    }
}

#[tokio::test]
async fn a_power_loss_right_after_the_first_start_does_not_lose_the_directory() {
    for seed in 0..32 {
        let mut cluster = Cluster::new(1, |_| {});
        cluster.disks.insert(1, klamm_log::SimDisk::new(seed));
        cluster.start_all().await;
        let (_, leader) = cluster.leader().await;
        let applied = propose_topics(&leader, "orders", 1).await;
        cluster.disks[&1].power_loss();
        cluster.stop_all().await;
        let again = cluster.start(1).await;
        assert!(image_at(&again, applied.offset).await.topic("orders-0").is_some(), "seed {seed}");
    }
}

/// The files of a voter's disk whose names end like this.
fn files(cluster: &Cluster, end: &str) -> Vec<std::path::PathBuf> {
    let names = cluster.disks[&1].list(Path::new(DIR)).expect("lists").into_iter().map(|entry| entry.name);
    names.filter(|name| name.ends_with(end)).map(|name| Path::new(DIR).join(name)).collect()
}

fn contents(cluster: &Cluster, path: &Path) -> Vec<u8> {
    let file = cluster.disks[&1].open(path, klamm_log::OpenMode::Read).expect("there");
    let mut bytes = vec![0; file.len().expect("length") as usize];
    assert_eq!(file.read_at(&mut bytes, 0).expect("reads"), bytes.len());
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_beside_the_entries_costs_nothing() {
    for end in ["000.index", "000.timeindex", "leader-epoch-checkpoint", ".snapshot", "committed"] {
        let cluster = Cluster::started(1).await;
        let (_, leader) = cluster.leader().await;
        let applied = propose_topics(&leader, "orders", 300).await;
        let before = image_at(&leader, applied.offset).await;
        cluster.stop_all().await;
        for path in files(&cluster, end) {
            let written = contents(&cluster, &path);
            assert!(!written.is_empty(), "{} has something in it", path.display());
            cluster.disks[&1].corrupt(&path, written.len() as u64 / 2, 2).expect("flips");
            let flipped = contents(&cluster, &path);
            let again = cluster.start(1).await;
            let after = image_at(&again, applied.offset).await;
            assert!(before.topics().eq(after.topics()), "{}", path.display());
            cluster.stop_all().await;
            let stays = files(&cluster, end).contains(&path) && contents(&cluster, &path) == flipped;
            assert!(!stays, "{} is what it was", path.display());
        }
        assert!(!files(&cluster, end).is_empty(), "there is a {end}");
    }
}
