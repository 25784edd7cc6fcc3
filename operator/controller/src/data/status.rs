//! `status.json`: how things are, kept current for people and scripts.

use klamm_operator_api::conditions::Condition;
use klamm_operator_api::status::Operations;
use serde::{Deserialize, Serialize};

use super::{DataDir, DataError, replace};

/// The name of the file.
pub const FILE: &str = "status.json";

/// How things are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The name of the cluster.
    pub cluster: String,
    /// The id that the cluster was founded with.
    pub cluster_id: Option<String>,
    /// What clients put into `bootstrap.servers`.
    pub bootstrap: String,
    /// Whether every node serves and every topic that can be applied is.
    pub ready: bool,
    /// Every node that exists.
    pub brokers: Vec<BrokerStatus>,
    /// Ready, Reconciling and Stalled of the cluster.
    pub conditions: Vec<Condition>,
    /// What is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<Operations>,
    /// Every topic of the manifest.
    pub topics: Vec<TopicStatus>,
    /// The pid of the `up` that wrote this; none once it has stopped.
    pub operator: Option<u32>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerStatus {
    /// The node id.
    pub id: i32,
    /// The process, while one runs.
    pub pid: Option<u32>,
    /// Where clients connect, on the first listener.
    pub kafka: String,
    /// Where health and metrics are served.
    pub http: String,
    /// `broker`, `controller`.
    pub roles: Vec<String>,
    /// Stopped, BackingOff, Starting, Ready, Unready or Stopping.
    pub state: String,
    /// How often it was started again after it had died.
    pub restarts: u32,
}

/// One topic of the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicStatus {
    /// The name of the resource.
    pub name: String,
    /// The name that clients use.
    pub topic_name: String,
    /// Its id, once it exists.
    pub topic_id: Option<String>,
    /// How many partitions it has.
    pub partitions: Option<i32>,
    /// How many copies of each it has.
    pub replicas: Option<i32>,
    /// Ready.
    pub conditions: Vec<Condition>,
}

impl Status {
    /// Reads the status; `None` if there is none that can be understood.
    pub fn load(dir: &DataDir) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(dir.file(FILE)).ok()?).ok()
    }

    /// Writes the status.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn store(&self, dir: &DataDir) -> Result<(), DataError> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        replace(&dir.file(FILE), &text)
            .map_err(|error| dir.unusable(format!("{FILE} cannot be written"), error))
    }
}
