//! A whole cluster under one virtual clock.

mod deletions;
mod ending;
mod look;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use klamm_metadata::controller::Command;
use klamm_metadata::{Image, Partition};

use crate::client::{Admin, Client, ClientTimer, Consumer, Deleter, Producer};
use crate::faults::{Ambush, Family, Strikes};
use crate::history::ServerEvent;
use crate::invariants::{Invariants, Violation};
use crate::message::{Key, Message};
use crate::network::Network;
use crate::node::Node;
use crate::outbox::Outbox;
use crate::party::Party;
use crate::queue::{Event, MS, Micros, Queue, SECOND};
use crate::quorum::{Quorum, SESSION_MS, ZOMBIE_TIME};
use crate::random::Random;
use crate::run::Options;
use crate::topology::{CONTROLLERS, Topology};
use crate::trace::Trace;
use deletions::Promise;

/// How long the cluster has, once everything is repaired, to come to rest.
pub(crate) const REST_TIME: Micros = 40 * SECOND;

/// All parties, and what happens to them.
pub(crate) struct World {
    pub(crate) queue: Queue,
    pub(crate) out: Outbox,
    pub(crate) network: Network,
    pub(crate) quorum: Quorum,
    pub(crate) nodes: Vec<Node>,
    pub(crate) clients: Vec<Client>,
    pub(crate) admin: Admin,
    pub(crate) topology: Arc<Topology>,
    pub(crate) trace: Trace,
    pub(crate) strikes: Strikes,
    pub(crate) families: Vec<Family>,
    pub(crate) faults_end: Micros,
    /// Faults that wait for a moment, and whom the one that strikes should meet.
    pub(crate) ambushes: Vec<Ambush>,
    pub(crate) focus: Option<usize>,
    /// Replicas that lost data and are not in the ISR again.
    pub(crate) damaged: BTreeSet<(usize, Key)>,
    /// An administrator wanted a single replica of something: no disk may be lost any more.
    pub(crate) trusts_one: bool,
    /// A node whose log was damaged, until it has registered again and what it holds can be read.
    pub(crate) flipped: Option<usize>,
    pub(crate) violation: Option<Violation>,
    invariants: Invariants,
    /// Messages and timers for controllers that stand still.
    held: Vec<Event>,
    seen_entries: usize,
    seen_epoch: i32,
    /// The metadata record by record, and every ISR that it ever named.
    shown: Image,
    isrs: BTreeMap<(Key, i32), Vec<i32>>,
    leaders: BTreeMap<Key, i32>,
    /// Until when a controller may have confirmed a broker although it had been replaced.
    zombie_until: Micros,
    acked: u64,
    /// What was acknowledged as deleted, and who knows.
    deletions: BTreeMap<Key, Promise>,
}

impl World {
    pub(crate) fn new(options: &Options, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let topology = Arc::new(Topology::new(&mut random));
        let nodes =
            (0..topology.nodes).map(|id| Node::new(id, Arc::clone(&topology), random.next())).collect();
        let rate = random.between(60, 400) as u64;
        let (count, data) = (topology.nodes, topology.data_partitions);
        let mut clients = Vec::new();
        for client in 0..2 {
            clients.push(Client::Producer(Box::new(Producer::new(client, count, data, rate))));
        }
        for client in 2..4 {
            clients.push(Client::Consumer(Box::new(Consumer::new(client, count, data))));
        }
        let mut random_of_deleter = Random::new(!seed);
        if options.faults.contains(&Family::Deletions) && random_of_deleter.chance(600) {
            let deleter = Deleter::new(clients.len(), count, data, random_of_deleter);
            clients.push(Client::Deleter(Box::new(deleter)));
        }
        let mut world = Self {
            queue: Queue::default(),
            out: Outbox::new(random, options.trace),
            network: Network::default(),
            quorum: Quorum::new(),
            ambushes: Vec::new(),
            focus: None,
            damaged: BTreeSet::new(),
            trusts_one: false,
            leaders: BTreeMap::new(),
            admin: Admin::new(topology.partitions()),
            nodes,
            clients,
            topology,
            trace: Trace::new(options.trace),
            strikes: Strikes::default(),
            families: options.faults.clone(),
            faults_end: options.duration_ms * MS,
            flipped: None,
            violation: None,
            invariants: Invariants::all(),
            held: Vec::new(),
            seen_entries: 0,
            seen_epoch: 0,
            shown: Image::empty(),
            isrs: BTreeMap::new(),
            zombie_until: 0,
            acked: 0,
            deletions: BTreeMap::new(),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.elect(0, false);
        for node in 0..self.nodes.len() {
            let pause = self.out.random.between(1, 30) * MS;
            self.nodes[node].start_after(pause, &mut self.out);
        }
        for client in 0..self.clients.len() {
            let timer = ClientTimer::Tick;
            self.out.after((600 + client as i64) * MS, Event::Client { client, timer });
        }
        self.out.after(300 * MS, Event::CreateTopics);
        self.out.after(SECOND, Event::Window);
        self.drain();
    }

    /// Runs to the end: faults, repair, rest.
    pub(crate) fn run(&mut self) {
        self.run_until(self.faults_end);
        self.repair();
        let limit = self.out.now + REST_TIME;
        while self.violation.is_none() && self.out.now < limit && self.not_at_rest().is_some() {
            self.upgrade();
            self.run_until(self.out.now + 200 * MS);
        }
        self.finish();
    }

    fn run_until(&mut self, until: Micros) {
        while self.violation.is_none() {
            let Some((at, event)) = self.queue.pop() else { break };
            if at > until {
                self.queue.push(at, event);
                break;
            }
            self.out.now = at.max(self.out.now);
            self.happen(event);
            self.drain();
        }
        self.out.now = self.out.now.max(until);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { to: Party::Node(node), .. } | Event::Node { node, .. }
                if self.nodes[node].is_paused =>
            {
                self.nodes[node].held.push(event);
            }
            Event::Deliver { to: Party::Controller(at), .. } if self.quorum.is_paused(at) => {
                self.held.push(event)
            }
            Event::Deliver { from, to, message } => self.deliver(from, to, message),
            Event::Node { node, incarnation, timer } => {
                if self.nodes[node].incarnation == incarnation {
                    self.trace.event(self.out.now, 100, node as u64);
                    let checks = matches!(timer, crate::queue::NodeTimer::Checkpoint);
                    self.nodes[node].timer(timer, &mut self.out);
                    if checks {
                        self.look_at_image(node);
                    }
                }
            }
            Event::Start { node, incarnation } => {
                if self.nodes[node].incarnation == incarnation && !self.nodes[node].is_up() {
                    self.trace.event(self.out.now, 101, node as u64);
                    self.nodes[node].start(&mut self.out);
                }
            }
            Event::Client { client, timer } => self.clients[client].timer(timer, &mut self.out),
            Event::Controller { controller, epoch, timer } => {
                self.quorum.timer(controller, epoch, timer, &mut self.out);
            }
            Event::Probe { node } => self.probe(node),
            Event::CreateTopics => self.create_topics(),
            Event::Window => self.window(),
            Event::Fault(fault) => {
                self.trace.event(self.out.now, 102, 0);
                self.fault(fault);
            }
        }
    }

    fn deliver(&mut self, from: Party, to: Party, message: Message) {
        self.trace.event(self.out.now, message.kind(), from.number() << 16 | to.number());
        match to {
            Party::Node(node) => self.nodes[node].receive(from, message, &mut self.out),
            Party::Controller(at) => self.quorum.receive(at, from, message, &mut self.out),
            Party::Client(client) => match self.clients.get_mut(client) {
                Some(client) => client.receive(from, message, &mut self.out),
                None => self.admin.receive(message),
            },
        }
    }

    /// A refused connection is the only proof that a process is gone.
    fn probe(&mut self, node: usize) {
        let Some(leader) = self.quorum.leader else { return };
        let (controller, broker) = (Party::Controller(leader), Party::Node(node));
        let answers = self.network.reaches(controller, broker) && self.network.reaches(broker, controller);
        if answers && !self.nodes[node].is_up() {
            self.quorum.broker_gone(node, &mut self.out);
        }
    }

    fn create_topics(&mut self) {
        let (name, index) = self.topology.name(0);
        if self.quorum.image.partition(name, index).is_none() {
            if self.quorum.image.brokers().filter(|broker| !broker.fenced).count() == self.nodes.len() {
                self.quorum.submit(Command::CreateTopics(self.topology.create_topics()), &mut self.out);
            }
            self.out.after(50 * MS, Event::CreateTopics);
        }
    }

    pub(crate) fn elect(&mut self, winner: usize, leaves_zombie: bool) {
        self.quorum.elect(winner, leaves_zombie, &mut self.out);
        if leaves_zombie {
            self.zombie_until = self.out.now + ZOMBIE_TIME + SESSION_MS * MS;
        }
    }

    pub(crate) fn resume(&mut self, node: usize) {
        if !self.nodes[node].is_paused {
            return;
        }
        self.nodes[node].is_paused = false;
        for event in std::mem::take(&mut self.nodes[node].held) {
            self.queue.push(self.out.now, event);
        }
    }

    pub(crate) fn controller_goes_on(&mut self, voter: usize) {
        self.quorum.resume(voter);
        for event in std::mem::take(&mut self.held) {
            self.queue.push(self.out.now, event);
        }
    }

    /// A partition as the controllers have it.
    pub(crate) fn partition(&self, key: Key) -> Option<&Arc<Partition>> {
        let (topic, index) = self.topology.name(key);
        self.quorum.image.partition(topic, index)
    }

    /// Who leads it, if anybody does.
    pub(crate) fn leader(&self, key: Key) -> Option<usize> {
        self.partition(key).and_then(|partition| usize::try_from(partition.leader).ok())
    }

    /// The partitions as the controllers have them.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (Key, Arc<Partition>)> + '_ {
        (0..self.topology.partitions())
            .filter_map(|key| self.partition(key).map(|partition| (key, Arc::clone(partition))))
    }

    /// Sends and plans what the event set off, and shows the invariants what it did.
    fn drain(&mut self) {
        for (from, to, message) in std::mem::take(&mut self.out.messages) {
            self.look_at_message(&message);
            let message = self.network.spoil(&mut self.out.random, message);
            let arrivals = self.network.send(&mut self.out.random, self.out.now, from, to, &message);
            if let [Some(at), Some(again)] = arrivals {
                self.queue.push(again, Event::Deliver { from, to, message: message.clone() });
                self.queue.push(at, Event::Deliver { from, to, message });
            } else if let Some(at) = arrivals[0] {
                self.queue.push(at, Event::Deliver { from, to, message });
            }
        }
        for (at, event) in std::mem::take(&mut self.out.timers) {
            self.queue.push(at, event);
        }
        self.look();
        for note in std::mem::take(&mut self.out.notes) {
            self.trace.say(self.out.now, format_args!("{note}"));
        }
    }

    pub(crate) fn say(&mut self, text: impl FnOnce() -> String) {
        if self.trace.prints() {
            self.trace.say(self.out.now, format_args!("{}", text()));
        }
    }

    pub(crate) fn tell_server(&mut self, event: &ServerEvent) {
        let violation = self.invariants.server(event);
        self.violation = self.violation.take().or(violation);
    }

    /// Records that were acknowledged.
    pub(crate) fn acked(&self) -> u64 {
        self.acked
    }

    fn voters(&self) -> std::ops::Range<usize> {
        0..CONTROLLERS
    }
}
