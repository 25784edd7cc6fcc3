//! Every node of one data directory: adopts, starts, watches and stops them, and keeps `state.json` true.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::future::join_all;
use klamm_operator_plan::desired::{DesiredListener, Roles};
use klamm_operator_plan::observed::{Address, HostPort, NodeState, ObservedNode, Place, Properties};

use super::node::{Change, Launch, Node};
use super::{ports, properties_file, readiness};
use crate::data::state::{NodePorts, NodeRecord, State};
use crate::data::{DataDir, DataError};

const LOOPBACK: &str = "127.0.0.1";
/// How often stopping nodes are looked at.
const STOP_POLL: Duration = Duration::from_millis(20);

/// Why a node could not be brought to run.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Somebody else listens on one of its ports.
    #[error(
        "port {port} of node {node} ({purpose}) is in use by another process: stop that process, \
         or give the cluster another directory with --data"
    )]
    PortInUse {
        /// The node.
        node: i32,
        /// The port.
        port: u16,
        /// What it is for.
        purpose: String,
    },
    /// No port is left.
    #[error("no free port was found for node {0} between 20000 and 32000: stop something that listens there")]
    NoPort(i32),
    /// The broker's program could not be started.
    #[error("node {node} cannot be started: {}: {source}", program.display())]
    Spawn {
        /// The node.
        node: i32,
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its files could not be written.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// The nodes of one data directory.
#[derive(Debug)]
pub struct Supervisor {
    dir: DataDir,
    program: PathBuf,
    /// What is found again after a restart.
    pub state: State,
    nodes: BTreeMap<i32, Node>,
}

impl Supervisor {
    /// Takes over what is there: nodes that still run are adopted, the others are stopped ones. Returns the adopted.
    pub fn open(dir: DataDir, program: PathBuf, state: State, now: Instant) -> (Self, Vec<i32>) {
        let mut nodes = BTreeMap::new();
        let mut adopted = Vec::new();
        for (id, record) in &state.nodes {
            let alive = record.process.clone().filter(|started| started.id.is_alive());
            if alive.is_some() {
                adopted.push(*id);
            }
            nodes.insert(*id, alive.map_or_else(Node::default, |started| Node::adopt(started, now)));
        }
        (Self { dir, program, state, nodes }, adopted)
    }

    /// The ids of all nodes that were created.
    pub fn ids(&self) -> Vec<i32> {
        self.nodes.keys().copied().collect()
    }

    /// A node that was created.
    pub fn node(&self, id: i32) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// Looks at every node and asks those that run whether they are ready.
    pub async fn observe(&mut self) -> Vec<(i32, Change)> {
        let running = self.nodes.iter().filter(|(_, node)| node.pid().is_some());
        let asked = running.filter_map(|(id, _)| Some((*id, self.state.ports.get(id)?.http)));
        let answers =
            join_all(asked.map(|(id, port)| async move { (id, readiness::is_ready(port).await) })).await;
        let ready: BTreeMap<i32, bool> = answers.into_iter().collect();
        let now = Instant::now();
        let look = |(id, node): (&i32, &mut Node)| {
            node.observe(ready.get(id).copied().unwrap_or(false), now).map(|change| (*id, change))
        };
        self.nodes.iter_mut().filter_map(look).collect()
    }

    /// The nodes in the planner's words.
    pub fn observed(&self) -> BTreeMap<i32, ObservedNode> {
        let now = Instant::now();
        let one = |(id, node): (&i32, &Node)| {
            let roles = self.state.nodes.get(id)?.roles();
            let stored = properties_file::read(&self.dir.node_properties(*id));
            let running = node.properties().cloned();
            Some((
                *id,
                ObservedNode { roles, stored, running, state: node.state(now), outdated: BTreeSet::new() },
            ))
        };
        self.nodes.iter().filter_map(one).collect()
    }

    /// Where nodes can be reached, in the planner's words.
    pub fn places(&self) -> BTreeMap<i32, Place> {
        let at = |port| HostPort { host: LOOPBACK.to_owned(), port };
        let address = |port| Address { bind: at(port), advertised: at(port) };
        let place = |(id, ports): (&i32, &NodePorts)| {
            let place = Place {
                listeners: ports
                    .listeners
                    .iter()
                    .map(|(name, port)| (name.clone(), address(*port)))
                    .collect(),
                controller: address(ports.controller),
                http: at(ports.http),
                data_dir: self.dir.node_data(*id).display().to_string(),
            };
            (*id, place)
        };
        self.state.ports.iter().map(place).collect()
    }

    /// Reserves the ports of a node.
    ///
    /// # Errors
    /// If none is free, or they cannot be remembered.
    pub fn reserve(&mut self, id: i32, listeners: &[DesiredListener], seed: u16) -> Result<(), NodeError> {
        let ports = ports::reserve(&self.state, id, listeners, seed).ok_or(NodeError::NoPort(id))?;
        self.state.ports.insert(id, ports);
        Ok(self.state.store(&self.dir)?)
    }

    /// Makes the node's directory and remembers the node.
    ///
    /// # Errors
    /// If its files cannot be written.
    pub fn create(&mut self, id: i32, roles: Roles, properties: &Properties) -> Result<(), NodeError> {
        let path = self.dir.node(id);
        std::fs::create_dir_all(&path)
            .map_err(|error| self.dir.unusable(format!("{} cannot be created", path.display()), error))?;
        self.configure(id, properties)?;
        let record = NodeRecord { broker: roles.broker, controller: roles.controller, process: None };
        self.state.nodes.entry(id).or_insert(record);
        self.state.store(&self.dir)?;
        self.nodes.entry(id).or_default();
        Ok(())
    }

    /// Stores what the node starts with next.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn configure(&self, id: i32, properties: &Properties) -> Result<(), NodeError> {
        let file = self.dir.node_properties(id);
        let unusable = |error| self.dir.unusable(format!("{} cannot be written", file.display()), error);
        Ok(properties_file::write(&file, properties).map_err(unusable)?)
    }

    /// Starts a node that does not run.
    ///
    /// # Errors
    /// If a port is in use or the program cannot be started; the next attempt then waits.
    pub fn start(&mut self, id: i32) -> Result<(), NodeError> {
        let now = Instant::now();
        let started = self.try_start(id, now);
        if started.is_err()
            && let Some(node) = self.nodes.get_mut(&id)
        {
            node.start_failed(now);
        }
        started
    }

    /// Whether nobody else listens where these nodes will. None of them may run.
    ///
    /// # Errors
    /// The first port that is in use.
    pub fn check_ports(&self, nodes: impl IntoIterator<Item = i32>) -> Result<(), NodeError> {
        for node in nodes {
            let Some(ports) = self.state.ports.get(&node) else { continue };
            if let Some((purpose, port)) = ports.all().into_iter().find(|(_, port)| !ports::is_free(*port)) {
                return Err(NodeError::PortInUse { node, port, purpose: purpose.to_owned() });
            }
        }
        Ok(())
    }

    fn try_start(&mut self, id: i32, now: Instant) -> Result<(), NodeError> {
        self.check_ports([id])?;
        let (config, log) = (self.dir.node_properties(id), self.dir.node_log(id));
        let properties = properties_file::read(&config);
        let launch = Launch { program: &self.program, config: &config, log: &log, properties: &properties };
        let spawn = |source| NodeError::Spawn { node: id, program: self.program.clone(), source };
        let Some(node) = self.nodes.get_mut(&id) else { return Ok(()) };
        let started = node.start(&launch, now).map_err(spawn)?;
        if let Some(record) = self.state.nodes.get_mut(&id) {
            record.process = Some(started);
        }
        Ok(self.state.store(&self.dir)?)
    }

    /// Asks a node to stop; it is started again by a later plan.
    pub fn stop(&mut self, id: i32) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.stop(Instant::now());
        }
    }

    /// Stops a node and waits until it has ended, killing it after a bound.
    pub async fn stop_and_wait(&mut self, id: i32) {
        self.stop(id);
        while let Some(node) = self.nodes.get_mut(&id).filter(|node| node.pid().is_some()) {
            node.observe(false, Instant::now());
            tokio::time::sleep(STOP_POLL).await;
        }
    }

    /// Kills everything that still runs and waits until it has ended.
    pub async fn kill_all(&mut self) {
        self.nodes.values().for_each(Node::kill);
        for id in self.ids() {
            self.stop_and_wait(id).await;
        }
    }

    /// The order in which nodes are stopped: those that are only brokers first, the active controller last.
    pub fn stop_order(&self, active_controller: Option<i32>) -> Vec<i32> {
        let mut ids = self.ids();
        let is_controller = |id: &i32| self.state.nodes.get(id).is_some_and(|record| record.controller);
        ids.sort_by_key(|id| (is_controller(id), active_controller == Some(*id), *id));
        ids
    }

    /// Whether any node runs.
    pub fn any_running(&self) -> bool {
        self.nodes.values().any(|node| node.pid().is_some())
    }

    /// Whether every node that was created is ready.
    pub fn all_ready(&self) -> bool {
        let now = Instant::now();
        self.nodes.values().all(|node| node.state(now) == NodeState::Ready)
    }
}
