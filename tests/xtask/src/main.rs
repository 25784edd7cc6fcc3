//! The one entry point for chores: `cargo xtask --help`.

mod bench;
mod chaos;
mod chart;
mod clients;
mod cluster;
mod compose;
mod crds;
mod e2e;
mod images;
mod packages;
mod shell;
mod test;
mod tidy;
mod up;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Chores of the Klamm repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every test that needs no Kubernetes: formatting, lints, layering, unit and cluster tests, foreign clients
    Test(test::Args),
    /// Build for release and run the cluster of a manifest on this computer
    Up(up::Args),
    /// Regenerate crds/ from the types
    Crds,
    /// Check the Helm chart: definitions, lint, and the same rendering with Helm 4 and Helm 3
    Chart(chart::Args),
    /// Build the container images into target/images
    Images(images::Args),
    /// Run compose files and single containers on a real Docker daemon
    Compose(compose::Args),
    /// A Kubernetes of several nodes on this machine, without Docker
    #[command(subcommand)]
    Cluster(cluster::Verb),
    /// Run the end-to-end suite on the testbed, or on a Kubernetes of yours
    E2e(e2e::Args),
    /// Measure beside Apache Kafka 4.3.1 on this machine, or on Kubernetes
    Bench(bench::Args),
    /// Inject faults into clusters of real processes under real clients, and check that nothing is lost (Linux, root)
    Chaos(chaos::Args),
    /// Check layering and names, report the largest files and functions
    Tidy,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Test(args) => test::run(&args),
        Command::Up(args) => up::run(&args),
        Command::Crds => crds::run(),
        Command::Chart(args) => chart::run(&args),
        Command::Images(args) => images::run(&args),
        Command::Compose(args) => compose::run(&args),
        Command::Cluster(verb) => cluster::run(&verb),
        Command::E2e(args) => e2e::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Chaos(args) => chaos::run(&args),
        Command::Tidy => tidy::run(),
    }
}
