//! The Klamm operator: makes clusters what their KafkaCluster and KafkaTopic resources ask for.
//!
//! - [`cli`]: the command line; [`up`], [`status`], [`down`], [`crd`]: one module a command.
//! - [`manifest`]: reads resources from a file; [`watch`]: notices its edits.
//! - [`data`]: the data directory; [`local`]: nodes as processes of this computer; [`admin`]: topics over the
//!   Kafka protocol; [`kafka_id`]: ids as Kafka's tools print them.

mod admin;
mod cli;
mod crd;
mod data;
mod down;
mod kafka_id;
mod local;
mod manifest;
mod status;
mod up;
mod watch;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<(), Box<dyn std::error::Error>> {
    match command {
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
