//! The Klamm operator: makes clusters what their KafkaCluster and KafkaTopic resources ask for.
//!
//! - [`cli`]: the command line; [`run`], [`up`], [`status`], [`down`], [`crd`]: one module a command.
//! - [`run`]: on Kubernetes. [`up`]: on this computer, with [`manifest`], which reads resources from a file, [`watch`],
//!   which notices its edits, [`data`], the data directory, and [`local`], nodes as processes.
//! - Both plan with the same planner and speak to brokers with [`admin`]; [`kafka_id`]: ids as Kafka's tools print them.

pub mod admin;
pub mod cli;
mod crd;
mod data;
mod down;
mod kafka_id;
mod local;
mod manifest;
#[cfg(feature = "kubernetes")]
pub mod run;
mod status;
mod up;
mod watch;

use std::io::Write;
use std::process::ExitCode;

use cli::Command;

/// Carries a command out; an error is printed, with the way out.
pub fn execute(command: &Command) -> ExitCode {
    match try_execute(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn try_execute(command: &Command) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        #[cfg(feature = "kubernetes")]
        Command::Run(args) => Ok(run::run(args)?),
        Command::Up(args) => Ok(up::run(args)?),
        Command::Status(args) => Ok(print(&status::run(args)?)?),
        Command::Down(args) => Ok(down::run(args)?),
        Command::Crd => Ok(print(&crd::all()?)?),
    }
}

/// Prints a text; a reader that has seen enough, such as `head`, is no error.
fn print(text: &str) -> std::io::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
