//! `state.json`: what must be found again after a restart.

use std::collections::{BTreeMap, BTreeSet};

use klamm_operator_plan::desired::Roles;
use klamm_operator_plan::observed::Properties;
use serde::{Deserialize, Serialize};

use super::{DataDir, DataError, replace};
use crate::local::process::ProcessId;

const FILE: &str = "state.json";

/// What must be found again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The name of the cluster that the directory belongs to.
    pub cluster: String,
    /// The id of the cluster, once it is founded.
    pub cluster_id: Option<String>,
    /// The voters of the controller quorum, once it is founded.
    pub voters: Option<BTreeSet<i32>>,
    /// The ports of every node; they never change.
    #[serde(default)]
    pub ports: BTreeMap<i32, NodePorts>,
    /// Every node that was created.
    #[serde(default)]
    pub nodes: BTreeMap<i32, NodeRecord>,
}

/// The ports of a node on the loopback address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePorts {
    /// By the listener's name in the resource.
    pub listeners: BTreeMap<String, u16>,
    /// Where controllers speak.
    pub controller: u16,
    /// Health and metrics.
    pub http: u16,
}

impl NodePorts {
    /// Every port with what it is for.
    pub fn all(&self) -> Vec<(&str, u16)> {
        let listeners = self.listeners.iter().map(|(name, port)| (name.as_str(), *port));
        listeners.chain([("controller", self.controller), ("http", self.http)]).collect()
    }
}

/// A node that was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Whether it is a broker.
    pub broker: bool,
    /// Whether it is a controller.
    pub controller: bool,
    /// The process that was started last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Started>,
}

impl NodeRecord {
    /// What the node does.
    pub fn roles(&self) -> Roles {
        Roles { broker: self.broker, controller: self.controller }
    }
}

/// A process that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Which one.
    #[serde(flatten)]
    pub id: ProcessId,
    /// What it was started with.
    pub properties: Properties,
}

impl State {
    /// Reads the state; `None` if there is none yet.
    ///
    /// # Errors
    /// If the file cannot be read or understood.
    pub fn load(dir: &DataDir) -> Result<Option<Self>, DataError> {
        let file = dir.file(FILE);
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(dir.unusable(format!("{FILE} cannot be read"), error)),
        };
        let understood = serde_json::from_slice(&bytes);
        understood.map(Some).map_err(|error| DataError::Damaged { file, message: error.to_string() })
    }

    /// Writes the state.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn store(&self, dir: &DataDir) -> Result<(), DataError> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        replace(&dir.file(FILE), &text)
            .map_err(|error| dir.unusable(format!("{FILE} cannot be written"), error))
    }
}
