//! What a broker asks the active controller: registration, heartbeats, and its leaders' proposals.

use klamm_metadata::controller::{Command, Reply};
use klamm_replica::{AlterPartition, AlterPartitionOutcome};
use klamm_wire::ErrorCode;
use klamm_wire::messages::alter_partition_request::{
    AlterPartitionRequest, BrokerState, PartitionData, TopicData,
};
use klamm_wire::messages::alter_partition_response::PartitionData as PartitionAnswer;
use klamm_wire::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use klamm_wire::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use klamm_wire::messages::broker_registration_request::{BrokerRegistrationRequest, Listener};
use klamm_wire::{Str, messages::alter_partition_response::AlterPartitionResponse};

use super::Node;
use crate::message::{Key, Message};
use crate::mutation::{Mutation, is_active};
use crate::outbox::Outbox;
use crate::party::Party;
use crate::queue::{MS, Micros, NodeTimer};
use crate::quorum::{CLUSTER_ID, SESSION_MS};
use crate::topology::CONTROLLERS;

/// Time between heartbeats of a running broker, and of one that starts or stops.
const HEARTBEAT_MS: i64 = 200;
const EAGER_MS: i64 = 30;
/// Time for an answer of one controller.
const ATTEMPT_MS: i64 = 250;
/// Time after which a leader is told to propose anew.
const ALTER_MS: i64 = 5_000;
/// Pause before a proposal is sent to the next controller.
const RETRY_PAUSE_MS: i64 = 20;

/// A leader's proposal.
#[derive(Clone, Debug)]
pub(super) struct Item {
    key: Key,
    proposal: AlterPartition,
}

/// The sender of proposals: one request under way, everything that waits in the next.
#[derive(Default)]
pub(super) struct AlterChannel {
    waiting: Vec<Item>,
    batch: Vec<Item>,
    call: Option<u64>,
    since: Micros,
}

impl Node {
    fn controller(&mut self, out: &mut Outbox) -> Party {
        let known = self.process.as_ref().and_then(|process| process.active_controller);
        let guess = || out.random.index(CONTROLLERS);
        Party::Controller(known.unwrap_or_else(guess))
    }

    pub(super) fn command(&mut self, command: Command, out: &mut Outbox) -> u64 {
        let id = out.id();
        let to = self.controller(out);
        out.send(self.party(), to, Message::Command { id, command: Box::new(command) });
        self.after(ATTEMPT_MS * MS, NodeTimer::CallExpired { id }, out);
        id
    }

    /// Registers, or shows that it lives, unless an answer is awaited.
    pub(super) fn heartbeat(&mut self, out: &mut Outbox) {
        let Some(process) = self.process.as_ref() else { return };
        let is_eager = !process.is_running || process.stopping.is_some();
        if process.life_call.is_none() {
            let command = match process.broker_epoch {
                ..0 if process.stopping.is_some() => return self.finish_stop(out),
                ..0 => Command::RegisterBroker(self.registration()),
                epoch => Command::BrokerHeartbeat(BrokerHeartbeatRequest {
                    broker_id: self.id as i32,
                    broker_epoch: epoch,
                    current_metadata_offset: process.image.offset(),
                    want_shut_down: process.stopping.is_some(),
                    ..BrokerHeartbeatRequest::default()
                }),
            };
            let (id, now_ms) = (self.command(command, out), self.session_ms(out));
            if let Some(process) = self.process.as_mut() {
                process.life_call = Some((id, now_ms));
            }
        }
        if self.process.as_ref().and_then(|process| process.stopping).is_some_and(|limit| out.now > limit) {
            return self.finish_stop(out);
        }
        let interval = if is_eager { EAGER_MS } else { HEARTBEAT_MS };
        self.after(interval * MS, NodeTimer::Heartbeat, out);
    }

    /// Whether nobody can have taken this broker for dead: its session, counted from what a controller has heard, lasts.
    pub(super) fn is_confirmed(&self, out: &Outbox) -> bool {
        let confirmed = self.process.as_ref().and_then(|process| process.confirmed_ms);
        confirmed.is_some_and(|sent_ms| self.session_ms(out) < sent_ms + SESSION_MS)
    }

    /// The clock that measures it.
    fn session_ms(&self, out: &Outbox) -> i64 {
        if is_active(Mutation::SessionByWallClock) { self.wall_ms(out) } else { self.steady_ms(out) }
    }

    fn registration(&self) -> BrokerRegistrationRequest {
        let listener = Listener {
            name: Str::copy_from("PLAINTEXT"),
            host: Str::copy_from("simulated"),
            port: 9_000 + self.id as u16,
            ..Listener::default()
        };
        let process = self.process.as_ref();
        BrokerRegistrationRequest {
            broker_id: self.id as i32,
            cluster_id: Str::copy_from(CLUSTER_ID),
            incarnation_id: process.map(|process| process.incarnation_id).unwrap_or_default(),
            listeners: vec![listener],
            log_dirs: process.map(|process| process.dir.directory_id()).into_iter().collect(),
            previous_broker_epoch: process.map_or(-1, |process| process.previous_broker_epoch),
            ..BrokerRegistrationRequest::default()
        }
    }

    /// An answer of a controller.
    pub(super) fn replied(&mut self, id: u64, outcome: Result<Box<Reply>, ErrorCode>, out: &mut Outbox) {
        let Some(process) = self.process.as_mut() else { return };
        let life_call = process.life_call.take_if(|(call, _)| *call == id);
        let is_life = life_call.is_some();
        let is_alter = process.alter.call == Some(id);
        let is_damage = process.damage_call.is_some_and(|(call, _)| call == id);
        match outcome {
            Ok(reply) if is_damage => match *reply {
                Reply::ReplicaDamage(reply) => self.damage_reported(Some(&reply), out),
                _ => self.damage_reported(None, out),
            },
            Err(_) if is_damage => self.damage_reported(None, out),
            _ if !is_life && !is_alter => {}
            Err(_) => self.not_answered(is_alter, out),
            Ok(reply) => match *reply {
                Reply::RegisterBroker(reply) if reply.error_code == 0 => {
                    self.registered(reply.broker_epoch, out)
                }
                Reply::BrokerHeartbeat(reply) => self.heartbeat_answered(&reply, life_call, out),
                Reply::AlterPartition(reply) if is_alter => self.altered(&reply, out),
                _ => {}
            },
        }
    }

    /// Nobody answered in time.
    pub(super) fn call_expired(&mut self, id: u64, out: &mut Outbox) {
        let Some(process) = self.process.as_mut() else { return };
        let is_life = process.life_call.take_if(|(call, _)| *call == id).is_some();
        let is_alter = process.alter.call == Some(id);
        if process.damage_call.is_some_and(|(call, _)| call == id) {
            process.damage_call = None;
        }
        if is_life || is_alter {
            self.not_answered(is_alter, out);
        }
    }

    fn not_answered(&mut self, is_alter: bool, out: &mut Outbox) {
        let Some(process) = self.process.as_mut() else { return };
        process.active_controller = None;
        if is_alter {
            process.alter.call = None;
            self.after(RETRY_PAUSE_MS * MS, NodeTimer::ResendAlter, out);
        }
    }

    fn registered(&mut self, epoch: i64, out: &mut Outbox) {
        let Some(process) = self.process.as_mut() else { return };
        if process.broker_epoch != epoch {
            process.broker_epoch = epoch;
            out.note(|| format!("node {} is registered in broker epoch {epoch}", self.id));
        }
    }

    fn heartbeat_answered(
        &mut self,
        reply: &BrokerHeartbeatResponse,
        call: Option<(u64, i64)>,
        out: &mut Outbox,
    ) {
        let Some(process) = self.process.as_mut() else { return };
        if reply.error_code == 0 && !reply.is_fenced {
            process.confirmed_ms = process.confirmed_ms.max(call.map(|(_, sent_ms)| sent_ms));
        }
        if reply.error_code != 0 {
            process.broker_epoch = -1;
            process.is_running = false;
        } else if reply.should_shut_down && process.stopping.is_some() {
            self.finish_stop(out);
        } else {
            process.is_running = !reply.is_fenced && reply.is_caught_up;
        }
    }

    /// A leader wants another ISR.
    pub(super) fn propose(&mut self, key: Key, proposal: AlterPartition, out: &mut Outbox) {
        let Some(process) = self.process.as_mut() else { return };
        process.alter.waiting.push(Item { key, proposal });
        if process.alter.batch.is_empty() {
            self.next_batch(out);
        }
    }

    fn next_batch(&mut self, out: &mut Outbox) {
        let Some(process) = self.process.as_mut() else { return };
        process.alter.batch = std::mem::take(&mut process.alter.waiting);
        process.alter.since = out.now;
        if !process.alter.batch.is_empty() {
            self.send_alter(out);
        }
    }

    fn send_alter(&mut self, out: &mut Outbox) {
        let Some(process) = self.process.as_ref() else { return };
        let partitions = process.alter.batch.iter().map(|item| self.topic_data(item));
        let request = AlterPartitionRequest {
            broker_id: self.id as i32,
            broker_epoch: process.broker_epoch,
            topics: partitions.collect(),
            ..AlterPartitionRequest::default()
        };
        let id = self.command(Command::AlterPartition(request), out);
        let node = self.id;
        out.note(|| format!("node {node} sends ISR changes in request {id}"));
        if let Some(process) = self.process.as_mut() {
            process.alter.call = Some(id);
        }
    }

    fn topic_data(&self, item: &Item) -> TopicData {
        let (topic, index) = self.topology.name(item.key);
        let image = self.process.as_ref().map(|process| &process.image);
        let member = |(broker_id, broker_epoch): &(i32, i64)| BrokerState {
            broker_id: *broker_id,
            broker_epoch: *broker_epoch,
            ..BrokerState::default()
        };
        let partition = PartitionData {
            partition_index: index,
            leader_epoch: item.proposal.leader_epoch,
            partition_epoch: item.proposal.partition_epoch,
            new_isr_with_epochs: item.proposal.new_isr.iter().map(member).collect(),
            ..PartitionData::default()
        };
        let topic_id = image.and_then(|image| image.topic(topic)).map(|topic| topic.id).unwrap_or_default();
        TopicData { topic_id, partitions: vec![partition], ..TopicData::default() }
    }

    pub(super) fn resend_alter(&mut self, out: &mut Outbox) {
        let Some(process) = self.process.as_mut() else { return };
        if process.alter.call.is_some() || process.alter.batch.is_empty() {
            return;
        }
        match out.now - process.alter.since > ALTER_MS * MS {
            true => self.settle_all(|_| AlterPartitionOutcome::Retry, out),
            false => self.send_alter(out),
        }
    }

    fn altered(&mut self, reply: &AlterPartitionResponse, out: &mut Outbox) {
        let Some(process) = self.process.as_mut() else { return };
        process.alter.call = None;
        if reply.error_code != 0 {
            return self.after(2 * RETRY_PAUSE_MS * MS, NodeTimer::ResendAlter, out);
        }
        // The answers are in the order of the proposals.
        let answers: Vec<PartitionAnswer> =
            reply.topics.iter().flat_map(|topic| topic.partitions.iter().cloned()).collect();
        self.settle_all(|at| answers.get(at).map_or(AlterPartitionOutcome::Retry, outcome), out);
    }

    fn settle_all(&mut self, outcome: impl Fn(usize) -> AlterPartitionOutcome, out: &mut Outbox) {
        let Some(process) = self.process.as_mut() else { return };
        process.alter.call = None;
        let batch = std::mem::take(&mut process.alter.batch);
        for (at, item) in batch.into_iter().enumerate() {
            let (outcome, leader_epoch) = (outcome(at), item.proposal.leader_epoch);
            let (node, key) = (self.id, item.key);
            out.note(|| format!("node {node}: {:?} of partition {key}: {outcome:?}", item.proposal));
            if let AlterPartitionOutcome::Committed { partition_epoch, isr, .. } = &outcome {
                out.promised.push((item.key, *partition_epoch, isr.clone()));
            }
            self.change(item.key, out, |replica, now_ms, sparks| {
                replica.alter_partition_done(leader_epoch, outcome, now_ms, sparks);
            });
        }
        if self.process.as_ref().is_some_and(|process| process.alter.batch.is_empty()) {
            self.next_batch(out);
        }
    }
}

/// The class of a partition's answer.
fn outcome(answer: &PartitionAnswer) -> AlterPartitionOutcome {
    match ErrorCode::from_code(answer.error_code) {
        ErrorCode::None => AlterPartitionOutcome::Committed {
            leader_epoch: answer.leader_epoch,
            partition_epoch: answer.partition_epoch,
            isr: answer.isr.clone(),
        },
        ErrorCode::IneligibleReplica | ErrorCode::OperationNotAttempted => AlterPartitionOutcome::Revert,
        ErrorCode::FencedLeaderEpoch
        | ErrorCode::InvalidUpdateVersion
        | ErrorCode::UnknownTopicId
        | ErrorCode::UnknownTopicOrPartition
        | ErrorCode::InvalidRequest
        | ErrorCode::NewLeaderElected => AlterPartitionOutcome::AwaitMetadata,
        _ => AlterPartitionOutcome::Retry,
    }
}
