//! Kafka's own performance tools as the client: ProducerPerformance and ConsumerPerformance.

use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

use crate::load::{Shape, Throughput, now_ms};
use crate::peers::{Programs, java};

/// Share of a run's records that the producer's JVM warms up with; the tool reports the steady state after them.
const WARMUP_SHARE: u64 = 5;

/// A tool of Kafka's with the heap that its start script gives it, and errors alone in its log.
fn tool(programs: &Programs, class: &str) -> Command {
    let mut command = java(programs);
    command.args(["-Xmx512M", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", class]);
    command
}

/// `kafka-producer-perf-test` without a rate limit and otherwise with the producer's defaults.
pub fn produce(
    programs: &Programs,
    bootstrap: &str,
    topic: &str,
    shape: &Shape,
    total: u64,
) -> Result<Throughput> {
    let records = (total / shape.record as u64).max(WARMUP_SHARE);
    let acks = if shape.acks < 0 { "all".to_owned() } else { shape.acks.to_string() };
    let output = tool(programs, "org.apache.kafka.tools.ProducerPerformance")
        .args(["--bootstrap-server", bootstrap, "--topic", topic, "--throughput", "-1"])
        .args(["--num-records", &records.to_string(), "--record-size", &shape.record.to_string()])
        .args(["--warmup-records", &(records / WARMUP_SHARE).to_string()])
        .args(["--command-property", &format!("acks={acks}")])
        .output()?;
    let (out, err) = text(&output);
    if out.contains("Exception") || err.contains("Exception") || !output.status.success() {
        bail!("ProducerPerformance failed: {out}{err}");
    }
    let per_second =
        steady_rate(&out).with_context(|| format!("no summary from ProducerPerformance: {out}{err}"))?;
    Ok(Throughput { bytes: records * shape.record as u64, records, seconds: records as f64 / per_second })
}

/// Records a second after the warm-up, from the tool's last line.
fn steady_rate(output: &str) -> Option<f64> {
    let summary = output.lines().rev().find_map(|line| line.split_once(" steady state records sent, "))?.1;
    summary.split(' ').next()?.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0)
}

/// `kafka-consumer-perf-test` over `records` records from the beginning; joining the group is not counted.
pub fn consume(
    programs: &Programs,
    bootstrap: &str,
    topic: &str,
    record: usize,
    records: u64,
) -> Result<Throughput> {
    let group = format!("bench-{}", now_ms());
    let output = tool(programs, "org.apache.kafka.tools.ConsumerPerformance")
        .args(["--bootstrap-server", bootstrap, "--topic", topic, "--group", &group, "--hide-header"])
        .args(["--num-records", &records.to_string(), "--timeout", "60000"])
        .args(["--command-property", "auto.offset.reset=earliest"])
        .output()?;
    let (out, err) = text(&output);
    let (seen, seconds) =
        fetched(&out).with_context(|| format!("no result from ConsumerPerformance: {out}{err}"))?;
    if seen < records {
        bail!("ConsumerPerformance saw {seen} of {records} records: {out}{err}");
    }
    Ok(Throughput { bytes: seen * record as u64, records: seen, seconds })
}

/// Records and seconds of fetching (fields `data.consumed.in.nMsg` and `fetch.time.ms`) from the tool's one line.
fn fetched(output: &str) -> Option<(u64, f64)> {
    let fields: Vec<&str> =
        output.lines().rev().map(|l| l.split(", ").collect()).find(|f: &Vec<_>| f.len() == 10)?;
    let millis: f64 = fields.get(7)?.parse().ok()?;
    Some((fields.get(4)?.parse().ok()?, millis / 1e3)).filter(|(_, seconds)| *seconds > 0.0)
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_producers_rate_is_the_steady_states() {
        let output = "Warmup first 50000 records. Steady state results will print after the complete test summary.\n\
            79381 records sent, 15876.2 records/sec (15.50 MB/sec), 1123.6 ms avg latency, 1839.0 ms max latency.\n\
            200000 records sent, 26652.452026 records/sec (26.03 MB/sec), 897.99 ms avg latency, 1839.00 ms max \
            latency, 695 ms 50th, 1653 ms 95th, 1795 ms 99th, 1821 ms 99.9th.\n\
            150000 steady state records sent, 30712.530713 records/sec (29.99 MB/sec), 757.58 ms avg latency, \
            1313.00 ms max latency, 612 ms 50th, 1203 ms 95th, 1239 ms 99th, 1290 ms 99.9th.\n";
        assert_eq!(steady_rate(output), Some(30_712.530_713));
        assert_eq!(steady_rate("0 steady state records sent, NaN records/sec (NaN MB/sec)"), None);
        assert_eq!(steady_rate("org.apache.kafka.common.errors.TimeoutException"), None);
    }

    #[test]
    fn the_consumers_time_leaves_the_rebalance_out() {
        let output = "2026-11-23 23:43:35:686, 2026-11-23 23:43:39:829, 585.9375, 141.4283, 600000, 144822.5923, \
            1290, 2853, 205.3759, 210304.9422\n";
        assert_eq!(fetched(output), Some((600_000, 2.853)));
        assert_eq!(fetched("Exiting before consuming the expected number of records\n"), None);
    }
}
