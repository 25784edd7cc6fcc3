//! `cargo xtask up`: builds for release and becomes `klamm-operator up`.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell::{self, cargo, step};
use crate::workspace;

#[derive(clap::Args)]
pub struct Args {
    /// The manifest
    #[arg(short, long, value_name = "FILE", default_value = "examples/quickstart.yaml")]
    file: PathBuf,
    /// Where the data lives [default: target/klamm-quickstart]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Leave the cluster running in the background
    #[arg(long)]
    detach: bool,
}

/// Builds, then replaces this process: Ctrl-C reaches the operator and nobody else.
///
/// # Errors
/// The build fails.
pub fn run(args: &Args) -> Result<()> {
    let target = workspace::target()?;
    step("building the broker and the operator for release");
    // A laptop has no use for the operator's Kubernetes side, which is half of the build.
    let packages = ["--package", "klamm-broker", "--package", "klamm-operator", "--no-default-features"];
    shell::run(cargo().current_dir(workspace::root()).args(["build", "--release"]).args(packages))?;
    let file = if args.file.exists() { args.file.clone() } else { workspace::root().join(&args.file) };
    let data = args.data.clone().unwrap_or_else(|| target.join("klamm-quickstart"));
    let mut operator = Command::new(target.join("release/klamm-operator"));
    operator.arg("up").arg("--file").arg(file).arg("--data").arg(data);
    if args.detach {
        operator.arg("--detach");
    }
    step("starting the cluster");
    Err(operator.exec()).context("starting klamm-operator")
}
