//! How far one follower has come, as its fetches tell.

/// A follower seen by the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerProgress {
    /// Broker id.
    pub replica: i32,
    /// Offset after the last record that the follower holds durably; -1 until it fetched in this leader epoch.
    pub log_end: i64,
    /// First offset of the follower's log as its last fetch told; -1 unknown.
    pub log_start: i64,
    /// Last time at which the follower held everything that the leader had.
    pub last_caught_up_ms: i64,
    /// Time of the last fetch.
    pub last_fetch_ms: i64,
    /// The leader's log end at the last fetch.
    pub leader_end_at_last_fetch: i64,
    /// Broker epoch that the last fetch carried (KIP-903); -1 before.
    pub broker_epoch: i64,
}

impl FollowerProgress {
    /// A member of the ISR counts as caught up when the leader begins; another one never was.
    pub(super) fn new(replica: i32, in_isr: bool, now_ms: i64) -> Self {
        Self {
            replica,
            log_end: -1,
            log_start: -1,
            last_caught_up_ms: if in_isr { now_ms } else { i64::MIN },
            last_fetch_ms: i64::MIN,
            leader_end_at_last_fetch: 0,
            broker_epoch: -1,
        }
    }

    pub(super) fn fetched(&mut self, broker_epoch: i64, fetch_offset: i64, leader_end: i64, now_ms: i64) {
        if fetch_offset >= leader_end {
            self.last_caught_up_ms = self.last_caught_up_ms.max(now_ms);
        } else if fetch_offset >= self.leader_end_at_last_fetch {
            self.last_caught_up_ms = self.last_caught_up_ms.max(self.last_fetch_ms);
        }
        self.log_end = fetch_offset;
        self.last_fetch_ms = now_ms;
        self.leader_end_at_last_fetch = leader_end;
        self.broker_epoch = broker_epoch;
    }

    /// Whether the follower holds everything, or did so less than `lag_time_max_ms` ago.
    pub(super) fn is_caught_up(&self, leader_end: i64, lag_time_max_ms: i64, now_ms: i64) -> bool {
        self.log_end == leader_end || now_ms.saturating_sub(self.last_caught_up_ms) <= lag_time_max_ms
    }
}
