//! Leadership over links that are slow and lose packets. Time is simulated once a leader is there.

use std::time::Duration;

use klamm_quorum::{Quorum, QuorumStatus, api};
use tokio::time::{Instant, timeout};

use crate::harness::{Cluster, image_at, propose_topics};
use crate::link::Link;

/// How long a leader counts on what a majority has confirmed (`QuorumConfig::election_timeout_ms`).
const LEASE: Duration = Duration::from_millis(500);

/// Three voters with a leader that all have applied something of, and time that passes when nobody has anything to do.
async fn settled() -> (Cluster, i32, Quorum) {
    let cluster = Cluster::started(3).await;
    let (id, leader) = cluster.leader().await;
    let applied = propose_topics(&leader, "orders", 1).await;
    for (_, voter) in cluster.running() {
        image_at(&voter, applied.offset).await;
    }
    tokio::time::pause();
    (cluster, id, leader)
}

/// The status with which the leader stopped being the active one of its epoch, if it did within `time`.
async fn deposed_within(leader: &Quorum, time: Duration) -> Option<QuorumStatus> {
    let mut status = leader.status();
    let epoch = status.borrow().epoch;
    let deposed = status.wait_for(|now| !now.is_active || now.epoch != epoch);
    timeout(time, deposed).await.ok().map(|now| now.expect("it runs").clone())
}

#[tokio::test]
async fn a_leader_stays_over_links_that_lose_and_delay_packets() {
    for seed in 1..=8 {
        let (cluster, _, leader) = settled().await;
        cluster.go_over(&Link::new(5, Duration::from_millis(30), 40, seed));
        let deposed = deposed_within(&leader, Duration::from_secs(60)).await;
        assert_eq!(deposed, None, "seed {seed}");
        cluster.stop_all().await;
        tokio::time::resume();
    }
}

#[tokio::test]
async fn an_isolated_leader_gives_up_although_answers_to_what_it_sent_before_still_arrive() {
    for seed in 1..=8 {
        let (cluster, id, leader) = settled().await;
        cluster.go_over(&Link::new(0, Duration::from_millis(70), 20, seed));
        assert_eq!(deposed_within(&leader, Duration::from_secs(2)).await, None, "seed {seed}");
        let cut = Instant::now();
        cluster.isolate(id);
        assert!(deposed_within(&leader, LEASE * 4).await.is_some(), "seed {seed}");
        // What arrived before the cut had been sent one way earlier.
        let bound = LEASE - Duration::from_millis(70);
        assert!(cut.elapsed() <= bound + Duration::from_millis(5), "seed {seed}: {:?}", cut.elapsed());
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_heartbeat_that_is_answered_at_once_is_sent_once() {
    let (cluster, id, _) = settled().await;
    let link = Link::new(0, Duration::from_millis(1), 0, 1);
    cluster.go_over(&link);
    tokio::time::sleep(Duration::from_secs(10)).await;
    for (follower, _) in cluster.running().into_iter().filter(|(other, _)| *other != id) {
        let sent = link.calls((id, follower, api::APPEND));
        assert!((150..=300).contains(&sent), "{sent} heartbeats in 10 s");
    }
}
