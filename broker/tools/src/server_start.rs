//! `kafka-server-start FILE [--override NAME=VALUE]…`: becomes the broker.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;

/// Start a broker.
#[derive(Parser)]
#[command(name = "kafka-server-start", version)]
struct Cli {
    /// Properties file
    file: PathBuf,
    /// Sets one property; may be given again
    #[arg(long = "override", value_name = "NAME=VALUE")]
    overrides: Vec<String>,
}

/// Becomes the broker.
///
/// # Errors
/// It cannot be started.
pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    Err(broker(&Cli::parse_from(arguments)).exec()).context("starting klamm-broker")
}

/// The images write the file from variables before they start a broker; ours needs no such file.
fn broker(cli: &Cli) -> Command {
    let mut command = Command::new("klamm-broker");
    command.args(["--default", "log.dirs=/var/lib/kafka/data"]);
    if cli.file.exists() || !is_written_by_the_images(cli) {
        command.arg("--config").arg(&cli.file);
    }
    for text in &cli.overrides {
        command.args(["--override", text]);
    }
    command
}

fn is_written_by_the_images(cli: &Cli) -> bool {
    ["/etc/kafka/kafka.properties", "/opt/kafka/config/server.properties"]
        .iter()
        .any(|f| cli.file.as_os_str() == *f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> String {
        let command = broker(&Cli::parse_from(line.split_whitespace()));
        command.get_args().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_file_that_nobody_wrote_is_left_out_and_any_other_is_asked_for() {
        let default = "--default log.dirs=/var/lib/kafka/data";
        assert_eq!(arguments("kafka-server-start /etc/kafka/kafka.properties"), default);
        assert_eq!(
            arguments("kafka-server-start /mine.properties --override node.id=2"),
            format!("{default} --config /mine.properties --override node.id=2")
        );
    }
}
