//! `klamm-e2e`: what `cargo xtask e2e` and `cargo xtask bench kubernetes` run inside the network of a cluster.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use klamm_kubernetes_tests::{bench, runner};

/// The end-to-end suite of Klamm, against the cluster of KUBECONFIG.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the scenarios
    Run {
        /// Only those whose name contains this; several with commas between them
        filter: Option<String>,
        /// Where the operator's log, events and more go when a scenario fails
        #[arg(long, default_value = "target/e2e")]
        failures: PathBuf,
        /// Seconds after which everything ends
        #[arg(long, default_value_t = 1800)]
        limit: u64,
        /// Leave the operator alone that is there
        #[arg(long)]
        no_install: bool,
        /// Go on after a failure
        #[arg(long)]
        keep_going: bool,
    },
    /// Say what the scenarios are called
    List,
    /// Measure
    Bench(bench::Args),
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
        Command::Run { filter, failures, limit, no_install, keep_going } => runner::run(&runner::Options {
            filter,
            failures,
            limit: Duration::from_secs(limit),
            install: !no_install,
            keep_going,
        }),
        Command::List => {
            runner::list();
            Ok(())
        }
        Command::Bench(args) => bench::run(&args),
    }
}
