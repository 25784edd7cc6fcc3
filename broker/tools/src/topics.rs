//! `kafka-topics`: `--list`, `--create`, `--describe`, `--delete` and `--alter`.

mod describe;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{ArgGroup, Parser};
use klamm_wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use klamm_wire::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use klamm_wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use klamm_wire::messages::metadata_request::MetadataRequest;
use klamm_wire::messages::metadata_response::MetadataResponseTopic;
use klamm_wire::{ErrorCode, Str};

use crate::client::{Client, PATIENCE, check};

/// What the controller may take for one request.
const TIMEOUT_MS: i32 = 30_000;

/// Longest wait for a new topic to be known everywhere.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);
/// Pause between two looks.
const KNOWN_PAUSE: Duration = Duration::from_millis(10);

/// Create, delete, describe, or change a topic.
#[derive(Parser)]
#[command(name = "kafka-topics", version)]
#[command(group = ArgGroup::new("action").required(true).args(["list", "create", "describe", "delete", "alter"]))]
struct Cli {
    /// The servers to connect to, as host:port,host:port
    #[arg(long, value_name = "SERVERS")]
    bootstrap_server: String,
    /// Taken for compatibility; listeners are plaintext
    #[arg(long, value_name = "FILE")]
    command_config: Option<PathBuf>,
    /// List all topics
    #[arg(long)]
    list: bool,
    /// Create a topic
    #[arg(long)]
    create: bool,
    /// Show partitions, leaders and replicas
    #[arg(long)]
    describe: bool,
    /// Delete a topic
    #[arg(long)]
    delete: bool,
    /// Add partitions
    #[arg(long)]
    alter: bool,
    /// The topic
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// Number of partitions
    #[arg(long)]
    partitions: Option<i32>,
    /// Number of replicas
    #[arg(long)]
    replication_factor: Option<i16>,
    /// A setting of the topic that is created; may be given again
    #[arg(long = "config", value_name = "NAME=VALUE")]
    configs: Vec<String>,
    /// No error if the topic does not exist
    #[arg(long)]
    if_exists: bool,
    /// No error if the topic exists
    #[arg(long)]
    if_not_exists: bool,
    /// Leave out Kafka's own topics
    #[arg(long)]
    exclude_internal: bool,
    /// Only partitions with replicas that are not in sync
    #[arg(long)]
    under_replicated_partitions: bool,
    /// Only partitions without a leader
    #[arg(long)]
    unavailable_partitions: bool,
}

impl Cli {
    fn topic(&self) -> Result<&str> {
        self.topic.as_deref().context("--topic is missing")
    }
}

/// Runs the command.
///
/// # Errors
/// What the broker said, or that there is none.
pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let cli = Cli::parse_from(arguments);
    let done = Client::connect(&cli.bootstrap_server, PATIENCE).and_then(|mut client| match () {
        () if cli.list => list(&cli, &mut client),
        () if cli.create => create(&cli, &mut client),
        () if cli.delete => delete(&cli, &mut client),
        () if cli.alter => alter(&cli, &mut client),
        () => describe::run(&cli, &mut client),
    });
    done.context("Error while executing topic command")?;
    Ok(ExitCode::SUCCESS)
}

/// The topics that the command is about, by name.
fn chosen(cli: &Cli, client: &mut Client) -> Result<Vec<MetadataResponseTopic>> {
    let request =
        MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() };
    let mut topics = client.call(&request)?.topics;
    topics.retain(|topic| {
        !(cli.exclude_internal && topic.is_internal)
            && cli.topic.as_ref().is_none_or(|name| topic.name.as_ref().is_some_and(|n| n == name))
    });
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(topics)
}

fn list(cli: &Cli, client: &mut Client) -> Result<()> {
    for name in chosen(cli, client)?.into_iter().filter_map(|topic| topic.name) {
        println!("{name}");
    }
    Ok(())
}

fn create(cli: &Cli, client: &mut Client) -> Result<()> {
    let name = cli.topic()?;
    let config = |text: &String| -> Result<CreatableTopicConfig> {
        let (name, value) =
            text.split_once('=').with_context(|| format!("--config {text}: give NAME=VALUE"))?;
        Ok(CreatableTopicConfig {
            name: Str::copy_from(name.trim()),
            value: Some(Str::copy_from(value.trim())),
            ..CreatableTopicConfig::default()
        })
    };
    let topic = CreatableTopic {
        name: Str::copy_from(name),
        num_partitions: cli.partitions.unwrap_or(-1),
        replication_factor: cli.replication_factor.unwrap_or(-1),
        configs: cli.configs.iter().map(config).collect::<Result<_>>()?,
        ..CreatableTopic::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, ..CreateTopicsRequest::default() };
    for result in client.call(&request)?.topics {
        let exists = ErrorCode::from_code(result.error_code) == ErrorCode::TopicAlreadyExists;
        if exists && cli.if_not_exists {
            return Ok(());
        }
        check(result.error_code, result.error_message.as_deref())?;
    }
    until_known(cli, client)?;
    println!("Created topic {name}.");
    Ok(())
}

/// Waits a moment until every broker knows the topic: the next command of a script may ask another one.
fn until_known(cli: &Cli, client: &mut Client) -> Result<()> {
    let deadline = Instant::now() + KNOWN_WITHIN;
    let request = MetadataRequest {
        topics: Some(Vec::new()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    for broker in client.call(&request)?.brokers {
        // Whoever cannot be reached from here is asked by nobody here.
        let address = format!("{}:{}", broker.host, broker.port);
        let Ok(mut other) = Client::connect(&address, Duration::ZERO) else { continue };
        while chosen(cli, &mut other)?.is_empty() && Instant::now() < deadline {
            std::thread::sleep(KNOWN_PAUSE);
        }
    }
    Ok(())
}

fn delete(cli: &Cli, client: &mut Client) -> Result<()> {
    let name = Str::copy_from(cli.topic()?);
    // The older versions have the names in a field of their own.
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: Some(name.clone()), ..DeleteTopicState::default() }],
        topic_names: vec![name],
        timeout_ms: TIMEOUT_MS,
        ..DeleteTopicsRequest::default()
    };
    for result in client.call(&request)?.responses {
        let missing = ErrorCode::from_code(result.error_code) == ErrorCode::UnknownTopicOrPartition;
        if missing && cli.if_exists {
            return Ok(());
        }
        check(result.error_code, result.error_message.as_deref())?;
    }
    Ok(())
}

fn alter(cli: &Cli, client: &mut Client) -> Result<()> {
    let name = cli.topic()?;
    let Some(count) = cli.partitions else { bail!("--alter needs --partitions") };
    if chosen(cli, client)?.is_empty() {
        ensure!(cli.if_exists, "Topic '{name}' does not exist as expected");
        return Ok(());
    }
    let topic = CreatePartitionsTopic {
        name: Str::copy_from(name),
        count,
        assignments: None,
        ..CreatePartitionsTopic::default()
    };
    let request = CreatePartitionsRequest {
        topics: vec![topic],
        timeout_ms: TIMEOUT_MS,
        ..CreatePartitionsRequest::default()
    };
    for result in client.call(&request)?.results {
        check(result.error_code, result.error_message.as_deref())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_options_that_scripts_give_are_understood() {
        Cli::command().debug_assert();
        for line in [
            "kafka-topics --bootstrap-server localhost:9092 --list",
            "kafka-topics.sh --list --bootstrap-server=kafka:9092 --exclude-internal",
            "kafka-topics --bootstrap-server a:1,b:2 --create --if-not-exists --topic t --partitions 3 \
             --replication-factor 2 --config cleanup.policy=compact --config=retention.ms=1",
            "kafka-topics --bootstrap-server a:1 --describe --under-replicated-partitions",
            "kafka-topics --bootstrap-server a:1 --alter --topic t --partitions 6",
            "kafka-topics --bootstrap-server a:1 --delete --topic t --if-exists --command-config /tmp/c",
        ] {
            assert!(Cli::try_parse_from(line.split_whitespace()).is_ok(), "{line}");
        }
        for line in
            ["kafka-topics --list", "kafka-topics --bootstrap-server a:1", "kafka-topics --list --create"]
        {
            assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
    }
}
