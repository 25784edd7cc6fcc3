//! `klamm-broker`: a Kafka broker, a metadata controller, or both in one process.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use klamm_broker::config::{Config, environment, properties};
use klamm_broker::{allocator, logging, process};

/// A Kafka broker and metadata controller.
///
/// Configuration is Kafka's: a properties file, the KAFKA_* environment variables of the apache/kafka and cp-kafka
/// images (KAFKA_NODE_ID is node.id), and --override. Later sources win. A minimal single node:
///
///   process.roles=broker,controller
///   node.id=1
///   controller.quorum.voters=1@localhost:9093
///   listeners=PLAINTEXT://:9092,CONTROLLER://:9093
///   advertised.listeners=PLAINTEXT://localhost:9092
///   log.dirs=/var/lib/klamm
///
/// Properties beyond Kafka's: cluster.id (needed on the first start of more than one controller),
/// klamm.http.listener (health and metrics, default 0.0.0.0:9404, "none" turns it off), klamm.log.format (text or json).
/// flush.messages defaults to 1: an acknowledged record is on disk.
///
/// SIGTERM and Ctrl-C hand leaderships over, then stop. KLAMM_LOG filters the log, for example KLAMM_LOG=debug.
#[derive(Parser)]
#[command(name = "klamm-broker", version, verbatim_doc_comment)]
struct Cli {
    /// Properties file; without it the environment alone configures the process.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Sets one property; may be given again.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = key_value)]
    overrides: Vec<(String, String)>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("klamm-broker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let mut all = match &cli.config {
        Some(path) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            properties::parse(&text)
        }
        None => Default::default(),
    };
    all.extend(environment::properties(std::env::vars()));
    all.extend(cli.overrides);
    logging::init(all.get("klamm.log.format").map(String::as_str))?;
    process::run(Config::from_properties(all)?)
}
