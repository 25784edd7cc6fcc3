//! The throttle of replication (KIP-73): how fast replicas that are out of sync may be brought up.
//!
//! A topic lists the replicas that are throttled, a broker has a rate for what it sends as a leader and one for what it
//! fetches as a follower. Both ends enforce theirs: the leader leaves throttled partitions out of its answers while too much
//! has passed, the follower leaves them out of its requests. A replica that is in sync is never slowed, and what it fetches
//! does not count.

mod bucket;
mod replicas;

use std::sync::atomic::{AtomicU64, Ordering};

use klamm_log::ReadPlan;
use klamm_metadata::config::BrokerProperties;
use klamm_replica::LeaderState;
use parking_lot::Mutex;

use super::fetch::{FetchRead, Fetched, Reader};
use super::replica::{Partition, State};
use super::role::Role;
use bucket::Bucket;
pub(super) use replicas::ThrottledReplicas;

/// The two rates of a broker.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    leader: Mutex<Bucket>,
    follower: Mutex<Bucket>,
    sent: AtomicU64,
    fetched: AtomicU64,
}

/// Which side of a fetch this broker is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// It sends: `leader.replication.throttled.rate`.
    Leader,
    /// It fetches: `follower.replication.throttled.rate`.
    Follower,
}

impl Throttle {
    /// Takes over the rates in effect.
    pub(super) fn configure(&self, properties: &BrokerProperties<'_>, steady_ms: i64) {
        for (side, name) in [
            (Side::Leader, "leader.replication.throttled.rate"),
            (Side::Follower, "follower.replication.throttled.rate"),
        ] {
            let rate = properties.parsed(name).unwrap_or(u64::MAX);
            self.bucket(side).lock().set_rate(rate, steady_ms);
        }
    }

    /// When throttled bytes may pass again, by the steady clock; `None` when they may at once.
    pub(super) fn held_until(&self, side: Side, steady_ms: i64) -> Option<i64> {
        self.bucket(side).lock().held_until(steady_ms)
    }

    /// Throttled bytes passed.
    pub(super) fn passed(&self, side: Side, bytes: usize, steady_ms: i64) {
        self.bucket(side).lock().take(bytes, steady_ms);
        self.total(side).fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Throttled bytes that have passed since the start.
    pub(super) fn bytes(&self, side: Side) -> u64 {
        self.total(side).load(Ordering::Relaxed)
    }

    fn total(&self, side: Side) -> &AtomicU64 {
        match side {
            Side::Leader => &self.sent,
            Side::Follower => &self.fetched,
        }
    }

    fn bucket(&self, side: Side) -> &Mutex<Bucket> {
        match side {
            Side::Leader => &self.leader,
            Side::Follower => &self.follower,
        }
    }
}

impl Partition {
    /// Holds back what a follower that is out of sync would read of a throttled partition.
    pub(super) fn throttle(
        &self,
        state: &State,
        read: &FetchRead,
        fetched: &mut Fetched,
        plan: Option<ReadPlan>,
        steady_ms: i64,
    ) -> Option<ReadPlan> {
        let Reader::Follower { replica, .. } = read.reader else { return plan };
        if plan.is_none() || !self.settings.load().leader_throttled.contains(self.index, self.shared.node_id)
        {
            return plan;
        }
        let in_sync = |leader: &LeaderState| leader.isr().maximal_contains(replica);
        if matches!(&state.role, Role::Leader(leader) if in_sync(leader)) {
            return plan;
        }
        fetched.is_throttled = true;
        fetched.held_until = self.shared.throttle.held_until(Side::Leader, steady_ms);
        plan.filter(|_| fetched.held_until.is_none())
    }
}
