//! `kafka-console-consumer`: the values of records as lines on standard output.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use klamm_records::{Record, batches};
use klamm_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use klamm_wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use klamm_wire::{ErrorCode, Records};

use super::topic::Topic;
use crate::client::PATIENCE;

/// Pause when no partition has anything new.
const PAUSE: Duration = Duration::from_millis(100);
/// The most that one answer may hold, and a batch once it is decompressed.
const MAX_BYTES: i32 = 8 << 20;
const MAX_DECOMPRESSED: usize = 256 << 20;
/// The timestamps that stand for the beginning and the end of a partition.
const BEGINNING: i64 = -2;
const END: i64 = -1;

/// Read records and write each value as a line to standard output.
#[derive(Parser)]
#[command(name = "kafka-console-consumer", version)]
struct Cli {
    /// The servers to connect to, as host:port,host:port
    #[arg(long, value_name = "SERVERS")]
    bootstrap_server: String,
    /// The topic
    #[arg(long, value_name = "NAME")]
    topic: String,
    /// Start with the oldest record instead of the next one
    #[arg(long)]
    from_beginning: bool,
    /// Only this partition
    #[arg(long)]
    partition: Option<i32>,
    /// End after so many records
    #[arg(long, value_name = "COUNT")]
    max_messages: Option<usize>,
    /// End, with an error, when no record came for so long
    #[arg(long, value_name = "MILLISECONDS")]
    timeout_ms: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// There is no such topic, its leaders do not answer, or nothing came for too long.
pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let cli = Cli::parse_from(arguments);
    let mut topic = Topic::find(&cli.bootstrap_server, &cli.topic)?;
    let mut offsets = BTreeMap::new();
    for partition in topic.partitions() {
        if cli.partition.is_none_or(|only| only == partition) {
            let start = if cli.from_beginning { BEGINNING } else { END };
            offsets.insert(partition, offset_at(&mut topic, partition, start)?);
        }
    }
    if offsets.is_empty() {
        bail!("topic {} has no partition {}", topic.name, cli.partition.unwrap_or_default());
    }
    let mut printed = 0;
    let outcome = print(&cli, &mut topic, &mut offsets, &mut printed);
    eprintln!("Processed a total of {printed} messages");
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Prints records until it is enough.
fn print(cli: &Cli, topic: &mut Topic, offsets: &mut BTreeMap<i32, i64>, printed: &mut usize) -> Result<()> {
    let mut output = BufWriter::new(std::io::stdout());
    let mut last = Instant::now();
    loop {
        let before = *printed;
        for (partition, next) in &mut *offsets {
            for record in fetch(topic, *partition, *next)? {
                if cli.max_messages.is_some_and(|max| *printed >= max) {
                    return Ok(output.flush()?);
                }
                *next = record.offset + 1;
                output.write_all(record.value.as_deref().unwrap_or(b"null"))?;
                output.write_all(b"\n")?;
                *printed += 1;
            }
        }
        output.flush()?;
        if cli.max_messages.is_some_and(|max| *printed >= max) {
            return Ok(());
        }
        if *printed > before {
            last = Instant::now();
            continue;
        }
        if let Some(timeout) = cli.timeout_ms
            && last.elapsed() >= Duration::from_millis(timeout)
        {
            bail!("no record came for {timeout} ms");
        }
        std::thread::sleep(PAUSE);
    }
}

/// The offset that a timestamp stands for.
fn offset_at(topic: &mut Topic, partition: i32, timestamp: i64) -> Result<i64> {
    retried(topic, partition, |topic| {
        let one =
            ListOffsetsPartition { partition_index: partition, timestamp, ..ListOffsetsPartition::default() };
        let one = ListOffsetsTopic {
            name: topic.name.clone(),
            partitions: vec![one],
            ..ListOffsetsTopic::default()
        };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![one], ..ListOffsetsRequest::default() };
        let answer = topic.ask(partition, &request)?;
        let one = answer.topics.first().and_then(|topic| topic.partitions.first());
        let one = one.context("an answer for the partition")?;
        Ok((ErrorCode::from_code(one.error_code), one.offset))
    })
}

/// The records of a partition from an offset on, as many as an answer holds.
fn fetch(topic: &mut Topic, partition: i32, from: i64) -> Result<Vec<Record>> {
    let data = retried(topic, partition, |topic| {
        let one = FetchPartition {
            partition,
            fetch_offset: from,
            partition_max_bytes: MAX_BYTES,
            ..FetchPartition::default()
        };
        let one = FetchTopic {
            topic: topic.name.clone(),
            topic_id: topic.id,
            partitions: vec![one],
            ..FetchTopic::default()
        };
        let request = FetchRequest { max_bytes: MAX_BYTES, topics: vec![one], ..FetchRequest::default() };
        let answer = topic.ask(partition, &request)?;
        let one = answer.responses.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
        match one {
            Some(one) => Ok((ErrorCode::from_code(one.error_code), one.records)),
            None => Ok((ErrorCode::from_code(answer.error_code), Records::Null)),
        }
    })?;
    let Records::Bytes(bytes) = data else { return Ok(Vec::new()) };
    let mut records = Vec::new();
    for batch in batches(bytes) {
        let batch = batch?;
        batch.verify_crc()?;
        for record in batch.records(MAX_DECOMPRESSED)? {
            records.push(record?);
        }
    }
    records.retain(|record| record.offset >= from);
    Ok(records)
}

/// Asks until there is an answer without an error that may pass.
fn retried<T>(
    topic: &mut Topic,
    partition: i32,
    ask: impl Fn(&mut Topic) -> Result<(ErrorCode, T)>,
) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask(topic) {
            Ok((ErrorCode::None, answer)) => return Ok(answer),
            Ok((error, _)) if !error.is_retriable() || Instant::now() >= deadline => {
                bail!("partition {partition} of {}: {error}", topic.name)
            }
            Err(error) if Instant::now() >= deadline => return Err(error),
            _ => {}
        }
        std::thread::sleep(PAUSE);
        topic.refresh()?;
    }
}
