//! Reading from the nearest replica (KIP-392): what a follower serves, and which follower a leader sends a consumer to.

use std::cmp::Reverse;

use klamm_log::ReadPlan;
use klamm_wire::ErrorCode;

use super::error::Refused;
use super::fetch::{FetchRead, Fetched, Reader};
use super::replica::{Partition, State};
use super::role::Role;
use super::wakeups::Wakeups;

impl Partition {
    /// The replica that a consumer should read from instead of this leader: in sync, holding `fetch_offset`, and `is_near`. Of
    /// several it is the one that is furthest. `None` when this broker does not lead, or knows none.
    pub fn nearby_replica(&self, fetch_offset: i64, is_near: impl Fn(i32) -> bool) -> Option<i32> {
        let state = self.state.lock();
        let Role::Leader(leader) = &state.role else { return None };
        if fetch_offset < state.log.start_offset() {
            return None;
        }
        let isr = leader.isr().committed();
        let serves = |replica: i32, log_end: i64| {
            isr.contains(&replica) && log_end >= fetch_offset && is_near(replica)
        };
        let followers = leader.followers().iter().filter(|f| serves(f.replica, f.log_end));
        followers.max_by_key(|f| (f.log_end, f.last_caught_up_ms, Reverse(f.replica))).map(|f| f.replica)
    }
}

impl State {
    /// The leader epoch that a reader is held against: the leader's, or the follower's for a reader that may read there.
    pub(super) fn check_reader_epoch(&mut self, read: &FetchRead) -> Result<(), Refused> {
        match &self.role {
            Role::Follower(follower) if read.reader == Reader::NearbyConsumer => {
                check_epoch(follower.leader_epoch(), read.current_leader_epoch)
            }
            _ => self.check_epoch(read.current_leader_epoch).map(drop),
        }
    }

    /// What a follower has for a consumer. Only what it knows to be committed is served or compared: what lies behind may
    /// be truncated yet. A consumer that is further than this log comes back later or asks the leader.
    pub(super) fn fetch_nearby(&self, read: &FetchRead) -> Result<(Fetched, Option<ReadPlan>), Refused> {
        let (start, end) = (self.log.start_offset(), self.log.end_offset());
        let mut fetched =
            Fetched { high_watermark: self.high_watermark, log_start_offset: start, ..Fetched::default() };
        if read.fetch_offset < start {
            let message = format!("offset {} lies before {start}", read.fetch_offset);
            return Err(Refused::new(ErrorCode::OffsetOutOfRange, message));
        }
        if read.fetch_offset > end {
            let message = format!("offset {} is not here yet: this replica ends at {end}", read.fetch_offset);
            return Err(Refused::new(ErrorCode::OffsetNotAvailable, message));
        }
        if read.fetch_offset <= self.high_watermark && read.last_fetched_epoch >= 0 {
            fetched.diverging = self.diverging(read)?;
            if fetched.diverging.is_some() {
                return Ok((fetched, None));
            }
        }
        let plan = self.plan(read)?;
        Ok((fetched, plan))
    }

    /// Wakes consumers that wait at this follower when the high watermark is past what it was.
    pub(super) fn wake_nearby(&mut self, was: i64, wakeups: &mut Wakeups) {
        if self.high_watermark > was {
            self.consumers.take_into(&mut wakeups.parked);
        }
    }
}

/// Fences clients with older metadata and tells those with newer that this broker is behind (KIP-320).
pub(super) fn check_epoch(known: i32, current_leader_epoch: i32) -> Result<(), Refused> {
    match current_leader_epoch {
        ..=-1 => Ok(()),
        older if older < known => Err(ErrorCode::FencedLeaderEpoch.into()),
        newer if newer > known => Err(ErrorCode::UnknownLeaderEpoch.into()),
        _ => Ok(()),
    }
}
