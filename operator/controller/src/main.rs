//! The program `klamm-operator`. Everything is in the library beside it, so that tests can run it without a process.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    klamm_operator::execute(&klamm_operator::cli::Cli::parse().command)
}
