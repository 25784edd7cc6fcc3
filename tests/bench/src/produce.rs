//! The native producer: batches built once, sent many times, several requests in flight.

use std::time::Instant;

use anyhow::{Result, bail};
use bytes::Bytes;
use klamm_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use klamm_wire::messages::produce_response::ProduceResponse;
use klamm_wire::{ErrorCode, Str};

use crate::admin::leaders;
use crate::connection::Connection;
use crate::load::{self, Limit, Shape, Throughput, in_parallel};

/// Version of Produce: topics by name, as most clients in the field send it.
pub const PRODUCE: i16 = 9;
/// Requests in flight on a connection, as in the Java client.
const IN_FLIGHT: u64 = 5;

/// Produces until `limit`; a request carries a batch for every partition of its leader, as a busy Java client's does.
pub fn produce(
    bootstrap: &str,
    topic: &str,
    shape: &Shape,
    connections: usize,
    limit: Limit,
) -> Result<Throughput> {
    let (batch, count) = load::batch(shape)?;
    let leaders = leaders(bootstrap, topic)?;
    let mut parts = Vec::new();
    for _ in 0..connections.max(1) {
        for (address, partitions) in &leaders {
            let request = produce_request(topic, partitions, shape.acks, &batch);
            parts.push((Connection::open(address)?, request, count * partitions.len() as u64));
        }
    }
    let share = limit.bytes / parts.len() as u64;
    let start = Instant::now();
    let records = in_parallel(parts, |(mut connection, request, records)| {
        let requests = share.div_ceil(records * shape.record as u64).max(1);
        let acked = pipeline(&mut connection, &request, requests, start, limit)?;
        Ok(acked * records)
    })?;
    Ok(Throughput::since(start, records, shape.record))
}

/// Keeps requests in flight until `requests` were sent or the time is over; returns how many were acknowledged.
fn pipeline(
    connection: &mut Connection,
    request: &ProduceRequest,
    requests: u64,
    start: Instant,
    limit: Limit,
) -> Result<u64> {
    let (mut sent, mut acked) = (0, 0);
    loop {
        while sent < requests && sent - acked < IN_FLIGHT && start.elapsed() < limit.time {
            connection.send(PRODUCE, request)?;
            sent += 1;
        }
        if acked == sent {
            return Ok(acked);
        }
        connection.receive_with::<ProduceRequest, _>(PRODUCE, check_produced)?;
        acked += 1;
    }
}

/// A Produce request with the same batch for each partition.
fn produce_request(topic: &str, partitions: &[i32], acks: i16, records: &Bytes) -> ProduceRequest {
    let data = partitions.iter().map(|index| PartitionProduceData {
        index: *index,
        records: Some(records.clone()),
        ..PartitionProduceData::default()
    });
    let topic = TopicProduceData {
        name: Str::copy_from(topic),
        partition_data: data.collect(),
        ..TopicProduceData::default()
    };
    ProduceRequest { acks, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() }
}

fn check_produced(response: ProduceResponse) -> Result<()> {
    for partition in response.responses.iter().flat_map(|t| &t.partition_responses) {
        if partition.error_code != 0 {
            bail!("produce refused: {}", ErrorCode::from_code(partition.error_code));
        }
    }
    Ok(())
}

/// Sends one record of 100 bytes with acks=all and waits for the acknowledgement.
pub fn produce_one(connection: &mut Connection, topic: &str, partition: i32) -> Result<()> {
    let (batch, _) = load::batch(&Shape { record: 100, batch: 0, acks: -1 })?;
    connection.send(PRODUCE, &produce_request(topic, &[partition], -1, &batch))?;
    connection.receive_with::<ProduceRequest, _>(PRODUCE, check_produced)
}
