//! The throttle of replication (KIP-73): how fast replicas that are out of sync may be brought up.
//!
//! A topic lists the replicas that are throttled, a broker has a rate for what it sends as a leader and one for what it
//! fetches as a follower. Both ends enforce theirs: the leader leaves throttled partitions out of its answers while too much
//! has passed, the follower leaves them out of its requests. A replica that is in sync is never slowed, and what it fetches
//! does not count.

mod bucket;
mod replicas;

use klamm_metadata::config::BrokerProperties;
use parking_lot::Mutex;

use bucket::Bucket;
pub(super) use replicas::ThrottledReplicas;

/// The two rates of a broker.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    leader: Mutex<Bucket>,
    follower: Mutex<Bucket>,
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
    pub(super) fn configure(&self, properties: &BrokerProperties<'_>, now_ms: i64) {
        for (side, name) in [
            (Side::Leader, "leader.replication.throttled.rate"),
            (Side::Follower, "follower.replication.throttled.rate"),
        ] {
            let rate = properties.parsed(name).unwrap_or(u64::MAX);
            self.bucket(side).lock().set_rate(rate, now_ms);
        }
    }

    /// When throttled bytes may pass again, in Unix milliseconds; `None` when they may at once.
    pub(super) fn held_until(&self, side: Side, now_ms: i64) -> Option<i64> {
        self.bucket(side).lock().held_until(now_ms)
    }

    /// Throttled bytes passed.
    pub(super) fn passed(&self, side: Side, bytes: usize, now_ms: i64) {
        self.bucket(side).lock().take(bytes, now_ms);
    }

    fn bucket(&self, side: Side) -> &Mutex<Bucket> {
        match side {
            Side::Leader => &self.leader,
            Side::Follower => &self.follower,
        }
    }
}
