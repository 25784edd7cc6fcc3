//! Voters that come and go while entries are written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use klamm_quorum::{Quorum, VoterError};

use crate::harness::{Cluster, image_at, peer, propose_topics, status_of};

const LIMIT: Duration = Duration::from_secs(10);

/// The voters' ids as the member sees them.
fn voters(quorum: &Quorum) -> Vec<i32> {
    quorum.status().borrow().voters.iter().map(|voter| voter.id).collect()
}

async fn joined(cluster: &mut Cluster, id: i32) -> Quorum {
    cluster.give_new_disk(id);
    let newcomer = cluster.start(id).await;
    let (_, leader) = cluster.leader().await;
    status_of(&leader, |status| status.observers.iter().any(|observer| observer.id == id)).await;
    leader.add_voter(peer(id), cluster.directory(id), LIMIT).await.expect("it becomes a voter");
    newcomer
}

/// Proposes topics one after another to whoever leads; returns how many were applied when it is stopped.
fn write(cluster: &Arc<Cluster>) -> (Arc<AtomicBool>, tokio::task::JoinHandle<u32>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (cluster, stopping, count) = (Arc::clone(cluster), Arc::clone(&stop), AtomicU32::new(0));
    let writing = tokio::spawn(async move {
        while !stopping.load(Ordering::Relaxed) {
            cluster.propose(&format!("load-{}", count.load(Ordering::Relaxed))).await;
            count.fetch_add(1, Ordering::Relaxed);
        }
        count.into_inner()
    });
    (stop, writing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_voter_becomes_three_and_any_two_of_them_go_on() {
    let mut cluster = Cluster::started(1).await;
    let (_, leader) = cluster.leader().await;
    let applied = propose_topics(&leader, "orders", 10).await;
    joined(&mut cluster, 2).await;
    let third = joined(&mut cluster, 3).await;
    assert_eq!(voters(&leader), [1, 2, 3]);
    image_at(&third, applied.offset).await;
    cluster.stop(1).await;
    let (_, leader) = cluster.leader().await;
    propose_topics(&leader, "payments", 3).await;
    assert!(image_at(&leader, applied.offset).await.topic("orders-9").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_voters_become_five_and_three_again_while_entries_are_written() {
    let mut cluster = Cluster::started(3).await;
    for id in [4, 5] {
        cluster.give_new_disk(id);
    }
    let cluster = Arc::new(cluster);
    let (stop, writing) = write(&cluster);
    for id in [4, 5] {
        cluster.start(id).await;
        let (_, leader) = cluster.leader().await;
        leader.add_voter(peer(id), cluster.directory(id), LIMIT).await.expect("added");
    }
    let (_, leader) = cluster.leader().await;
    assert_eq!(voters(&leader), [1, 2, 3, 4, 5]);
    for id in [1, 2] {
        loop {
            let (_, leader) = cluster.leader().await;
            match leader.remove_voter(id, cluster.directory(id), LIMIT).await {
                Ok(()) => break,
                Err(VoterError::NotLeader { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    let written = writing.await.expect("it wrote");
    let (_, leader) = cluster.leader().await;
    // The change may be answered a moment before the status shows it.
    status_of(&leader, |status| status.voters.iter().map(|one| one.id).eq([3, 4, 5])).await;
    leader.read_barrier().await.expect("it leads");
    let image = leader.image().borrow().clone();
    assert!((0..written).all(|number| image.topic(&format!("load-{number}")).is_some()), "of {written}");
    // Those that were removed receive the log on.
    status_of(&leader, |status| status.observers.iter().map(|one| one.id).eq([1, 2])).await;
    cluster.stop(5).await;
    let (_, leader) = cluster.leader().await;
    propose_topics(&leader, "payments", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_hands_over_before_it_is_removed() {
    let cluster = Cluster::started(3).await;
    let (id, leader) = cluster.leader().await;
    let refused = leader.remove_voter(id, cluster.directory(id), LIMIT).await;
    assert!(matches!(refused, Err(VoterError::NotLeader { .. })), "{refused:?}");
    let (next, successor) = cluster.leader().await;
    assert_ne!(next, id);
    successor.remove_voter(id, cluster.directory(id), LIMIT).await.expect("removed");
    assert!(!voters(&successor).contains(&id));
    propose_topics(&successor, "orders", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_cannot_be_are_refused_by_name() {
    let cluster = Cluster::started(1).await;
    let (_, leader) = cluster.leader().await;
    let (own, other) = (cluster.directory(1), uuid::Uuid::from_u128(77));
    assert_eq!(leader.add_voter(peer(1), other, LIMIT).await, Err(VoterError::Duplicate(1)));
    assert_eq!(leader.remove_voter(1, own, LIMIT).await, Err(VoterError::LastVoter(1)));
    let unknown = VoterError::NotFound { id: 1, directory_id: other };
    assert_eq!(leader.remove_voter(1, other, LIMIT).await, Err(unknown));
    let never_there = leader.add_voter(peer(9), other, Duration::from_millis(500)).await;
    assert!(matches!(never_there, Err(VoterError::TimedOut(_))), "{never_there:?}");
    // Nothing is left of it.
    status_of(&leader, |status| status.observers.is_empty()).await;
    propose_topics(&leader, "orders", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_its_leader_did_not_finish_is_finished_by_the_next() {
    let mut cluster = Cluster::started(3).await;
    cluster.give_new_disk(4);
    cluster.start(4).await;
    let (id, leader) = cluster.leader().await;
    status_of(&leader, |status| status.observers.iter().any(|observer| observer.id == 4)).await;
    let (changing, directory) = (leader.clone(), cluster.directory(4));
    let change = tokio::spawn(async move { changing.add_voter(peer(4), directory, LIMIT).await });
    cluster.isolate(id);
    let (_, successor) = cluster.leader().await;
    propose_topics(&successor, "orders", 3).await;
    cluster.heal();
    let _either_way = change.await.expect("it ends");
    // It was finished, or it never happened and the newcomer asks again to observe.
    status_of(&successor, |status| {
        let observes = status.observers.iter().any(|one| one.id == 4);
        status.voters.len() == 4 || status.voters.len() == 3 && observes
    })
    .await;
    propose_topics(&successor, "payments", 3).await;
}
