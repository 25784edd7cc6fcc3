//! The commands of Kafka images that health checks and start scripts call, as one program that looks at its name.
//!
//! Each module is a command, or a few that do the same. What they print is what Kafka's commands print, as far as scripts
//! look at it.

mod api_versions;
mod client;
mod console;
mod netcat;
mod quorum;
mod ready;
mod server_start;
mod storage;
mod topics;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

/// What a command is called, and what it does with its arguments, its name first.
type Command = (&'static str, fn(Vec<OsString>) -> Result<ExitCode>);

const COMMANDS: &[Command] = &[
    ("kafka-broker-api-versions", api_versions::run),
    ("kafka-console-consumer", console::consumer),
    ("kafka-console-producer", console::producer),
    ("kafka-metadata-quorum", quorum::run),
    ("kafka-server-start", server_start::run),
    ("kafka-storage", storage::run),
    ("kafka-topics", topics::run),
    ("cub", ready::run),
    ("dub", ready::run),
    ("ub", ready::run),
    ("nc", netcat::run),
];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Called by its own name, the program takes the command as its first argument.
fn run(mut arguments: Vec<OsString>) -> Result<ExitCode> {
    if arguments.first().is_some_and(|name| command_name(name) == "klamm-tools") {
        arguments.remove(0);
    }
    let name = arguments.first().map(command_name).unwrap_or_default();
    match COMMANDS.iter().find(|(known, _)| *known == name) {
        Some((_, command)) => command(arguments),
        None => {
            let known: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
            bail!("{name:?} is no command of this program; it knows: {}", known.join(", "))
        }
    }
}

/// `/opt/kafka/bin/kafka-topics.sh` is `kafka-topics`.
fn command_name(program: &OsString) -> String {
    let file = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    file.strip_suffix(".sh").unwrap_or(&file).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_known_by_its_name_with_and_without_the_suffix() {
        for name in ["kafka-topics", "/usr/bin/kafka-topics", "/opt/kafka/bin/kafka-topics.sh"] {
            assert_eq!(command_name(&name.into()), "kafka-topics");
        }
        let error = run(vec!["klamm-tools".into(), "kafka-nonsense".into()]).unwrap_err().to_string();
        assert!(error.contains("kafka-nonsense") && error.contains("kafka-topics"), "{error}");
    }
}
