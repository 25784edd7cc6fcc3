//! Who leads, and how fast.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use klamm_log::RealDisk;
use klamm_quorum::ProposeError;
use tokio::time::timeout;

use crate::harness::{Cluster, PATIENCE, image_at, propose_topics, status_of, topic};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_voter_leads_at_once() {
    let mut times = Vec::new();
    for _ in 0..5 {
        let dir = tempfile::tempdir().expect("a directory");
        let cluster = Cluster::new(1, |_| {});
        let begin = Instant::now();
        let voter = cluster.start_on(1, Arc::new(RealDisk), dir.path().join("log")).await;
        status_of(&voter, |status| status.is_active).await;
        times.push(begin.elapsed());
        cluster.stop_all().await;
    }
    times.sort_unstable();
    println!("single voter, fresh disk to active: {times:?}");
    assert!(times[times.len() / 2] < Duration::from_millis(200), "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_voters_elect_one_leader_and_apply_its_proposals_everywhere() {
    let cluster = Cluster::started(3).await;
    let (id, leader) = cluster.leader().await;
    let applied = propose_topics(&leader, "orders", 10).await;
    let image = image_at(&leader, applied.offset).await;
    for (_, voter) in cluster.running() {
        assert_eq!(image_at(&voter, applied.offset).await, image);
        status_of(&voter, |status| status.leader == Some(id)).await;
    }
    let active = cluster.running().into_iter().filter(|(_, voter)| voter.status().borrow().is_active).count();
    assert_eq!(active, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cut_off_knows_that_it_is_led_no_longer() {
    let cluster = Cluster::started(3).await;
    // The leader, then another, which follows unless it has just been elected.
    for _ in 0..2 {
        let (leader, _) = cluster.leader().await;
        for away in [leader, leader % 3 + 1] {
            let all = cluster.running();
            until(|| all.iter().all(|(_, voter)| voter.is_led())).await;
            cluster.isolate(away);
            until(|| all.iter().all(|(id, voter)| voter.is_led() == (*id != away))).await;
            cluster.heal();
        }
    }
}

async fn until(holds: impl Fn() -> bool) {
    let look = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, look).await.expect("it holds in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_is_replaced_and_nothing_committed_is_lost() {
    let cluster = Cluster::started(3).await;
    let (first, leader) = cluster.leader().await;
    let applied = propose_topics(&leader, "orders", 20).await;
    cluster.disconnect(first);
    let (second, successor) = cluster.leader().await;
    assert_ne!(first, second);
    let image = image_at(&successor, applied.offset).await;
    assert_eq!(image.topics().count(), 20);
    assert!(successor.status().borrow().epoch > applied.epoch);
    propose_topics(&successor, "payments", 1).await;
}

/// Kills the leader of three and says how long it took until another one had applied a proposal.
async fn failover(hint: bool) -> Duration {
    let directory = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::new(3, |_| {});
    for id in 1..=3 {
        let dir: PathBuf = directory.path().join(id.to_string());
        cluster.start_on(id, Arc::new(RealDisk), dir).await;
    }
    let (first, leader) = cluster.leader().await;
    propose_topics(&leader, "orders", 3).await;
    let begin = Instant::now();
    let killed = cluster.disconnect(first);
    if hint {
        cluster.running().iter().for_each(|(_, voter)| voter.hint_leader_gone());
    }
    let (_, successor) = cluster.leader().await;
    propose_topics(&successor, "payments", 1).await;
    let elapsed = begin.elapsed();
    killed.shutdown().await;
    cluster.stop_all().await;
    elapsed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failover_times() {
    for (what, hint) in [("with a hint", true), ("by timeout alone", false)] {
        let mut times = Vec::new();
        for _ in 0..5 {
            times.push(failover(hint).await);
        }
        times.sort_unstable();
        println!("leader killed to next applied proposal, {what}: {times:?}");
        let bound = Duration::from_millis(if hint { 500 } else { 3000 });
        assert!(times[times.len() / 2] < bound, "{what}: {times:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hint_at_one_voter_alone_does_not_depose_a_living_leader() {
    let cluster = Cluster::started(3).await;
    let (id, leader) = cluster.leader().await;
    let epoch = propose_topics(&leader, "orders", 1).await.epoch;
    let (_, doubter) = cluster.running().into_iter().find(|(other, _)| *other != id).expect("a follower");
    doubter.hint_leader_gone();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(12)).await;
        assert_eq!(propose_topics(&leader, "orders", 1).await.epoch, epoch);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_in_milliseconds() {
    let cluster = Cluster::started(3).await;
    let (first, leader) = cluster.leader().await;
    let applied = propose_topics(&leader, "orders", 5).await;
    let begin = Instant::now();
    leader.transfer_leadership().await.expect("handed over");
    let (second, successor) = cluster.leader().await;
    propose_topics(&successor, "payments", 1).await;
    println!("leadership transfer to next applied proposal: {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_millis(400), "{:?}", begin.elapsed());
    assert_ne!(first, second);
    assert!(successor.status().borrow().epoch > applied.epoch);
    let refused = leader.propose(topic("late")).await;
    assert!(matches!(refused, Err(ProposeError::NotLeader { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_isolated_leader_is_not_active_and_cannot_write() {
    let cluster = Cluster::started(3).await;
    let (first, leader) = cluster.leader().await;
    propose_topics(&leader, "orders", 1).await;
    cluster.isolate(first);
    status_of(&leader, |status| !status.is_active).await;
    let refused = timeout(PATIENCE, leader.propose(topic("lost"))).await.expect("answered");
    assert!(matches!(refused, Err(ProposeError::NotLeader { .. } | ProposeError::Unknown)), "{refused:?}");
    assert!(leader.read_barrier().await.is_err());
    let (_, successor) = cluster.leader().await;
    let applied = propose_topics(&successor, "payments", 1).await;
    cluster.heal();
    let image = image_at(&leader, applied.offset).await;
    assert!(image.topic("payments-0").is_some());
    assert!(image.topic("lost").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_that_the_isolated_leader_had_accepted_is_unknown() {
    let cluster = Cluster::started(3).await;
    let (first, leader) = cluster.leader().await;
    propose_topics(&leader, "orders", 1).await;
    cluster.isolate(first);
    let outcome = timeout(PATIENCE, leader.propose(topic("perhaps"))).await.expect("answered");
    assert_eq!(outcome, Err(ProposeError::Unknown));
}
