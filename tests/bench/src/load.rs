//! What a load run is told and what it measured, shared by both clients.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bytes::Bytes;
use klamm_records::BatchBuilder;

/// Connections of the native generator: one for each core of the smallest machine.
pub const CONNECTIONS: usize = 2;

/// What a load run measured.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Throughput {
    /// Record bytes (values) that were acknowledged or read.
    pub bytes: u64,
    /// Records.
    pub records: u64,
    /// Wall time.
    pub seconds: f64,
}

impl Throughput {
    /// What was counted since `start`.
    pub fn since(start: Instant, records: u64, record_size: usize) -> Self {
        Self { bytes: records * record_size as u64, records, seconds: start.elapsed().as_secs_f64() }
    }

    /// Adds what another run measured.
    pub fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.records += other.records;
        self.seconds += other.seconds;
    }

    /// Megabytes (10^6) a second.
    pub fn mb_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds
    }

    /// Records a second.
    pub fn records_per_second(&self) -> f64 {
        self.records as f64 / self.seconds
    }
}

/// The records of a load run.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Bytes of a value.
    pub record: usize,
    /// Bytes of a batch; one record when that is larger.
    pub batch: usize,
    /// 0, 1 or -1 (all).
    pub acks: i16,
}

impl Shape {
    /// What the Java client sends with its defaults: 16 KiB batches, or one record when that is larger.
    pub fn as_java(record: usize, acks: i16) -> Self {
        Self { record, batch: 16_384, acks }
    }
}

/// Where a native run ends: at whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Record bytes.
    pub bytes: u64,
    /// Wall time.
    pub time: Duration,
}

impl Limit {
    /// A limit by volume alone.
    pub fn bytes(bytes: u64) -> Self {
        Self { bytes, time: Duration::from_secs(600) }
    }
}

/// One batch of `shape` and the number of its records.
pub fn batch(shape: &Shape) -> Result<(Bytes, u64)> {
    // Deterministic bytes that no run-length coding on the way could make smaller.
    let value: Vec<u8> = (0..shape.record).map(|i| (i * 31 % 251) as u8).collect();
    let count = (shape.batch / (shape.record + 12)).max(1);
    let now = now_ms();
    let mut builder = BatchBuilder::new(0);
    for _ in 0..count {
        builder.push(now, None, Some(&value), &[])?;
    }
    Ok((builder.finish()?.freeze(), count as u64))
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Runs `action` for each of the parts on a thread of its own; returns the sum of their results.
pub fn in_parallel<T: Send>(parts: Vec<T>, action: impl Fn(T) -> Result<u64> + Sync) -> Result<u64> {
    std::thread::scope(|scope| {
        let action = &action;
        let threads: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || action(part))).collect();
        threads
            .into_iter()
            .map(|t| t.join().map_err(|_| anyhow::anyhow!("a load thread panicked")).and_then(|r| r))
            .sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_fills_its_size_and_holds_one_record_when_that_is_larger() {
        for (record, records) in [(100, 146), (1024, 15), (65_536, 1)] {
            let (bytes, count) = batch(&Shape::as_java(record, -1)).unwrap();
            assert_eq!(count, records);
            assert!(bytes.len() <= 16_384 || count == 1, "{} bytes", bytes.len());
            klamm_records::validate_produced(&bytes, 1 << 20).unwrap();
        }
    }

    #[test]
    fn a_thread_that_fails_fails_the_run() {
        assert_eq!(in_parallel(vec![1, 2, 3], Ok).unwrap(), 6);
        assert!(in_parallel(vec![1, 2], |n| if n == 2 { anyhow::bail!("two") } else { Ok(n) }).is_err());
    }
}
