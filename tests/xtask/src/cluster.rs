//! `cargo xtask cluster`: the Kubernetes testbed of `tests/kubernetes/testbed`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use clap::Subcommand;

use crate::images;
use crate::shell;
use crate::workspace;

#[derive(Subcommand)]
pub enum Verb {
    /// Install and build what a cluster needs, which takes minutes the first time
    Build,
    /// Build what is missing and start a cluster
    Up {
        /// How many nodes
        #[arg(long, default_value_t = 3)]
        nodes: u32,
    },
    /// Load target/images into every node
    Load,
    /// Run a command that reaches the cluster, for example kubectl, helm, k9s or a shell
    Run {
        /// The command
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Take a node's network away
    Cut {
        /// 1, 2, …
        node: u32,
    },
    /// Give a node's network back
    Mend {
        /// 1, 2, …
        node: u32,
    },
    /// Stop everything and remove every trace
    Down,
}

/// Passes a verb on to the testbed.
///
/// # Errors
/// The testbed fails.
pub fn run(verb: &Verb) -> Result<()> {
    match verb {
        Verb::Build => call(&["build"]),
        Verb::Up { nodes } => call(&["up", &nodes.to_string()]),
        Verb::Load => load(&[]),
        Verb::Run { command } => shell::run(&mut inside(command.iter())?),
        Verb::Cut { node } => call(&["cut", &node.to_string()]),
        Verb::Mend { node } => call(&["mend", &node.to_string()]),
        Verb::Down => call(&["down"]),
    }
}

/// The program of the testbed.
pub fn program() -> PathBuf {
    workspace::root().join("tests/kubernetes/testbed/cluster")
}

/// Where the testbed keeps what it needs and what it runs.
///
/// # Errors
/// Cargo cannot say where its target directory is.
pub fn state() -> Result<PathBuf> {
    Ok(workspace::target()?.join("testbed"))
}

/// The testbed with a verb.
///
/// # Errors
/// Cargo cannot say where its target directory is.
pub fn testbed(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Command> {
    let mut command = Command::new(program());
    command.args(arguments).env("KLAMM_TESTBED", state()?);
    Ok(command)
}

/// A command inside the cluster's network.
///
/// # Errors
/// Cargo cannot say where its target directory is.
pub fn inside(command: impl Iterator<Item = impl AsRef<OsStr>>) -> Result<Command> {
    let mut run = testbed(["run"])?;
    run.args(command);
    Ok(run)
}

/// Loads the images of the broker and the operator, and others.
///
/// # Errors
/// An image is missing or no node runs.
pub fn load(others: &[&Path]) -> Result<()> {
    let folder = images::folder()?;
    let mut load = testbed(["load"])?;
    load.args(["broker.tar", "operator.tar"].map(|name| folder.join(name))).args(others);
    shell::run(&mut load)
}

fn call(arguments: &[&str]) -> Result<()> {
    shell::run(&mut testbed(arguments)?)
}
