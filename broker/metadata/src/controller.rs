//! The active controller's decisions: `(image, command, now) -> (records, reply)`, with nothing else in between.
//!
//! One [`Controller`] lives as long as its node is the active controller. What it keeps is soft: who was heard when, and
//! when to look at the leaders' balance next. Whoever drives it hands it one command after another with the image that
//! includes every record decided so far, appends the records of each [`Decision`], and sends the reply once they are
//! committed. A decision that could not be appended is dropped with its reply; nothing here has to be undone.

mod alter_partition;
mod assignment;
mod brokers;
mod command;
mod configs;
mod damage;
mod departure;
mod disruption;
mod draft;
mod election;
mod error;
mod founding;
mod heartbeats;
mod incremental_configs;
mod isr;
mod partitions;
mod placement;
mod producer_ids;
mod quorum_health;
mod reassignment;
mod reassignment_list;
mod sessions;
mod settings;
mod topic_names;
mod topics;

pub use command::{Command, Decision, Reply};
pub use founding::founding;
pub use producer_ids::PRODUCER_ID_BLOCK;
pub use quorum_health::{QuorumHealth, VoterState};
pub use settings::Settings;
pub use topic_names::validate_topic_name;

use crate::Image;
use disruption::Disruptions;
use draft::{Draft, Turn};
use election::Balance;
use sessions::Sessions;

/// The decisions of one term as the active controller.
#[derive(Debug)]
pub struct Controller {
    settings: Settings,
    sessions: Sessions,
    balance: Balance,
    disruptions: Disruptions,
}

impl Controller {
    /// A controller that has heard of nobody.
    pub fn new(settings: Settings) -> Controller {
        let (sessions, balance, disruptions) = Default::default();
        Controller { settings, sessions, balance, disruptions }
    }

    /// Starts a term: every unfenced broker gets a full session to find the new controller; the node of the controller
    /// before, if it is a broker, half of one, because it has been silent for as long as an election takes.
    pub fn on_become_active(&mut self, image: &Image, previous: Option<i32>, now_ms: i64) {
        self.sessions = Sessions::inherit(image, now_ms);
        if let Some(previous) = previous {
            self.sessions.advance(previous, self.settings.session_timeout_ms / 2);
        }
        self.disruptions = Disruptions::inherit(image, now_ms);
        self.balance = Balance::default();
        self.balance.look_by(now_ms.saturating_add(self.settings.prompt_rebalance_interval_ms));
    }

    /// Decides one command. `next_offset` is the offset that the decision's records will get; it becomes the broker
    /// epoch of a registration.
    pub fn handle(
        &mut self,
        image: &Image,
        command: Command,
        now_ms: i64,
        next_offset: i64,
        rng: &mut dyn FnMut() -> u64,
    ) -> Decision {
        let draft = Draft::new(image, &self.settings);
        let mut turn = Turn { draft, now_ms, next_offset, rng };
        let reply = decide(&mut turn, &mut self.sessions, &mut self.balance, &mut self.disruptions, command);
        Decision { records: turn.draft.into_records(), reply }
    }

    /// Does what is due, in a term that [`Controller::on_become_active`] has begun: fences brokers whose session is over,
    /// returns leadership to preferred replicas, ends disruptions that took too long. Decisions are in order and each builds
    /// on the ones before it; none has a reply.
    pub fn tick(&mut self, image: &Image, now_ms: i64) -> Vec<Decision> {
        let mut decisions = Vec::new();
        let mut image = image.clone();
        for id in self.sessions.expire(&image, self.settings.session_timeout_ms, now_ms) {
            let mut draft = Draft::new(&image, &self.settings);
            departure::fence(&mut draft, id);
            image = draft.image().clone();
            decisions.push(Decision { records: draft.into_records(), reply: Reply::None });
        }
        let mut draft = Draft::new(&image, &self.settings);
        self.disruptions.expire(&mut draft, now_ms);
        self.balance.restore(&mut draft, now_ms);
        decisions.push(Decision { records: draft.into_records(), reply: Reply::None });
        decisions.retain(|decision| !decision.records.is_empty());
        decisions
    }

    /// The controller could not listen for this long: whoever was silent meanwhile may not have been.
    pub fn on_stall(&mut self, stall_ms: i64) {
        self.sessions.prolong(stall_ms);
    }

    /// When [`Controller::tick`] has something to do next, by the clock that it is called with.
    pub fn next_deadline(&self) -> Option<i64> {
        let session = self.sessions.next_expiry(self.settings.session_timeout_ms);
        let balance = self.balance.next_look();
        session.into_iter().chain(balance).chain(self.disruptions.next_expiry()).min()
    }

    /// A broker was seen to have applied the metadata log up to `offset`, by its fetches. It lets a controlled shutdown
    /// end without waiting for the other brokers' next heartbeats; it does not prolong a session.
    pub fn on_metadata_applied(&mut self, broker: i32, offset: i64) {
        self.sessions.applied(broker, offset);
    }
}

fn decide(
    turn: &mut Turn<'_>,
    sessions: &mut Sessions,
    balance: &mut Balance,
    disruptions: &mut Disruptions,
    command: Command,
) -> Reply {
    match command {
        Command::RegisterBroker(r) => Reply::RegisterBroker(brokers::register(turn, sessions, &r)),
        Command::BrokerHeartbeat(r) => {
            Reply::BrokerHeartbeat(heartbeats::heartbeat(turn, sessions, balance, &r))
        }
        Command::BrokerGone { id, epoch } => {
            heartbeats::gone(&mut turn.draft, sessions, id, epoch);
            Reply::None
        }
        Command::ReplicaDamage(r) => Reply::ReplicaDamage(damage::report(&mut turn.draft, &r)),
        Command::AlterPartition(r) => Reply::AlterPartition(alter_partition::alter(&mut turn.draft, &r)),
        Command::CreateTopics(r) => Reply::CreateTopics(topics::create(turn, &r)),
        Command::DeleteTopics(r) => Reply::DeleteTopics(topics::delete(&mut turn.draft, &r)),
        Command::CreatePartitions(r) => Reply::CreatePartitions(partitions::create(turn, &r)),
        Command::AlterPartitionReassignments(r) => {
            Reply::AlterPartitionReassignments(reassignment::alter(&mut turn.draft, &r))
        }
        Command::ListPartitionReassignments(r) => {
            Reply::ListPartitionReassignments(reassignment_list::list(turn.draft.image(), &r))
        }
        Command::AlterConfigs(r) => Reply::AlterConfigs(configs::alter(&mut turn.draft, &r)),
        Command::IncrementalAlterConfigs(r) => {
            Reply::IncrementalAlterConfigs(incremental_configs::alter(&mut turn.draft, &r))
        }
        Command::ElectLeaders(r) => Reply::ElectLeaders(election::elect(&mut turn.draft, &r)),
        Command::AllocateProducerIds(r) => {
            Reply::AllocateProducerIds(producer_ids::allocate(&mut turn.draft, &r))
        }
        Command::BeginDisruption(r, quorum) => {
            Reply::BeginDisruption(disruption::begin(turn, disruptions, &r, &quorum))
        }
        Command::EndDisruption(r) => Reply::EndDisruption(disruption::end(&mut turn.draft, &r)),
        Command::DescribeDisruptions(quorum) => {
            Reply::DescribeDisruptions(disruption::describe(turn, disruptions, &quorum))
        }
    }
}
