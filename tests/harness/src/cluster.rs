//! A cluster of processes on loopback with its data in a temporary folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::broker::{Broker, broker_binary, http_get, tail};
use crate::client::Client;
use crate::ports::Ports;
use crate::wait::until;

/// Longest start of a node, recovery included.
const READY: Duration = Duration::from_secs(30);
/// Longest controlled shutdown.
const STOP: Duration = Duration::from_secs(30);
/// Longest wait for a change that a controller makes.
const CHANGE: Duration = Duration::from_secs(30);
/// Lines of a log that a failed test shows.
const TAIL: usize = 120;
/// The cluster id of every cluster of the tests.
const CLUSTER_ID: &str = "klamm-harness-cluster1";
/// Id of the first node that is a controller alone.
const FIRST_CONTROLLER: i32 = 100;
/// Ports of a cluster: enough for three brokers, three controllers and nodes that join.
const PORTS: u16 = 20;

/// Which nodes are controllers.
#[derive(Clone, Copy, Debug)]
pub enum Roles {
    /// Every node has both roles.
    Combined,
    /// Brokers are brokers alone, beside this many controllers with the ids from 100.
    Separate {
        /// Number of controllers.
        controllers: i32,
    },
}

/// What a cluster looks like before it starts.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    brokers: i32,
    roles: Roles,
    properties: BTreeMap<String, String>,
}

impl ClusterSpec {
    /// `brokers` nodes with both roles and the ids from 0; replication factor 3 if there are as many.
    pub fn new(brokers: i32) -> Self {
        let replication = brokers.min(3);
        Self { brokers, roles: Roles::Combined, properties: BTreeMap::new() }
            .property("default.replication.factor", replication)
            .property("min.insync.replicas", if replication == 3 { 2 } else { 1 })
            .property("offsets.topic.num.partitions", 4)
            .property("offsets.topic.replication.factor", replication)
            .property("group.initial.rebalance.delay.ms", 0)
    }

    /// Says which nodes are controllers.
    pub fn roles(self, roles: Roles) -> Self {
        Self { roles, ..self }
    }

    /// Sets a property of every node.
    pub fn property(mut self, key: &str, value: impl ToString) -> Self {
        self.properties.insert(key.to_owned(), value.to_string());
        self
    }

    /// Lays the cluster out without starting a process.
    ///
    /// # Errors
    /// No executable, ports or files.
    pub fn prepare(self) -> Result<Cluster> {
        let voters: Vec<i32> = match self.roles {
            Roles::Combined => (0..self.brokers).collect(),
            Roles::Separate { controllers } => (FIRST_CONTROLLER..FIRST_CONTROLLER + controllers).collect(),
        };
        let mut ports = Ports::reserve(PORTS)?;
        let mut controllers = BTreeMap::new();
        for id in voters {
            controllers.insert(id, format!("127.0.0.1:{}", ports.take()?));
        }
        let brokers = 0..self.brokers;
        let mut cluster = Cluster {
            nodes: BTreeMap::new(),
            binary: broker_binary()?,
            controllers,
            properties: self.properties,
            ports,
            folder: tempfile::Builder::new().prefix("klamm-cluster-").tempdir()?,
            succeeded: false,
        };
        for id in brokers {
            cluster.add_node(id, true)?;
        }
        for id in cluster.controllers.keys().copied().collect::<Vec<_>>() {
            if !cluster.nodes.contains_key(&id) {
                cluster.add_node(id, false)?;
            }
        }
        Ok(cluster)
    }

    /// Starts the cluster and waits until every node is ready.
    ///
    /// # Errors
    /// A node does not get ready, with the end of its log.
    pub fn start(self) -> Result<Cluster> {
        let mut cluster = self.prepare()?;
        for id in cluster.ids() {
            cluster.restart(id)?;
        }
        cluster.wait_ready()?;
        Ok(cluster)
    }
}

/// A node: where it listens, where its files are, and its process while it runs.
#[derive(Debug)]
struct Node {
    /// None if it is a controller alone.
    kafka: Option<String>,
    http_port: u16,
    folder: PathBuf,
    process: Option<Broker>,
}

impl Node {
    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn config(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Broker::is_running)
    }
}

/// The processes of one cluster; dropping it ends them, and shows their logs unless the test succeeded.
#[derive(Debug)]
pub struct Cluster {
    nodes: BTreeMap<i32, Node>,
    binary: PathBuf,
    controllers: BTreeMap<i32, String>,
    properties: BTreeMap<String, String>,
    ports: Ports,
    folder: TempDir,
    succeeded: bool,
}

impl Cluster {
    /// Starts nodes with both roles and waits until every one is ready.
    ///
    /// # Errors
    /// A node does not get ready, with the end of its log.
    pub fn start(nodes: i32) -> Result<Self> {
        ClusterSpec::new(nodes).start()
    }

    /// The test is over and all is well: no logs are shown, no files kept.
    pub fn succeed(mut self) {
        self.succeeded = true;
    }

    /// Adds a node with the broker role alone and starts it; see [`Cluster::wait_ready`].
    ///
    /// # Errors
    /// No ports or files, or the process cannot be started.
    pub fn add_broker(&mut self, id: i32) -> Result<()> {
        self.add_node(id, true)?;
        self.restart(id)
    }

    fn add_node(&mut self, id: i32, is_broker: bool) -> Result<()> {
        let kafka = if is_broker { Some(format!("127.0.0.1:{}", self.ports.take()?)) } else { None };
        let http_port = self.ports.take()?;
        let folder = self.folder.path().join(format!("node-{id}"));
        fs::create_dir_all(folder.join("data"))?;
        let node = Node { kafka, http_port, folder, process: None };
        let properties = self.properties_of(id, &node);
        let lines: Vec<String> = properties.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        fs::write(node.config(), lines.concat())?;
        self.nodes.insert(id, node);
        Ok(())
    }

    fn properties_of(&self, id: i32, node: &Node) -> BTreeMap<String, String> {
        let plaintext = node.kafka.as_ref().map(|address| format!("PLAINTEXT://{address}"));
        let controller = self.controllers.get(&id).map(|address| format!("CONTROLLER://{address}"));
        let roles = [plaintext.as_ref().map(|_| "broker"), controller.as_ref().map(|_| "controller")];
        let roles: Vec<&str> = roles.into_iter().flatten().collect();
        let listeners: Vec<String> = [plaintext.clone(), controller].into_iter().flatten().collect();
        let voters: Vec<String> = self.controllers.iter().map(|(id, at)| format!("{id}@{at}")).collect();
        let own = [
            ("process.roles", roles.join(",")),
            ("node.id", id.to_string()),
            ("cluster.id", CLUSTER_ID.to_owned()),
            ("controller.quorum.voters", voters.join(",")),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("listeners", listeners.join(",")),
            ("log.dirs", node.folder.join("data").display().to_string()),
            ("klamm.http.listener", format!("127.0.0.1:{}", node.http_port)),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        let advertised = plaintext.map(|address| ("advertised.listeners".to_owned(), address));
        own.chain(advertised).chain(self.properties.clone()).collect()
    }

    fn node(&self, id: i32) -> Result<&Node> {
        self.nodes.get(&id).with_context(|| format!("there is no node {id}"))
    }

    fn node_mut(&mut self, id: i32) -> Result<&mut Node> {
        self.nodes.get_mut(&id).with_context(|| format!("there is no node {id}"))
    }

    fn process(&mut self, id: i32) -> Result<&mut Broker> {
        self.node_mut(id)?.process.as_mut().with_context(|| format!("node {id} is not running"))
    }

    /// Ids of all nodes, running or not.
    pub fn ids(&self) -> Vec<i32> {
        self.nodes.keys().copied().collect()
    }

    /// Ids of the nodes with the broker role, running or not.
    pub fn broker_ids(&self) -> Vec<i32> {
        self.nodes.iter().filter(|(_, node)| node.kafka.is_some()).map(|(id, _)| *id).collect()
    }

    /// Starts a node that does not run, on the disk that it has; see [`Cluster::wait_ready`].
    ///
    /// # Errors
    /// It runs already, or cannot be started.
    pub fn restart(&mut self, id: i32) -> Result<()> {
        let binary = self.binary.clone();
        let node = self.node_mut(id)?;
        ensure!(!node.is_running(), "node {id} runs already");
        node.process = Some(Broker::start(&binary, &node.config(), &node.log_file())?);
        Ok(())
    }

    /// Waits until `/readyz` of every started node says so.
    ///
    /// # Errors
    /// One does not in time, or its process ended; with the end of its log.
    pub fn wait_ready(&mut self) -> Result<()> {
        for (id, node) in self.nodes.iter_mut().filter(|(_, node)| node.process.is_some()) {
            let ready = until(READY, &format!("node {id} is ready"), || {
                if !node.is_running() {
                    return Ok(Some(false));
                }
                let (status, body) = http_get(node.http_port, "/readyz")?;
                ensure!(status == 200, "{}", body.trim());
                Ok(Some(true))
            })?;
            ensure!(ready, "node {id} ended instead of getting ready:\n{}", tail(&node.log_file(), TAIL));
        }
        Ok(())
    }

    /// SIGKILL to a node.
    ///
    /// # Errors
    /// It was not started.
    pub fn kill(&mut self, id: i32) -> Result<()> {
        self.process(id)?.kill();
        self.node_mut(id)?.process = None;
        Ok(())
    }

    /// SIGKILL to every node at once, as in a power cut.
    ///
    /// # Errors
    /// A process cannot be signalled.
    pub fn kill_all(&mut self) -> Result<()> {
        for process in self.nodes.values_mut().filter_map(|node| node.process.as_mut()) {
            process.signal(Signal::KILL)?;
        }
        for node in self.nodes.values_mut() {
            node.process = None;
        }
        Ok(())
    }

    /// Controlled shutdown of a node: SIGTERM, and the status with which it ends.
    ///
    /// # Errors
    /// It was not started, or runs on.
    pub fn terminate(&mut self, id: i32) -> Result<ExitStatus> {
        let process = self.process(id)?;
        process.signal(Signal::TERM)?;
        let status = process.wait(STOP)?;
        self.node_mut(id)?.process = None;
        Ok(status)
    }

    /// Holds a node where it is (SIGSTOP).
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&mut self, id: i32) -> Result<()> {
        self.process(id)?.signal(Signal::STOP)
    }

    /// Lets a paused node go on (SIGCONT).
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&mut self, id: i32) -> Result<()> {
        self.process(id)?.signal(Signal::CONT)
    }

    /// Process id of a node.
    ///
    /// # Errors
    /// It does not run.
    pub fn pid(&mut self, id: i32) -> Result<u32> {
        let process = self.process(id)?;
        ensure!(process.is_running(), "node {id} has ended");
        Ok(process.pid())
    }

    /// Status and body of a GET request to a node's HTTP listener.
    ///
    /// # Errors
    /// It does not answer.
    pub fn http(&self, id: i32, path: &str) -> Result<(u16, String)> {
        http_get(self.node(id)?.http_port, path)
    }

    /// Addresses of all brokers, running or not, as clients take them.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<&str> = self.nodes.values().filter_map(|node| node.kafka.as_deref()).collect();
        addresses.join(",")
    }

    /// Where clients reach a broker, `host:port`.
    ///
    /// # Errors
    /// There is no such broker.
    pub fn address(&self, id: i32) -> Result<String> {
        self.node(id)?.kafka.clone().with_context(|| format!("node {id} is a controller alone"))
    }

    /// Where a controller listens, `host:port`.
    ///
    /// # Errors
    /// There is no such controller.
    pub fn controller_address(&self, id: i32) -> Result<String> {
        self.controllers.get(&id).cloned().with_context(|| format!("node {id} is no controller"))
    }

    /// The log directory (`log.dirs`) of a node.
    ///
    /// # Errors
    /// There is no such node.
    pub fn data_dir(&self, id: i32) -> Result<PathBuf> {
        Ok(self.node(id)?.folder.join("data"))
    }

    /// The properties file of a node.
    ///
    /// # Errors
    /// There is no such node.
    pub fn config(&self, id: i32) -> Result<PathBuf> {
        Ok(self.node(id)?.config())
    }

    /// The executable that the nodes run.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// A client of this cluster.
    pub fn client(&self) -> Client {
        Client::new(&self.bootstrap())
    }

    /// The leader of a partition, waiting for one.
    ///
    /// # Errors
    /// There is none in time.
    pub fn leader_of(&self, topic: &str, partition: i32) -> Result<i32> {
        let mut client = self.client();
        until(CHANGE, &format!("{topic}-{partition} has a leader"), || {
            client.topology()?.leader(topic, partition).map(Some)
        })
    }

    /// Waits until the in-sync replicas of a partition are exactly these, given ascending.
    ///
    /// # Errors
    /// They are not in time.
    pub fn wait_isr(&self, topic: &str, partition: i32, expected: &[i32]) -> Result<()> {
        let mut client = self.client();
        until(CHANGE, &format!("the ISR of {topic}-{partition} is {expected:?}"), || {
            let mut isr = client.topology()?.isr(topic, partition)?;
            isr.sort_unstable();
            ensure!(isr == expected, "it is {isr:?}");
            Ok(Some(()))
        })
    }

    /// The active controller, by the quorum's own account, waiting for one whose process runs.
    ///
    /// # Errors
    /// There is none in time.
    pub fn controller(&mut self) -> Result<i32> {
        let mut client = self.client();
        until(CHANGE, "there is an active controller", || {
            let leader = client.quorum_leader()?;
            ensure!(self.node_mut(leader)?.is_running(), "node {leader} is still said to be");
            Ok(Some(leader))
        })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.succeeded {
            for (id, node) in &self.nodes {
                eprintln!("---- log of node {id}\n{}", tail(&node.log_file(), TAIL));
            }
            self.folder.disable_cleanup(true);
            eprintln!("---- the files are in {}", self.folder.path().display());
        }
    }
}
