//! One replica on a node: its log and its role.

use std::collections::VecDeque;

use klamm_log::{Log, WriteJob};
use klamm_replica::{AlterPartition, FollowerState, LeaderState, LogEnds};
use klamm_wire::ErrorCode;

use super::damage::Damage;
use crate::message::Sender;
use crate::party::Party;

/// What a replica does.
#[derive(Debug)]
pub(crate) enum Role {
    /// There is no leader, or none is known.
    Idle,
    /// Leads.
    Leader(LeaderState),
    /// Follows.
    Follower(FollowerState),
    /// The log cannot be used any more.
    Offline,
}

/// Whether the log is being written.
pub(super) enum Io {
    /// Nothing to write.
    Idle,
    /// A pause, as the disk is full.
    Queued,
    /// A job runs; `again` when there is more to write since it started.
    Writing { job: Box<WriteJob>, serial: u64, again: bool },
}

/// Who waits for records to be replicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    /// A producer.
    Producer { to: Sender, base_offset: i64 },
    /// A write of the coordinator.
    Shard { serial: u64 },
    /// An administrator who deletes records.
    Deleter { to: Party, id: u64, start: i64 },
}

/// Somebody who waits for the high watermark, or for the low watermark.
pub(super) struct Waiter {
    pub next_offset: i64,
    pub ack: Ack,
}

/// Results for those who waited.
pub(super) type Released = Vec<(Ack, Result<(), ErrorCode>)>;

/// Log and role.
pub(crate) struct Replica {
    pub(crate) log: Log,
    pub(crate) role: Role,
    pub(crate) high_watermark: i64,
    pub(super) io: Io,
    pub(crate) disk_full: bool,
    pub(super) acks: VecDeque<Waiter>,
    /// Those who wait for the low watermark.
    pub(super) deletions: Vec<Waiter>,
    pub(super) damage: Damage,
    /// The leader epochs that were on the disk have not been compared with the metadata yet.
    pub(super) doubts_epochs: bool,
    /// The leader epoch of the metadata, and whether it counts on this copy.
    pub(super) counted: (i32, bool),
    /// The log ends below its stored recovery point, or has: that would vouch for what comes next.
    pub(super) outdated_point: bool,
    /// Up to where the invariants have seen this log.
    pub(crate) checked_to: i64,
}

/// What a change of a replica sets off.
#[derive(Default)]
pub(super) struct Sparks {
    pub write: bool,
    pub released: Released,
    pub proposal: Option<AlterPartition>,
    pub wakes_followers: bool,
    pub wakes_consumers: bool,
    /// It follows this node in an epoch that is new to it.
    pub assigned_to: Option<usize>,
    pub directory_failed: Option<String>,
    pub elected: Option<i32>,
    pub advanced: bool,
    /// The log begins here now, as this node has decided.
    pub start_moved: Option<i64>,
}

impl Role {
    /// The epoch in which this replica leads.
    pub(crate) fn led_epoch(&self) -> Option<i32> {
        match self {
            Self::Leader(leader) => Some(leader.leader_epoch()),
            _ => None,
        }
    }

    pub(super) fn epoch(&self) -> i32 {
        match self {
            Self::Leader(leader) => leader.leader_epoch(),
            Self::Follower(follower) => follower.leader_epoch(),
            Self::Idle | Self::Offline => -1,
        }
    }

    /// The leader state, or the error that a client gets.
    pub(super) fn leader(&mut self) -> Result<&mut LeaderState, ErrorCode> {
        match self {
            Self::Leader(leader) => Ok(leader),
            Self::Idle | Self::Follower(_) => Err(ErrorCode::NotLeaderOrFollower),
            Self::Offline => Err(ErrorCode::KafkaStorageError),
        }
    }
}

impl Replica {
    pub(super) fn new(log: Log, high_watermark: i64) -> Self {
        Self {
            high_watermark: high_watermark.clamp(log.start_offset(), log.end_offset()),
            log,
            role: Role::Idle,
            io: Io::Idle,
            disk_full: false,
            acks: VecDeque::new(),
            deletions: Vec::new(),
            damage: Damage::None,
            doubts_epochs: true,
            counted: (-1, true),
            outdated_point: false,
            checked_to: 0,
        }
    }

    /// End of what counts on this node: `flush.messages` is 1, so what is durable.
    pub(super) fn counted_end(&self) -> i64 {
        self.log.durable_end()
    }

    /// The log's ends for the follower state.
    pub(super) fn log_ends(&self) -> LogEnds {
        LogEnds {
            start: self.log.start_offset(),
            end: self.log.end_offset(),
            durable_end: self.counted_end(),
            last_epoch: self.log.latest_epoch().unwrap_or(-1),
        }
    }

    /// Notes that the log has something to write.
    pub(super) fn mark_dirty(&mut self, sparks: &mut Sparks) {
        match &mut self.io {
            Io::Idle => sparks.write = true,
            Io::Queued => {}
            Io::Writing { again, .. } => *again = true,
        }
    }

    /// How many wait for the high watermark, or for the low watermark.
    pub(crate) fn waiting(&self) -> usize {
        self.acks.len() + self.deletions.len()
    }

    /// A repeated batch waits for an older offset, so the place is looked for from the back.
    pub(super) fn wait_replicated(&mut self, next_offset: i64, ack: Ack) {
        let behind = self.acks.iter().rev().take_while(|waiter| waiter.next_offset > next_offset).count();
        let at = self.acks.len() - behind;
        self.acks.insert(at, Waiter { next_offset, ack });
    }

    pub(super) fn release_acks(&mut self, upto: i64, result: Result<(), ErrorCode>, released: &mut Released) {
        while self.acks.front().is_some_and(|waiter| waiter.next_offset <= upto) {
            if let Some(waiter) = self.acks.pop_front() {
                released.push((waiter.ack, result));
            }
        }
    }
}
