//! `klamm-broker`: a Kafka broker, a metadata controller, or both in one process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use klamm_broker::config::sources::Sources;
use klamm_broker::config::{Config, environment, properties, report};
use klamm_broker::{allocator, logging, process};
use tracing::{info, warn};

/// A Kafka broker and metadata controller.
///
/// Configuration is Kafka's: a properties file, the KAFKA_* environment variables of the apache/kafka and cp-kafka
/// images (KAFKA_NODE_ID is node.id), and --override. Later sources win. Settings that mean nothing here are named in one
/// line of the log and ignored. A minimal single node:
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
/// SIGTERM and Ctrl-C hand leaderships over, then stop. KLAMM_LOG filters the log, for example KLAMM_LOG=debug; without it
/// KAFKA_LOG4J_ROOT_LOGLEVEL and KAFKA_LOG4J_LOGGERS do, by Kafka's names of loggers.
#[derive(Parser)]
#[command(name = "klamm-broker", version, verbatim_doc_comment)]
struct Cli {
    /// Properties file; without it the environment alone configures the process.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Sets one property; may be given again.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = key_value)]
    overrides: Vec<(String, String)>,

    /// Sets one property that nothing else sets; may be given again.
    #[arg(long = "default", value_name = "KEY=VALUE", value_parser = key_value)]
    defaults: Vec<(String, String)>,

    /// Properties file for when neither --config nor the environment sets any property.
    #[arg(long, value_name = "FILE")]
    default_config: Option<PathBuf>,
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
    let environment = environment::read(std::env::vars());
    let sources = Sources {
        file: cli.config.as_deref().map(read).transpose()?,
        environment: environment.clone(),
        overrides: cli.overrides,
        defaults: cli.defaults,
        default_file: cli.default_config.as_deref().map(read).transpose()?,
    };
    let all = sources.assemble();
    logging::init(all.get("klamm.log.format").map(String::as_str))?;
    if let Some(line) = report::warning(&all, &environment) {
        warn!("{line}");
    }
    if environment.wants_jmx {
        info!("there is no JMX here; metrics are served for Prometheus at /metrics on klamm.http.listener");
    }
    let config = Config::from_properties(all)?;
    check_writable(&config.log_dir)?;
    process::run(config)
}

/// A volume that belongs to somebody else is the commonest reason why a container does not start: say so in its words.
fn check_writable(directory: &Path) -> anyhow::Result<()> {
    use rustix::fs::{Access, access};
    if access(directory, Access::WRITE_OK | Access::EXEC_OK) == Err(rustix::io::Errno::ACCESS) {
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        anyhow::bail!(
            "log.dirs {} cannot be written by user {user}: give it to that user on the host \
             (chown -R {user}:{group}), mount a named volume, or set fsGroup: {group} in Kubernetes",
            directory.display()
        );
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(properties::parse(&text))
}
