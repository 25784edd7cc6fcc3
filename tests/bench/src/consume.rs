//! The native consumer: fetches with the Java client's limits, reads batch headers only.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use klamm_records::BatchHeader;
use klamm_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use klamm_wire::messages::fetch_response::FetchResponse;
use klamm_wire::{ErrorCode, Records, Str};

use crate::admin::leaders;
use crate::connection::Connection;
use crate::load::{Throughput, in_parallel};

/// Version of Fetch: topics by name, with sessions, as most clients in the field send it.
pub const FETCH: i16 = 11;

/// Where a partition is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Partition index.
    pub partition: i32,
    /// Next offset to fetch.
    pub offset: i64,
    /// High watermark as the last answer said.
    pub end: i64,
}

impl Position {
    /// The partition's beginning, its end not known yet.
    pub fn start(partition: i32) -> Self {
        Self { partition, offset: 0, end: i64::MAX }
    }
}

/// How often the topic is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// From the beginning to the end, once.
    Once,
    /// Again from the beginning until the time is over.
    For(Duration),
}

/// Reads `topic` from its beginning; the partitions are shared out to the connections.
pub fn consume(
    bootstrap: &str,
    topic: &str,
    record: usize,
    connections: usize,
    passes: Passes,
) -> Result<Throughput> {
    let mut parts = Vec::new();
    for (address, partitions) in leaders(bootstrap, topic)? {
        for share in partitions.chunks(partitions.len().div_ceil(connections.max(1))) {
            parts.push((Connection::open(&address)?, share.to_vec()));
        }
    }
    let start = Instant::now();
    let records = in_parallel(parts, |(mut connection, partitions)| {
        let mut records = read_to_end(&mut connection, topic, &partitions, start, passes)?;
        while let Passes::For(time) = passes
            && start.elapsed() < time
        {
            records += read_to_end(&mut connection, topic, &partitions, start, passes)?;
        }
        Ok(records)
    })?;
    if records == 0 {
        bail!("{topic} is empty");
    }
    Ok(Throughput::since(start, records, record))
}

fn read_to_end(
    connection: &mut Connection,
    topic: &str,
    partitions: &[i32],
    start: Instant,
    passes: Passes,
) -> Result<u64> {
    let mut positions: Vec<Position> = partitions.iter().map(|p| Position::start(*p)).collect();
    let mut records = 0;
    while positions.iter().any(|p| p.offset < p.end) {
        if matches!(passes, Passes::For(time) if start.elapsed() >= time) {
            break;
        }
        records += fetch(connection, topic, &mut positions)?;
    }
    Ok(records)
}

/// One Fetch of all positions, which it moves on; returns how many records came.
pub fn fetch(connection: &mut Connection, topic: &str, positions: &mut [Position]) -> Result<u64> {
    connection.send(FETCH, &fetch_request(topic, positions))?;
    connection.receive_with::<FetchRequest, _>(FETCH, |response| advance(response, positions))
}

fn advance(response: FetchResponse, positions: &mut [Position]) -> Result<u64> {
    let mut records = 0;
    for data in response.responses.into_iter().flat_map(|t| t.partitions) {
        if data.error_code != 0 {
            bail!("fetch refused: {}", ErrorCode::from_code(data.error_code));
        }
        let Some(position) = positions.iter_mut().find(|p| p.partition == data.partition_index) else {
            bail!("an answer for partition {}, which was not asked for", data.partition_index);
        };
        position.end = data.high_watermark;
        records += skip_batches(data.records, &mut position.offset)?;
    }
    Ok(records)
}

fn fetch_request(topic: &str, positions: &[Position]) -> FetchRequest {
    let partitions = positions.iter().map(|p| FetchPartition {
        partition: p.partition,
        fetch_offset: p.offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    });
    let topic = FetchTopic {
        topic: Str::copy_from(topic),
        partitions: partitions.collect(),
        ..FetchTopic::default()
    };
    FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 50 << 20,
        topics: vec![topic],
        ..FetchRequest::default()
    }
}

/// Moves `offset` past the whole batches in `records`; returns how many records they held.
fn skip_batches(records: Records, offset: &mut i64) -> Result<u64> {
    let Records::Bytes(bytes) = records else { return Ok(0) };
    let mut rest: &[u8] = &bytes;
    let mut seen = 0;
    while let Ok(header) = BatchHeader::parse(rest) {
        let Some(after) = rest.get(header.size_in_bytes()..) else { break };
        seen += u64::try_from(header.record_count)?;
        *offset = header.next_offset();
        rest = after;
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Shape, batch};

    #[test]
    fn a_batch_cut_off_at_the_end_of_an_answer_is_fetched_again() {
        let (one, count) = batch(&Shape { record: 10, batch: 220, acks: -1 }).unwrap();
        let mut two = [one.as_ref(), one.as_ref()].concat();
        klamm_records::stamp(two.get_mut(one.len()..).unwrap(), count as i64, 0).unwrap();
        two.truncate(two.len() - 1);
        let mut offset = 0;
        assert_eq!(skip_batches(Records::Bytes(two.into()), &mut offset).unwrap(), count);
        assert_eq!(offset, count as i64);
    }
}
