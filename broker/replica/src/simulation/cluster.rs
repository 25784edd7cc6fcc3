//! A cluster of model brokers on a network that delays, reorders, repeats and loses messages.

use super::controller::Controller;
use super::node::{Entry, LAG_MS, Node, Role};
use super::random::Random;
use crate::divergence::{EpochEnd, diverging_epoch};
use crate::follower::{
    Answer, FetchError, FetchPosition, FollowerEffects, FollowerEvent, LogAction, NextFetch,
};
use crate::leader::{AlterPartition, AlterPartitionOutcome, LeaderEffects, LeaderEvent};

/// What a leader answers, records included.
#[derive(Clone)]
enum Served {
    Records { entries: Vec<Entry>, high_watermark: i64, log_start: i64 },
    Diverging(EpochEnd),
    OutOfRange { end: i64 },
    Error(FetchError),
}

#[derive(Clone)]
enum Message {
    Fetch { from: usize, broker_epoch: i64, to: usize, position: FetchPosition, log_start: i64 },
    Fetched { to: usize, broker_epoch: i64, asked: FetchPosition, served: Served },
    Alter { from: usize, broker_epoch: i64, proposal: AlterPartition },
    Altered { to: usize, broker_epoch: i64, leader_epoch: i32, outcome: AlterPartitionOutcome },
}

pub(super) struct Cluster {
    pub random: Random,
    pub nodes: Vec<Node>,
    pub controller: Controller,
    /// Every record below some leader's high watermark, i.e. acknowledged with acks=all.
    pub committed: Vec<Entry>,
    /// The largest low watermark of a leader, i.e. everything before was acknowledged to be deleted.
    pub deleted: i64,
    now: i64,
    next_value: u64,
    network: Vec<Message>,
    /// First violation found.
    pub violation: Option<String>,
}

impl Cluster {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let replicas = random.between(3, 5);
        let min_isr = random.between(1, 2);
        Self {
            nodes: (0..replicas as i32).map(Node::new).collect(),
            controller: Controller::new(replicas, min_isr),
            committed: Vec::new(),
            deleted: 0,
            now: 0,
            next_value: 0,
            network: Vec::new(),
            violation: None,
            random,
        }
    }

    /// One thing happens somewhere.
    pub(super) fn step(&mut self) {
        let node = self.random.below(self.nodes.len());
        self.now += self.random.below(5) as i64;
        match self.random.below(1_000) {
            0..120 => self.produce(node),
            120..270 => self.flush(node),
            270..480 => self.send_fetch(node),
            480..760 => self.deliver_any(),
            760..800 => self.lose_any(),
            800..890 => self.learn(node),
            890..900 => self.delete(node),
            900..925 => self.tick(node),
            925..940 => self.crash(node),
            940..945 => self.lose_disk(node),
            945..955 => self.suspect(node),
            955..975 => self.restart(node),
            _ => self.unfence(node),
        }
    }

    /// Repairs everything and lets it come to rest.
    pub(super) fn heal(&mut self) {
        for _ in 0..2 {
            (0..self.nodes.len()).for_each(|node| self.restart(node));
        }
        for _ in 0..60 {
            self.now += 200;
            for node in 0..self.nodes.len() {
                self.learn_all(node);
                self.flush(node);
                self.tick(node);
                self.send_fetch(node);
                self.unfence(node);
            }
            while !self.network.is_empty() {
                let message = self.network.remove(0);
                self.deliver(message);
            }
        }
    }

    fn produce(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Role::Leader(leader) = &mut node.role else { return };
        self.next_value += 1;
        let entry = Entry { epoch: leader.leader_epoch(), value: self.next_value };
        node.log.push(entry);
        let effects = leader.step(LeaderEvent::LocalAppended { end: node.log.len() as i64 }, self.now);
        self.take_leader_effects(at, effects);
    }

    fn delete(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Role::Leader(leader) = &mut node.role else { return };
        let start = self.random.below(node.high_watermark as usize + 1) as i64;
        if start > node.log_start {
            node.log_start = start;
            let effects = leader.step(LeaderEvent::LocalStartMoved { start }, self.now);
            self.take_leader_effects(at, effects);
        }
    }

    fn flush(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if !node.is_up {
            return;
        }
        node.durable = node.log.len();
        let ends = node.ends();
        match &mut node.role {
            Role::Idle => {}
            Role::Leader(leader) => {
                let effects = leader.step(LeaderEvent::LocalDurable { end: ends.end }, self.now);
                self.take_leader_effects(at, effects);
            }
            Role::Follower(follower) => {
                let effects = follower.step(FollowerEvent::LogChanged(ends), self.now);
                self.take_follower_effects(at, effects, &[]);
            }
        }
    }

    fn send_fetch(&mut self, from: usize) {
        let node = &self.nodes[from];
        let Role::Follower(follower) = &node.role else { return };
        if let NextFetch::Now(position) = follower.next_fetch(self.now) {
            let (broker_epoch, to) = (node.broker_epoch, follower.leader() as usize);
            let log_start = node.log_start;
            self.network.push(Message::Fetch { from, broker_epoch, to, position, log_start });
        }
    }

    fn deliver_any(&mut self) {
        if self.network.is_empty() {
            return;
        }
        let at = self.random.below(self.network.len());
        let repeated = self.random.below(10) == 0 && matches!(self.network[at], Message::Fetch { .. });
        let message = if repeated { self.network[at].clone() } else { self.network.swap_remove(at) };
        self.deliver(message);
    }

    /// A lost proposal or answer shows as a time-out, after which the outcome is unknown.
    fn lose_any(&mut self) {
        if self.network.is_empty() {
            return;
        }
        let at = self.random.below(self.network.len());
        match self.network.swap_remove(at) {
            Message::Alter { from: to, broker_epoch, proposal: AlterPartition { leader_epoch, .. } }
            | Message::Altered { to, broker_epoch, leader_epoch, .. } => {
                self.altered(to, broker_epoch, leader_epoch, AlterPartitionOutcome::Retry);
            }
            Message::Fetch { .. } | Message::Fetched { .. } => {}
        }
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::Fetch { from, broker_epoch, to, position, log_start } => {
                let served = self.serve((from, broker_epoch), to, position, log_start);
                self.network.push(Message::Fetched { to: from, broker_epoch, asked: position, served });
            }
            Message::Fetched { to, broker_epoch, asked, served } => {
                self.fetched(to, broker_epoch, asked, served)
            }
            Message::Alter { from, broker_epoch, proposal } => {
                if self.controller.now().brokers[from].0 == broker_epoch {
                    let outcome = self.controller.alter_partition(from as i32, &proposal);
                    let leader_epoch = proposal.leader_epoch;
                    self.network.push(Message::Altered { to: from, broker_epoch, leader_epoch, outcome });
                }
            }
            Message::Altered { to, broker_epoch, leader_epoch, outcome } => {
                self.altered(to, broker_epoch, leader_epoch, outcome);
            }
        }
    }

    fn serve(
        &mut self,
        (from, broker_epoch): (usize, i64),
        to: usize,
        position: FetchPosition,
        log_start: i64,
    ) -> Served {
        let now = self.now;
        let node = &mut self.nodes[to];
        let own = node.epoch_end(position.last_fetched_epoch);
        let end = node.end();
        let Role::Leader(leader) = &mut node.role else { return Served::Error(FetchError::Retriable) };
        match position.current_leader_epoch.cmp(&leader.leader_epoch()) {
            std::cmp::Ordering::Less => return Served::Error(FetchError::FencedLeaderEpoch),
            std::cmp::Ordering::Greater => return Served::Error(FetchError::Retriable),
            std::cmp::Ordering::Equal => {}
        }
        if position.last_fetched_epoch >= 0 {
            let own = own.unwrap_or(EpochEnd { epoch: position.last_fetched_epoch, end_offset: 0 });
            if let Some(diverging) = diverging_epoch(position.offset, position.last_fetched_epoch, own) {
                return Served::Diverging(diverging);
            }
        }
        if position.offset > end {
            return Served::OutOfRange { end };
        }
        let fetched = LeaderEvent::FollowerFetched {
            replica: from as i32,
            broker_epoch,
            fetch_offset: position.offset,
            log_start,
        };
        let effects = leader.step(fetched, now);
        let first = position.offset as usize;
        let last = (first + self.random.below(4)).min(node.log.len());
        let entries = node.log[first..last].to_vec();
        self.take_leader_effects(to, effects);
        let Node { high_watermark, log_start, .. } = self.nodes[to];
        Served::Records { entries, high_watermark, log_start }
    }

    fn fetched(&mut self, at: usize, broker_epoch: i64, asked: FetchPosition, served: Served) {
        let node = &mut self.nodes[at];
        let diverging_own = match &served {
            Served::Diverging(leader) => node.epoch_end(leader.epoch),
            _ => None,
        };
        let Role::Follower(follower) = &mut node.role else { return };
        if node.broker_epoch != broker_epoch {
            return;
        }
        let mut received = Vec::new();
        let answer = match served {
            Served::Records { entries, high_watermark, log_start } => {
                received = entries;
                let is_empty = received.is_empty();
                Answer::Records { high_watermark, log_start_offset: log_start, is_empty }
            }
            // The log of this model keeps what was deleted: it has no first batch that begins below its start.
            Served::Diverging(leader) => Answer::Diverging { leader, own: diverging_own, leader_start: -1 },
            Served::OutOfRange { end } => Answer::OutOfRange { leader_start: 0, leader_end: end },
            Served::Error(error) => Answer::Error(error),
        };
        let effects = follower.step(FollowerEvent::Answered { asked, answer }, self.now);
        self.take_follower_effects(at, effects, &received);
    }

    fn take_follower_effects(&mut self, at: usize, effects: FollowerEffects, received: &[Entry]) {
        let node = &mut self.nodes[at];
        match effects.log {
            Some(LogAction::Append) => received.iter().for_each(|entry| node.append(*entry)),
            Some(LogAction::TruncateTo(end) | LogAction::RestartAt(end)) => node.truncate(end),
            None => {}
        }
        node.log_start = node.log_start.max(effects.log_start.unwrap_or(0).min(node.end()));
        let ends = node.ends();
        let Role::Follower(follower) = &mut node.role else { return };
        if effects.log.is_some() || effects.log_start.is_some() {
            let _ = follower.step(FollowerEvent::LogChanged(ends), self.now);
        }
        node.high_watermark = follower.high_watermark();
    }

    fn take_leader_effects(&mut self, at: usize, effects: LeaderEffects) {
        let node = &mut self.nodes[at];
        if let Some(high_watermark) = effects.high_watermark {
            if high_watermark <= node.high_watermark {
                self.violation = Some(format!("high watermark of {at} moved back to {high_watermark}"));
            }
            node.high_watermark = high_watermark;
            self.commit(at, high_watermark as usize);
        }
        self.deleted = self.deleted.max(effects.low_watermark.unwrap_or(0));
        if let Some(proposal) = effects.alter_partition {
            let broker_epoch = self.nodes[at].broker_epoch;
            self.network.push(Message::Alter { from: at, broker_epoch, proposal });
        }
    }

    fn commit(&mut self, at: usize, high_watermark: usize) {
        let prefix = &self.nodes[at].log[..high_watermark];
        let known = self.committed.len().min(prefix.len());
        if prefix[..known] != self.committed[..known] {
            self.violation = Some(format!("leader {at} commits other records than were committed before"));
        }
        self.committed.extend_from_slice(&prefix[known..]);
    }

    fn altered(&mut self, at: usize, broker_epoch: i64, leader_epoch: i32, outcome: AlterPartitionOutcome) {
        let node = &mut self.nodes[at];
        let Role::Leader(leader) = &mut node.role else { return };
        if node.broker_epoch == broker_epoch && leader.leader_epoch() == leader_epoch {
            let effects = leader.step(LeaderEvent::AlterPartitionDone(outcome), self.now);
            self.take_leader_effects(at, effects);
        }
    }

    fn tick(&mut self, at: usize) {
        self.now += if self.random.below(4) == 0 { LAG_MS } else { 1 };
        if let Role::Leader(leader) = &mut self.nodes[at].role {
            let effects = leader.step(LeaderEvent::Tick, self.now);
            self.take_leader_effects(at, effects);
        }
    }

    fn learn(&mut self, at: usize) {
        let known = self.nodes[at].learned;
        let all = self.controller.history.len();
        if known < all {
            let upto = self.random.between(known + 1, all);
            self.learn_upto(at, upto);
        }
    }

    fn learn_all(&mut self, at: usize) {
        if self.nodes[at].learned < self.controller.history.len() {
            self.learn_upto(at, self.controller.history.len());
        }
    }

    fn learn_upto(&mut self, at: usize, upto: usize) {
        if !self.nodes[at].is_up {
            return;
        }
        let meta = self.controller.history[upto - 1].clone();
        let node = &mut self.nodes[at];
        node.learned = upto;
        let membership = node.learn(&meta, self.controller.min_isr, self.now);
        if let Role::Leader(leader) = &mut node.role {
            let effects = membership.map(|m| leader.step(LeaderEvent::MetadataChanged(m), self.now));
            match effects {
                Some(effects) => self.take_leader_effects(at, effects),
                None => {
                    self.deleted = self.deleted.max(leader.low_watermark());
                    self.commit(at, self.nodes[at].high_watermark as usize);
                }
            }
        }
    }
}
