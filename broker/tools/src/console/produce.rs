//! `kafka-console-producer`: each line of standard input becomes a record, acknowledged by all replicas in sync.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Parser;
use klamm_records::BatchBuilder;
use klamm_wire::ErrorCode;
use klamm_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::topic::Topic;
use crate::client::PATIENCE;

/// Lines that are sent together, and their bytes.
const MAX_LINES: usize = 500;
const MAX_BYTES: usize = 512 << 10;
/// Pause before a batch is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// Read lines from standard input and send each as a record.
#[derive(Parser)]
#[command(name = "kafka-console-producer", version)]
struct Cli {
    /// The servers to connect to, as host:port,host:port
    #[arg(long, value_name = "SERVERS")]
    bootstrap_server: String,
    /// The topic
    #[arg(long, value_name = "NAME")]
    topic: String,
}

/// Runs the command.
///
/// # Errors
/// A line cannot be sent.
pub fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let cli = Cli::parse_from(arguments);
    let mut topic = Topic::find(&cli.bootstrap_server, &cli.topic)?;
    let mut input = BufReader::with_capacity(64 << 10, std::io::stdin());
    let mut turn = 0;
    loop {
        let lines = read(&mut input)?;
        if lines.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let partitions = topic.partitions();
        let partition = *partitions.get(turn % partitions.len()).context("a partition")?;
        send(&mut topic, partition, &lines)?;
        turn += 1;
    }
}

/// The next lines: one that is waited for, and those that are there already. None at the end.
fn read(input: &mut BufReader<impl std::io::Read>) -> Result<Vec<Vec<u8>>> {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line).context("reading standard input")? == 0 {
            return Ok(lines);
        }
        line.pop_if(|last| *last == b'\n');
        bytes += line.len();
        lines.push(line);
        if lines.len() >= MAX_LINES || bytes >= MAX_BYTES || !input.buffer().contains(&b'\n') {
            return Ok(lines);
        }
    }
}

/// Sends lines to a partition, again after errors that may pass: a line may then be there twice.
fn send(topic: &mut Topic, partition: i32, lines: &[Vec<u8>]) -> Result<()> {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let mut batch = BatchBuilder::new(0);
    for line in lines {
        batch.push(now, None, Some(line), &[])?;
    }
    let batch = batch.finish()?.freeze();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let data = PartitionProduceData {
            index: partition,
            records: Some(batch.clone()),
            ..PartitionProduceData::default()
        };
        let data = TopicProduceData {
            name: topic.name.clone(),
            topic_id: topic.id,
            partition_data: vec![data],
            ..TopicProduceData::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![data],
            ..ProduceRequest::default()
        };
        let outcome = topic.ask(partition, &request).and_then(|answer| {
            let one = answer.responses.first().and_then(|topic| topic.partition_responses.first());
            Ok(ErrorCode::from_code(one.context("an answer for the partition")?.error_code))
        });
        match outcome {
            Ok(ErrorCode::None) => return Ok(()),
            Ok(error) if !error.is_retriable() => bail!("partition {partition} of {}: {error}", topic.name),
            Ok(error) if Instant::now() >= deadline => {
                bail!("partition {partition} of {}: {error}", topic.name)
            }
            Err(error) if Instant::now() >= deadline => return Err(error),
            _ => {}
        }
        std::thread::sleep(PAUSE);
        topic.refresh()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_record_and_the_last_needs_no_line_break() {
        let mut input = BufReader::new(&b"one\n\ntwo\nthree"[..]);
        assert_eq!(read(&mut input).unwrap(), [&b"one"[..], b"", b"two"]);
        assert_eq!(read(&mut input).unwrap(), [b"three"]);
        assert!(read(&mut input).unwrap().is_empty());
    }

    #[test]
    fn what_is_sent_together_is_bounded() {
        let text = "x\n".repeat(MAX_LINES + 1);
        let mut input = BufReader::new(text.as_bytes());
        assert_eq!(read(&mut input).unwrap().len(), MAX_LINES);
        assert_eq!(read(&mut input).unwrap().len(), 1);
    }
}
