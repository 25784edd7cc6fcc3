//! The steps that a plan is made of. Their names appear in progress messages, events, metrics and status.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::desired::Roles;
use crate::observed::Properties;

/// One step. Every step may be repeated, and abandoned half way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give the cluster an id and remember the voters of its controller quorum.
    FoundQuorum {
        /// The voters.
        voters: BTreeSet<i32>,
    },
    /// Reserve addresses for a node.
    ReserveAddresses {
        /// The node.
        node: i32,
    },
    /// Create a node and start it.
    CreateNode {
        /// The node.
        node: i32,
        /// What it does.
        roles: Roles,
        /// What it starts with.
        properties: Properties,
    },
    /// Store what the node will start with next.
    UpdateNodeConfig {
        /// The node.
        node: i32,
        /// What it will start with.
        properties: Properties,
    },
    /// Start a node that exists and does not run.
    StartNode {
        /// The node.
        node: i32,
    },
    /// Ask the controller whether a node may go for a while.
    RequestDisruption {
        /// The node.
        node: i32,
        /// What it does not run with yet.
        reasons: BTreeSet<String>,
    },
    /// Stop a node and start it with what is stored. The only step that takes something away from clients.
    RestartNode {
        /// The node.
        node: i32,
        /// The properties that it does not run with yet.
        changed: BTreeSet<String>,
    },
    /// Tell the controller that a node is back.
    EndDisruption {
        /// The node.
        node: i32,
    },
    /// Create a topic.
    CreateTopic {
        /// The name that clients use.
        topic: String,
        /// How many partitions; `None` is the brokers' default.
        partitions: Option<i32>,
        /// How many copies of each; `None` is the brokers' default.
        replicas: Option<i32>,
        /// Its configuration.
        config: BTreeMap<String, String>,
    },
    /// Add partitions to a topic.
    GrowTopic {
        /// The name that clients use.
        topic: String,
        /// How many it has.
        from: i32,
        /// How many it should have.
        to: i32,
    },
    /// Change the configuration of a topic.
    AlterTopicConfig {
        /// The name that clients use.
        topic: String,
        /// What to set.
        set: BTreeMap<String, String>,
        /// What goes back to its default.
        reset: BTreeSet<String>,
    },
    /// Delete a topic and its records, as its resource asks for it.
    DeleteTopic {
        /// The name that clients use.
        topic: String,
        /// The id of the very topic that is meant.
        id: String,
    },
}

impl Action {
    /// The stable name of the step.
    pub fn name(&self) -> &'static str {
        match self {
            Self::FoundQuorum { .. } => "FoundQuorum",
            Self::ReserveAddresses { .. } => "ReserveAddresses",
            Self::CreateNode { .. } => "CreateNode",
            Self::UpdateNodeConfig { .. } => "UpdateNodeConfig",
            Self::StartNode { .. } => "StartNode",
            Self::RequestDisruption { .. } => "RequestDisruption",
            Self::RestartNode { .. } => "RestartNode",
            Self::EndDisruption { .. } => "EndDisruption",
            Self::CreateTopic { .. } => "CreateTopic",
            Self::GrowTopic { .. } => "GrowTopic",
            Self::AlterTopicConfig { .. } => "AlterTopicConfig",
            Self::DeleteTopic { .. } => "DeleteTopic",
        }
    }

    /// Whether the step takes a serving node away for a while.
    pub fn is_disruptive(&self) -> bool {
        matches!(self, Self::RestartNode { .. })
    }

    /// The node that the step is about.
    pub fn node(&self) -> Option<i32> {
        match self {
            Self::ReserveAddresses { node }
            | Self::CreateNode { node, .. }
            | Self::UpdateNodeConfig { node, .. }
            | Self::StartNode { node }
            | Self::RequestDisruption { node, .. }
            | Self::EndDisruption { node }
            | Self::RestartNode { node, .. } => Some(*node),
            _ => None,
        }
    }

    /// The topic that the step is about.
    pub fn topic(&self) -> Option<&str> {
        match self {
            Self::CreateTopic { topic, .. }
            | Self::GrowTopic { topic, .. }
            | Self::AlterTopicConfig { topic, .. }
            | Self::DeleteTopic { topic, .. } => Some(topic),
            _ => None,
        }
    }
}

/// The name and what it is about, as one line.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            Self::FoundQuorum { voters } => write!(f, "{name}: controllers {}", list(voters)),
            Self::ReserveAddresses { node } | Self::StartNode { node } => write!(f, "{name}: node {node}"),
            Self::EndDisruption { node } => write!(f, "{name}: node {node}"),
            Self::UpdateNodeConfig { node, .. } => write!(f, "{name}: node {node}"),
            Self::CreateNode { node, roles, .. } => write!(f, "{name}: node {node} ({roles})"),
            Self::RequestDisruption { node, reasons: changed } | Self::RestartNode { node, changed } => {
                write!(f, "{name}: node {node}, to take up {}", list(changed))
            }
            Self::CreateTopic { topic, partitions, replicas, .. } => {
                write!(
                    f,
                    "{name}: {topic} ({}, {})",
                    count(*partitions, "partition"),
                    count(*replicas, "replica")
                )
            }
            Self::DeleteTopic { topic, id } => write!(f, "{name}: {topic} (id {id})"),
            Self::GrowTopic { topic, from, to } => {
                write!(f, "{name}: {topic} from {from} to {to} partitions")
            }
            Self::AlterTopicConfig { topic, set, reset } => {
                let set = set.iter().map(|(key, value)| format!("{key}={value}"));
                let reset = reset.iter().map(|key| format!("{key} to its default"));
                write!(f, "{name}: {topic}, {}", set.chain(reset).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn count(number: Option<i32>, noun: &str) -> String {
    match number {
        Some(1) => format!("1 {noun}"),
        Some(n) => format!("{n} {noun}s"),
        None => format!("default {noun}s"),
    }
}
