//! What is there, as the executor gathered it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::desired::Roles;

/// The properties of a node by name.
pub type Properties = BTreeMap<String, String>;

/// Everything that the planner may know about the present.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The id that the cluster was founded with.
    pub cluster_id: Option<String>,
    /// The voters that the controller quorum was founded with.
    pub voters: Option<BTreeSet<i32>>,
    /// Where nodes can be reached, as far as addresses are reserved.
    pub places: BTreeMap<i32, Place>,
    /// What addresses for clients outside wait for, each as a sentence; none where all are known.
    pub pending: Vec<String>,
    /// Every node that was ever created.
    pub nodes: BTreeMap<i32, ObservedNode>,
    /// The active controller, if one is known.
    pub active_controller: Option<i32>,
    /// Every topic by name. `None` means that nobody could be asked, which is never taken for "no topics".
    pub topics: Option<BTreeMap<String, ObservedTopic>>,
    /// The controller's permission to take a node away that is out for this cluster.
    pub disruption: Option<Grant>,
    /// Why the controller refused to let a node go, when it was asked last.
    pub refusals: BTreeMap<i32, Refusal>,
}

impl Observed {
    /// Who serves.
    pub fn serving(&self) -> Serving {
        let ready = self.nodes.iter().filter(|(_, node)| node.state == NodeState::Ready);
        Serving {
            ready: ready.map(|(id, _)| *id).collect(),
            voters: self.voters.clone(),
            active_controller: self.active_controller,
        }
    }

    /// Whether there is no controller that could be asked.
    pub fn quorum_lost(&self) -> bool {
        self.serving().quorum_lost()
    }
}

/// Who serves: all that has to be known to judge whether there is a controller that could be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serving {
    /// The nodes that are ready.
    pub ready: BTreeSet<i32>,
    /// The voters that the controller quorum was founded with.
    pub voters: Option<BTreeSet<i32>>,
    /// The active controller, if one is known.
    pub active_controller: Option<i32>,
}

impl Serving {
    /// Whether too few voters are ready for any of them to be a controller that could be asked, and none that is
    /// ready is known to be one.
    pub fn quorum_lost(&self) -> bool {
        let Some(voters) = &self.voters else { return false };
        let acts = self.active_controller.is_some_and(|id| self.ready.contains(&id));
        !acts && voters.intersection(&self.ready).count() <= voters.len() / 2
    }

    /// Whether a node may be taken away without a grant: it serves nobody, and nobody is there that could be asked.
    /// Whoever plans a restart and whoever carries it out judges by this.
    pub fn may_go_unasked(&self, node: i32) -> bool {
        !self.ready.contains(&node) && self.quorum_lost()
    }
}

/// The controller's permission to take a node away for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The node.
    pub node: i32,
    /// The id of the permission.
    pub id: i64,
    /// Whether the node has come back since and is in sync everywhere.
    pub restored: bool,
    /// Whether it is certain that the node was not taken away under it.
    pub unused: bool,
}

/// Why the controller refused to let a node go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// What stands in the way, each as a sentence.
    pub blockers: Vec<String>,
    /// Whether it has stood for so long that the controller is asked again. Until it answers, the blockers stand.
    pub stale: bool,
}

/// Where a node can be reached and where it keeps its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Addresses by the listener's name in the resource.
    pub listeners: BTreeMap<String, Address>,
    /// Where controllers speak to each other and to brokers.
    pub controller: Address,
    /// Where health and metrics are served.
    pub http: HostPort,
    /// The directory of the node's data, as the node sees it.
    pub data_dir: String,
}

/// Where a listener is bound, and what is told to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Where the node binds.
    pub bind: HostPort,
    /// Where others connect.
    pub advertised: HostPort,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPort {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A node that was created.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedNode {
    /// What it was created to do.
    pub roles: Roles,
    /// The properties that it will start with next.
    pub stored: Properties,
    /// The properties that it runs with.
    pub running: Option<Properties>,
    /// How it is.
    pub state: NodeState,
    /// What of its surroundings differs from what is wanted, in the words of whoever runs it.
    pub outdated: BTreeSet<String>,
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It does not run and may be started.
    Stopped,
    /// It does not run, and whoever runs it waits before trying again.
    BackingOff,
    /// It runs and has not been ready since; this is expected to pass.
    Starting,
    /// It runs and serves.
    Ready,
    /// It runs, and does not serve although it should.
    Unready,
    /// It was asked to stop, and will be started again.
    Stopping,
}

impl NodeState {
    /// The word in messages and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "Stopped",
            Self::BackingOff => "BackingOff",
            Self::Starting => "Starting",
            Self::Ready => "Ready",
            Self::Unready => "Unready",
            Self::Stopping => "Stopping",
        }
    }
}

/// A topic that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedTopic {
    /// Its id, as text.
    pub id: String,
    /// Its partitions in order.
    pub partitions: Vec<ObservedPartition>,
    /// The configuration that was set on the topic itself, without defaults.
    pub config: BTreeMap<String, String>,
}

impl ObservedTopic {
    /// How many partitions it has.
    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }

    /// How many copies the first partition has; reassignments apart, all have as many.
    pub fn replication_factor(&self) -> i32 {
        let replicas = self.partitions.first().map_or(0, |partition| partition.replicas.len());
        i32::try_from(replicas).unwrap_or(i32::MAX)
    }
}

/// A partition that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedPartition {
    /// The nodes that keep a copy.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub isr: Vec<i32>,
    /// The leader, if there is one.
    pub leader: Option<i32>,
}
