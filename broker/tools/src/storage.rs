//! `kafka-storage`: `random-uuid`, and `format`, which has little to do: a broker lays out its own directory.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use uuid::Uuid;

use crate::client::uuid_text;

/// Prepare the storage of a node.
#[derive(Parser)]
#[command(name = "kafka-storage", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print an id for a new cluster
    RandomUuid,
    /// Give a node the id of its cluster; its directory is laid out when it starts
    Format {
        /// The id of the cluster
        #[arg(short = 't', long, value_name = "ID")]
        cluster_id: String,
        /// Properties file of the node
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// Taken for compatibility: formatted directories are always left alone
        #[arg(short = 'g', long)]
        ignore_formatted: bool,
        /// Taken for compatibility
        #[arg(short, long)]
        standalone: bool,
        /// Taken for compatibility: controllers are listed in controller.quorum.voters
        #[arg(short = 'I', long, value_name = "LIST")]
        initial_controllers: Option<String>,
        /// Taken for compatibility
        #[arg(short = 'N', long)]
        no_initial_controllers: bool,
        /// Taken for compatibility
        #[arg(short, long, value_name = "VERSION")]
        release_version: Option<String>,
        /// Taken for compatibility
        #[arg(short, long, value_name = "NAME=LEVEL")]
        feature: Vec<String>,
    },
    /// Say where to look
    Info {
        /// Properties file of the node
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// Runs the command.
///
/// # Errors
/// The properties file cannot be written.
pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    match Cli::parse_from(arguments).command {
        Command::RandomUuid => println!("{}", random_id()),
        Command::Format { cluster_id, config, .. } => println!("{}", format(&config, &cluster_id)?),
        Command::Info { .. } => {
            println!("meta.properties in the log directory says cluster, node and directory")
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One that does not look like an option.
fn random_id() -> String {
    loop {
        let text = uuid_text(Uuid::new_v4());
        if !text.starts_with('-') {
            return text;
        }
    }
}

/// The id goes into the properties file, if there is one and it has none: where variables configure the broker,
/// `CLUSTER_ID` has it, or a single node makes one up.
fn format(config: &Path, cluster_id: &str) -> Result<String> {
    let Ok(text) = fs::read_to_string(config) else {
        return Ok(format!("{} is not there: CLUSTER_ID gives the id, nothing to do", config.display()));
    };
    let has_one =
        text.lines().any(|line| line.split('=').next().is_some_and(|key| key.trim() == "cluster.id"));
    if has_one {
        return Ok(format!("{} has a cluster.id, nothing to do", config.display()));
    }
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    fs::write(config, format!("{text}{end}cluster.id={cluster_id}\n"))
        .with_context(|| format!("cannot add cluster.id to {}", config.display()))?;
    Ok(format!("cluster.id={cluster_id} added to {}", config.display()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_ways_in_which_scripts_call_it_are_understood() {
        Cli::command().debug_assert();
        for line in [
            "kafka-storage random-uuid",
            "kafka-storage format --ignore-formatted -t abc -c /etc/kafka/kafka.properties",
            "kafka-storage.sh format --cluster-id=abc -c f --standalone",
            "kafka-storage format -t abc -c f -g --feature kraft.version=1",
        ] {
            assert!(Cli::try_parse_from(line.split_whitespace()).is_ok(), "{line}");
        }
    }

    #[test]
    fn an_id_has_22_characters_and_no_dash_in_front() {
        for _ in 0..200 {
            let id = random_id();
            assert!(id.len() == 22 && !id.starts_with('-'), "{id}");
        }
    }

    #[test]
    fn the_id_is_added_to_a_file_that_has_none_and_only_once() {
        let file = std::env::temp_dir().join(format!("klamm-storage-{}", std::process::id()));
        assert!(format(&file, "first").unwrap().contains("nothing to do"));
        fs::write(&file, "node.id=1").unwrap();
        format(&file, "first").unwrap();
        format(&file, "second").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "node.id=1\ncluster.id=first\n");
        fs::remove_file(file).unwrap();
    }
}
