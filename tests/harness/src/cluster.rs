//! A cluster of broker processes on loopback, with everything a fault needs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::broker::{Broker, broker_binary, http_get, tail};
use crate::client::Client;
use crate::ports::Ports;
use crate::wait::until;

/// How long a start, an election or a controlled shutdown may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Ids of controllers that are no brokers start here.
const FIRST_CONTROLLER: i32 = 100;
/// Lines of a log that a failure shows.
const TAIL: usize = 40;

/// What the nodes of a cluster do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roles {
    /// Every node is broker and controller.
    Combined,
    /// The given number of controllers, ids from 100, besides the brokers.
    Separate {
        /// Number of controllers.
        controllers: i32,
    },
}

/// What to start.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    brokers: i32,
    roles: Roles,
    properties: BTreeMap<String, String>,
    own: BTreeMap<i32, BTreeMap<String, String>>,
    places: BTreeMap<i32, Place>,
}

/// Where a node runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// The name or address by which others reach it, and on which it listens.
    pub host: String,
    /// The program and arguments that start it there, such as `ip netns exec there`.
    pub launcher: Vec<String>,
}

impl Default for Place {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), launcher: Vec::new() }
    }
}

impl ClusterSpec {
    /// `brokers` combined nodes with ids from 0, replication factor 3 and min ISR 2 where there are enough.
    pub fn new(brokers: i32) -> Self {
        let replication = brokers.min(3).to_string();
        let (properties, own, places) = Default::default();
        Self { brokers, roles: Roles::Combined, properties, own, places }
            .property("default.replication.factor", &replication)
            .property("offsets.topic.replication.factor", &replication)
            .property("min.insync.replicas", if brokers > 1 { "2" } else { "1" })
            .property("group.initial.rebalance.delay.ms", "0")
            .property("auto.create.topics.enable", "false")
            .property("cluster.id", "a2xhbW0taGFybmVzcy0wMQ")
    }

    /// Chooses who is a controller.
    pub fn roles(mut self, roles: Roles) -> Self {
        self.roles = roles;
        self
    }

    /// Sets a property on every node.
    pub fn property(mut self, key: &str, value: &str) -> Self {
        self.properties.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets a property on one node.
    pub fn property_of(mut self, id: i32, key: &str, value: &str) -> Self {
        self.own.entry(id).or_default().insert(key.to_owned(), value.to_owned());
        self
    }

    /// Puts a node somewhere else than on 127.0.0.1.
    pub fn place(mut self, id: i32, place: Place) -> Self {
        self.places.insert(id, place);
        self
    }

    /// Starts the nodes and waits until all are ready.
    ///
    /// # Errors
    /// A node ends or is not ready in time; the error holds what it logged last.
    pub fn start(self) -> Result<Cluster> {
        let mut cluster = self.prepare()?;
        for id in cluster.ids() {
            cluster.restart(id)?;
        }
        cluster.wait_ready()?;
        Ok(cluster)
    }

    /// Reserves ports and writes the configuration, without starting anything.
    ///
    /// # Errors
    /// No ports, or no binary.
    pub fn prepare(self) -> Result<Cluster> {
        let controllers = match self.roles {
            Roles::Combined => 0,
            Roles::Separate { controllers } => controllers,
        };
        let ids: Vec<i32> = (0..self.brokers).chain((0..controllers).map(|n| FIRST_CONTROLLER + n)).collect();
        let root = tempfile::Builder::new().prefix("klamm-").tempdir()?;
        let binary = broker_binary()?;
        let mut cluster = Cluster {
            spec: self,
            binary,
            nodes: BTreeMap::new(),
            root: Some(root),
            ports: Vec::new(),
            succeeded: false,
        };
        for id in &ids {
            cluster.add_node(*id)?;
        }
        for id in ids {
            fs::write(cluster.config(id)?, cluster.render(id)?)?;
        }
        Ok(cluster)
    }
}

/// A node: where it lives and the process that may run there.
#[derive(Debug)]
struct Node {
    dir: PathBuf,
    kafka: u16,
    controller: u16,
    http: u16,
    process: Option<Broker>,
}

/// A cluster. Dropped, its processes are killed; its directory goes too if [`Cluster::succeed`] was called, otherwise it
/// stays and what the nodes logged last is printed.
#[derive(Debug)]
pub struct Cluster {
    spec: ClusterSpec,
    binary: PathBuf,
    nodes: BTreeMap<i32, Node>,
    root: Option<TempDir>,
    ports: Vec<Ports>,
    succeeded: bool,
}

impl Cluster {
    /// `brokers` combined nodes, started and ready.
    ///
    /// # Errors
    /// See [`ClusterSpec::start`].
    pub fn start(brokers: i32) -> Result<Self> {
        ClusterSpec::new(brokers).start()
    }

    /// Adds a node with the broker role alone to a cluster that runs, and starts it.
    ///
    /// # Errors
    /// The id is taken or a controller's, or the process cannot be started.
    pub fn add_broker(&mut self, id: i32) -> Result<()> {
        ensure!(self.is_broker(id) && !self.nodes.contains_key(&id), "{id} is no id for another broker");
        self.add_node(id)?;
        fs::write(self.config(id)?, self.render(id)?)?;
        self.restart(id)
    }

    /// Adds a node with the controller role alone to a cluster that runs, and starts it. Who was there before is not told.
    ///
    /// # Errors
    /// The id is taken or a broker's, or the process cannot be started.
    pub fn add_controller(&mut self, id: i32) -> Result<()> {
        ensure!(!self.is_broker(id) && !self.nodes.contains_key(&id), "{id} is no id for another controller");
        self.add_node(id)?;
        fs::write(self.config(id)?, self.render(id)?)?;
        self.restart(id)
    }

    /// Empties the data directory of a node that does not run: its disk was replaced.
    ///
    /// # Errors
    /// It runs.
    pub fn wipe(&mut self, id: i32) -> Result<()> {
        ensure!(!self.is_running(id), "node {id} runs");
        Ok(fs::remove_dir_all(self.data_dir(id)?)?)
    }

    /// The id of a node's data directory.
    ///
    /// # Errors
    /// It never started.
    pub fn directory_id(&self, id: i32) -> Result<uuid::Uuid> {
        let text = fs::read_to_string(self.data_dir(id)?.join("meta.properties"))?;
        let id =
            text.lines().find_map(|line| line.strip_prefix("directory.id=")).context("a directory id")?;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(id)?;
        Ok(uuid::Uuid::from_slice(&bytes)?)
    }

    fn add_node(&mut self, id: i32) -> Result<()> {
        let ports = Ports::reserve(3)?;
        let dir = self.root.as_ref().context("the cluster's folder")?.path().join(format!("node-{id}"));
        fs::create_dir(&dir)?;
        if let [kafka, controller, http] = ports.all()[..] {
            self.nodes.insert(id, Node { dir, kafka, controller, http, process: None });
        }
        self.ports.push(ports);
        Ok(())
    }

    /// Ids of all nodes, brokers first.
    pub fn ids(&self) -> Vec<i32> {
        self.nodes.keys().copied().collect()
    }

    /// Ids of the nodes that serve clients.
    pub fn broker_ids(&self) -> Vec<i32> {
        self.nodes.keys().copied().filter(|id| self.is_broker(*id)).collect()
    }

    fn is_broker(&self, id: i32) -> bool {
        id < FIRST_CONTROLLER
    }

    fn is_controller(&self, id: i32) -> bool {
        id >= FIRST_CONTROLLER || self.spec.roles == Roles::Combined && id < self.spec.brokers
    }

    fn node(&self, id: i32) -> Result<&Node> {
        self.nodes.get(&id).with_context(|| format!("there is no node {id}"))
    }

    fn node_mut(&mut self, id: i32) -> Result<&mut Node> {
        self.nodes.get_mut(&id).with_context(|| format!("there is no node {id}"))
    }

    fn process(&mut self, id: i32) -> Result<&mut Broker> {
        self.node_mut(id)?.process.as_mut().with_context(|| format!("node {id} was not started"))
    }

    /// Whether the process of a node runs; a paused one does.
    pub fn is_running(&mut self, id: i32) -> bool {
        self.process(id).is_ok_and(Broker::is_running)
    }

    /// `host:port` of every broker, running or not, for a client's `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        let brokers = self.nodes.iter().filter(|(id, _)| self.is_broker(**id));
        brokers.map(|(id, node)| format!("{}:{}", self.host(*id), node.kafka)).collect::<Vec<_>>().join(",")
    }

    /// `host:port` of one broker's client listener.
    ///
    /// # Errors
    /// No such node.
    pub fn address(&self, id: i32) -> Result<String> {
        Ok(format!("{}:{}", self.host(id), self.node(id)?.kafka))
    }

    /// `host:port` of one node's controller listener.
    ///
    /// # Errors
    /// No such node.
    pub fn controller_address(&self, id: i32) -> Result<String> {
        Ok(format!("{}:{}", self.host(id), self.node(id)?.controller))
    }

    fn place(&self, id: i32) -> Place {
        self.spec.places.get(&id).cloned().unwrap_or_default()
    }

    fn host(&self, id: i32) -> String {
        self.place(id).host
    }

    /// A protocol client of this cluster.
    pub fn client(&self) -> Client {
        Client::new(&self.bootstrap())
    }

    /// The data directory of a node.
    ///
    /// # Errors
    /// No such node.
    pub fn data_dir(&self, id: i32) -> Result<PathBuf> {
        Ok(self.node(id)?.dir.join("data"))
    }

    /// The properties file of a node.
    ///
    /// # Errors
    /// No such node.
    pub fn config(&self, id: i32) -> Result<PathBuf> {
        Ok(self.node(id)?.dir.join("server.properties"))
    }

    /// The file that gets everything a node prints.
    ///
    /// # Errors
    /// No such node.
    pub fn log(&self, id: i32) -> Result<PathBuf> {
        Ok(self.node(id)?.dir.join("broker.log"))
    }

    /// The binary that the nodes run.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The process id of a node.
    ///
    /// # Errors
    /// It was not started.
    pub fn pid(&mut self, id: i32) -> Result<u32> {
        Ok(self.process(id)?.pid())
    }

    fn render(&self, id: i32) -> Result<String> {
        let node = self.node(id)?;
        let voters = self.nodes.iter().filter(|(id, _)| self.is_controller(**id));
        let voters: Vec<String> =
            voters.map(|(id, n)| format!("{id}@{}:{}", self.host(*id), n.controller)).collect();
        let host = self.host(id);
        let (mut roles, mut listeners) = (Vec::new(), Vec::new());
        if self.is_broker(id) {
            roles.push("broker");
            listeners.push(format!("PLAINTEXT://{host}:{}", node.kafka));
        }
        if self.is_controller(id) {
            roles.push("controller");
            listeners.push(format!("CONTROLLER://{host}:{}", node.controller));
        }
        let mut text = String::new();
        writeln!(text, "process.roles={}\nnode.id={id}", roles.join(","))?;
        writeln!(text, "controller.quorum.voters={}", voters.join(","))?;
        writeln!(text, "controller.listener.names=CONTROLLER\nlisteners={}", listeners.join(","))?;
        writeln!(text, "log.dirs={}", node.dir.join("data").display())?;
        writeln!(text, "klamm.http.listener={host}:{}", node.http)?;
        let own = self.spec.own.get(&id).into_iter().flatten();
        for (key, value) in self.spec.properties.iter().chain(own) {
            writeln!(text, "{key}={value}")?;
        }
        Ok(text)
    }

    /// Starts a node that does not run; [`Cluster::wait_ready`] waits for it.
    ///
    /// # Errors
    /// It runs, or cannot be started.
    pub fn restart(&mut self, id: i32) -> Result<()> {
        ensure!(!self.is_running(id), "node {id} runs");
        let broker =
            Broker::start(&self.place(id).launcher, &self.binary, &self.config(id)?, &self.log(id)?)?;
        self.node_mut(id)?.process = Some(broker);
        Ok(())
    }

    /// SIGKILL: the node is gone before this returns.
    ///
    /// # Errors
    /// It was not started.
    pub fn kill(&mut self, id: i32) -> Result<()> {
        self.process(id)?.kill();
        Ok(())
    }

    /// SIGKILL to every node, all sent before any is waited for.
    ///
    /// # Errors
    /// A node does not run.
    pub fn kill_all(&mut self) -> Result<()> {
        for id in self.ids() {
            self.process(id)?.signal(Signal::KILL)?;
        }
        self.ids().into_iter().try_for_each(|id| self.kill(id))
    }

    /// SIGTERM, then waits for the controlled shutdown to end well.
    ///
    /// # Errors
    /// It does not run, does not end in time, or ends with another code than 0.
    pub fn terminate(&mut self, id: i32) -> Result<()> {
        self.process(id)?.signal(Signal::TERM)?;
        let status = self.wait_ended(id)?;
        ensure!(status.success(), "node {id} ended with {status}");
        Ok(())
    }

    /// SIGTERM, then SIGKILL if the controlled shutdown takes longer than `limit`; whether it ended by itself.
    ///
    /// # Errors
    /// It does not run.
    pub fn terminate_within(&mut self, id: i32, limit: Duration) -> Result<bool> {
        let process = self.process(id)?;
        process.signal(Signal::TERM)?;
        let ended = process.wait(limit).is_ok();
        process.kill();
        Ok(ended)
    }

    /// SIGTERM to every node, then waits for all of them, however they end.
    ///
    /// # Errors
    /// One does not run, or does not end in time.
    pub fn terminate_all(&mut self) -> Result<()> {
        for id in self.ids() {
            self.process(id)?.signal(Signal::TERM)?;
        }
        self.ids().into_iter().try_for_each(|id| self.wait_ended(id).map(drop))
    }

    /// SIGSTOP: the node keeps its connections but answers nothing.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&mut self, id: i32) -> Result<()> {
        self.process(id)?.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&mut self, id: i32) -> Result<()> {
        self.process(id)?.signal(Signal::CONT)
    }

    /// Waits until a node ends.
    ///
    /// # Errors
    /// It does not within the harness's patience.
    pub fn wait_ended(&mut self, id: i32) -> Result<ExitStatus> {
        self.process(id)?.wait(PATIENCE)
    }

    /// Waits until every node that runs says that it is ready.
    ///
    /// # Errors
    /// One ended, or is not ready in time.
    pub fn wait_ready(&mut self) -> Result<()> {
        for id in self.ids() {
            if self.node(id)?.process.is_some() {
                self.wait_ready_of(id)?;
            }
        }
        Ok(())
    }

    /// Waits until one node says that it is ready.
    ///
    /// # Errors
    /// It ended, or is not ready in time.
    pub fn wait_ready_of(&mut self, id: i32) -> Result<()> {
        let (host, port, log) = (self.host(id), self.node(id)?.http, self.log(id)?);
        let ready = until(PATIENCE, &format!("node {id} is ready"), || {
            if !self.is_running(id) {
                return Ok(Some(false));
            }
            let (status, body) = http_get(&host, port, "/readyz")?;
            ensure!(status == 200, "/readyz says {status} {}", body.trim());
            Ok(Some(true))
        })?;
        ensure!(ready, "node {id} ended at its start and logged last:\n{}", tail(&log, TAIL));
        Ok(())
    }

    /// A page of a node's HTTP listener: status and body.
    ///
    /// # Errors
    /// No answer.
    pub fn http(&self, id: i32, path: &str) -> Result<(u16, String)> {
        http_get(&self.host(id), self.node(id)?.http, path)
    }

    /// Waits until a partition has a leader that runs, and returns it.
    ///
    /// # Errors
    /// None in time.
    pub fn leader_of(&mut self, topic: &str, partition: i32) -> Result<i32> {
        let mut client = self.client();
        until(PATIENCE, &format!("{topic}-{partition} has a leader"), || {
            let leader = client.topology()?.leader(topic, partition)?;
            Ok(self.is_running(leader).then_some(leader))
        })
    }

    /// Waits until the ISR of a partition is exactly these nodes, given ascending.
    ///
    /// # Errors
    /// It is not in time.
    pub fn wait_isr(&mut self, topic: &str, partition: i32, nodes: &[i32]) -> Result<()> {
        let mut client = self.client();
        until(PATIENCE, &format!("the ISR of {topic}-{partition} is {nodes:?}"), || {
            let mut isr = client.topology()?.isr(topic, partition)?;
            isr.sort_unstable();
            ensure!(isr == nodes, "it is {isr:?}");
            Ok(Some(()))
        })
    }

    /// The active controller, as the quorum's leader reports itself.
    ///
    /// # Errors
    /// None in time.
    pub fn controller(&mut self) -> Result<i32> {
        let mut client = self.client();
        until(PATIENCE, "there is a controller that runs", || {
            let leader = client.quorum_leader()?;
            Ok(self.is_running(leader).then_some(leader))
        })
    }

    /// Ends a test that passed: nothing is kept.
    pub fn succeed(mut self) {
        self.succeeded = true;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in self.nodes.values_mut() {
            if let Some(process) = &mut node.process {
                process.kill();
            }
        }
        if self.succeeded {
            return;
        }
        for (id, node) in &self.nodes {
            eprintln!("--- node {id} logged last:\n{}", tail(&node.dir.join("broker.log"), TAIL));
        }
        if let Some(root) = self.root.take() {
            eprintln!("--- kept: {}", root.keep().display());
        }
    }
}
