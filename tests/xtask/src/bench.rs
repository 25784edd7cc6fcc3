//! `cargo xtask bench`: builds for release and runs the benchmarks beside Apache Kafka.

use std::process::Command;

use anyhow::Result;

use crate::shell::{self, cargo, step};
use crate::{clients, e2e, workspace};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    elsewhere: Option<Elsewhere>,
    /// Passed on to `klamm-bench compare`, for example --scale 0.1 --parts startup,failover
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Where else than in processes of this machine.
#[derive(clap::Subcommand)]
enum Elsewhere {
    /// What a user of Kubernetes waits for, and what the operator costs
    Kubernetes(e2e::BenchArgs),
}

/// Runs the benchmarks.
///
/// # Errors
/// A build or the bench fails.
pub fn run(args: &Args) -> Result<()> {
    if let Some(Elsewhere::Kubernetes(args)) = &args.elsewhere {
        return e2e::bench(args);
    }
    step("Apache Kafka, its clients and tools");
    clients::install_one("java")?;
    step("building for release");
    let packages = ["--package", "klamm-broker", "--package", "klamm-bench"];
    shell::run(cargo().current_dir(workspace::root()).args(["build", "--release"]).args(packages))?;
    let target = workspace::target()?;
    let mut bench = Command::new(target.join("release/klamm-bench"));
    bench.arg("compare");
    bench.arg("--class-path").arg(clients::installed()?.join("java/lib/*"));
    bench.arg("--klamm").arg(target.join("release/klamm-broker"));
    bench.arg("--scratch").arg(target.join("bench"));
    step("measuring");
    shell::run(bench.args(&args.rest))
}
