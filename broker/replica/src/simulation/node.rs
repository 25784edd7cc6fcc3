//! A model broker with one replica: a log of which only a prefix is durable, and the real leader or follower state.

use super::controller::Meta;
use crate::divergence::EpochEnd;
use crate::follower::{FollowerStart, FollowerState, LogEnds};
use crate::leader::{LeaderStart, LeaderState, Membership};

pub(super) const LAG_MS: i64 = 100;

/// A record: the epoch it was appended in and what tells it from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub epoch: i32,
    pub value: u64,
}

pub(super) enum Role {
    Idle,
    Leader(LeaderState),
    Follower(FollowerState),
}

pub(super) struct Node {
    pub id: i32,
    pub is_up: bool,
    /// The disk was lost and the controller has not heard of it yet.
    pub disk_lost: bool,
    pub broker_epoch: i64,
    pub log: Vec<Entry>,
    pub durable: usize,
    /// Where the log begins; what lies before stays in the model, unseen. It is stored whenever it moves.
    pub log_start: i64,
    pub epochs: Vec<(i32, i64)>,
    pub high_watermark: i64,
    pub role: Role,
    /// How many of the controller's decisions it knows.
    pub learned: usize,
}

impl Node {
    pub(super) fn new(id: i32) -> Self {
        Self {
            id,
            is_up: true,
            disk_lost: false,
            broker_epoch: i64::from(id),
            log: Vec::new(),
            durable: 0,
            log_start: 0,
            epochs: Vec::new(),
            high_watermark: 0,
            role: Role::Idle,
            learned: 0,
        }
    }

    pub(super) fn end(&self) -> i64 {
        self.log.len() as i64
    }

    pub(super) fn ends(&self) -> LogEnds {
        let last_epoch = self.epochs.last().map_or(-1, |(epoch, _)| *epoch);
        LogEnds { start: self.log_start, end: self.end(), durable_end: self.durable as i64, last_epoch }
    }

    pub(super) fn append(&mut self, entry: Entry) {
        self.begin_epoch(entry.epoch);
        self.log.push(entry);
    }

    pub(super) fn truncate(&mut self, end: i64) {
        self.log.truncate(end as usize);
        self.durable = self.durable.min(self.log.len());
        self.epochs.retain(|(_, start)| *start < end);
        self.high_watermark = self.high_watermark.min(end);
        self.log_start = self.log_start.min(end);
    }

    /// The end of the largest epoch that is not above `epoch`.
    pub(super) fn epoch_end(&self, epoch: i32) -> Option<EpochEnd> {
        let at = self.epochs.iter().rposition(|(known, _)| *known <= epoch)?;
        let end_offset = self.epochs.get(at + 1).map_or_else(|| self.end(), |(_, start)| *start);
        Some(EpochEnd { epoch: self.epochs[at].0, end_offset })
    }

    /// Power is lost: of what is not durable some may survive, in order.
    pub(super) fn crash(&mut self, survives: usize) {
        self.is_up = false;
        self.role = Role::Idle;
        self.truncate(survives as i64);
        self.durable = self.log.len();
    }

    pub(super) fn lose_disk(&mut self) {
        self.crash(0);
        self.log_start = 0;
        self.disk_lost = true;
    }

    /// Takes over what the controller decided; true when the role began anew.
    pub(super) fn learn(&mut self, meta: &Meta, min_isr: usize, now: i64) -> Option<Membership> {
        let membership = Membership {
            partition_epoch: meta.partition_epoch,
            isr: meta.isr.clone(),
            elr: meta.elr.clone(),
            replicas: (0..meta.brokers.len() as i32).collect(),
            min_isr,
            eligible: meta.eligible(),
        };
        let known = match &self.role {
            Role::Idle => -1,
            Role::Leader(leader) => leader.leader_epoch(),
            Role::Follower(follower) => follower.leader_epoch(),
        };
        if known == meta.leader_epoch {
            return matches!(self.role, Role::Leader(_)).then_some(membership);
        }
        self.begin(meta, membership, now);
        None
    }

    fn begin(&mut self, meta: &Meta, membership: Membership, now: i64) {
        if meta.leader == self.id && meta.brokers[self.id as usize].0 == self.broker_epoch {
            self.begin_epoch(meta.leader_epoch);
            let start = LeaderStart {
                local: self.id,
                leader_epoch: meta.leader_epoch,
                log_start: self.log_start,
                log_end: self.end(),
                counted_end: self.durable as i64,
                high_watermark: self.high_watermark,
                lag_time_max_ms: LAG_MS,
                membership,
            };
            let (leader, effects) = LeaderState::new(start, now);
            self.high_watermark = effects.high_watermark.unwrap_or(self.high_watermark);
            self.role = Role::Leader(leader);
        } else if meta.leader >= 0 && meta.leader != self.id {
            self.role = Role::Follower(FollowerState::new(FollowerStart {
                leader: meta.leader,
                leader_epoch: meta.leader_epoch,
                log: self.ends(),
                high_watermark: self.high_watermark,
            }));
        } else {
            self.role = Role::Idle;
        }
    }

    fn begin_epoch(&mut self, epoch: i32) {
        if self.epochs.last().is_none_or(|(last, _)| *last < epoch) {
            self.epochs.push((epoch, self.end()));
        }
    }
}
