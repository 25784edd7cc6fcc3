//! End to end: single records at a fixed rate, produced with acks=all and read at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::admin::{Topic, create_ready_topic, leaders};
use crate::connection::Connection;
use crate::consume::{Position, fetch};
use crate::peers::Cluster;
use crate::produce::produce_one;

/// The rate of a latency run.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Records a second.
    pub rate: u32,
    /// Length in seconds.
    pub seconds: u32,
}

/// Latencies in milliseconds, sorted, on a new topic of one partition with this `flush.messages`.
pub fn end_to_end(cluster: &Cluster, flush: &str, pace: Pace) -> Result<Vec<f64>> {
    let bootstrap = cluster.bootstrap();
    let name = format!("latency-{flush}");
    let configs = [("flush.messages", flush)];
    create_ready_topic(&bootstrap, &Topic { name: &name, partitions: 1, replicas: 1, configs: &configs })?;
    let (address, _) = leaders(&bootstrap, &name)?.into_iter().next().context("leader")?;
    // What the first requests of a topic cost (class loading, files) is not what a user waits for later.
    run(&address, &name, 0, Pace { rate: pace.rate, seconds: 1 })?;
    let already = i64::from(pace.rate);
    run(&address, &name, already, pace)
}

fn run(address: &str, topic: &str, offset: i64, pace: Pace) -> Result<Vec<f64>> {
    let count = pace.rate * pace.seconds;
    let mut producer = Connection::open(address)?;
    let mut consumer = Connection::open(address)?;
    let origin = Instant::now();
    let (sent, arrived) = std::thread::scope(|scope| {
        let reader = scope.spawn(move || arrivals(&mut consumer, topic, offset, u64::from(count), origin));
        let sent = send_at_rate(&mut producer, topic, count, pace.rate, origin);
        (sent, reader.join().map_err(|_| anyhow!("the reader panicked")).and_then(|r| r))
    });
    let mut latencies: Vec<f64> =
        sent?.iter().zip(arrived?).map(|(sent, got)| got.saturating_sub(*sent).as_secs_f64() * 1e3).collect();
    latencies.sort_by(f64::total_cmp);
    Ok(latencies)
}

/// Sends a record when it is due; returns when each was sent, or was due when the broker held the one before it up.
fn send_at_rate(
    connection: &mut Connection,
    topic: &str,
    count: u32,
    rate: u32,
    origin: Instant,
) -> Result<Vec<Duration>> {
    let mut sent = Vec::with_capacity(usize::try_from(count)?);
    for i in 0..count {
        let due = Duration::from_secs_f64(f64::from(i) / f64::from(rate));
        let early = due.checked_sub(origin.elapsed());
        early.into_iter().for_each(std::thread::sleep);
        sent.push(if early.is_some() { origin.elapsed() } else { due });
        produce_one(connection, topic, 0)?;
    }
    Ok(sent)
}

fn arrivals(
    connection: &mut Connection,
    topic: &str,
    offset: i64,
    count: u64,
    origin: Instant,
) -> Result<Vec<Duration>> {
    let mut positions = [Position { offset, ..Position::start(0) }];
    let mut arrived = Vec::new();
    while (arrived.len() as u64) < count {
        let seen = fetch(connection, topic, &mut positions)?;
        let now = origin.elapsed();
        arrived.extend((0..seen).map(|_| now));
    }
    Ok(arrived)
}

/// The smallest of the sorted values that at least a share `q` of them does not exceed (nearest rank).
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * q).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!(
            [0.5, 0.99, 0.999, 1.0].map(|q| quantile(&values, q)),
            [500.0, 990.0, 999.0, 1000.0].map(Some)
        );
        assert_eq!(quantile(&[7.0], 0.5), Some(7.0));
        assert_eq!(quantile(&[7.0], 0.0), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
