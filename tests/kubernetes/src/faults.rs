//! What can happen to machines and processes, by the program that made the cluster.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command::run;

/// The environment variable that names the program; it knows `cut`, `mend` and `kill`.
pub const PROGRAM: &str = "KLAMM_E2E_FAULTS";

/// Faults that Kubernetes itself cannot cause.
#[derive(Clone)]
pub struct Faults(PathBuf);

impl Faults {
    /// Those of the environment; none on a cluster that somebody else made.
    pub fn find() -> Option<Self> {
        std::env::var_os(PROGRAM).map(|program| Self(program.into()))
    }

    fn call(&self, arguments: &[&str]) -> Result<()> {
        run(self.0.to_str().context("the path of the faults program")?, arguments).map(drop)
    }

    /// Takes a node's network away until the value is dropped.
    ///
    /// # Errors
    /// The program fails.
    pub fn cut(&self, node: &str) -> Result<Cut> {
        self.call(&["cut", node])?;
        Ok(Cut { faults: self.clone(), node: node.to_owned() })
    }

    /// SIGKILL to the process of a pod's container.
    ///
    /// # Errors
    /// The program fails, or the pod does not run.
    pub fn kill(&self, pod: &Value) -> Result<()> {
        let node = pod["spec"]["nodeName"].as_str().context("the pod is on no node")?;
        let container = pod["status"]["containerStatuses"][0]["containerID"].as_str();
        self.call(&["kill", node, container.context("the pod has no container")?])
    }
}

/// A node without a network.
pub struct Cut {
    faults: Faults,
    node: String,
}

impl Drop for Cut {
    fn drop(&mut self) {
        if let Err(error) = self.faults.call(&["mend", &self.node]) {
            eprintln!("{} stays cut off: {error:#}", self.node);
        }
    }
}
