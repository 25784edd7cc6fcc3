//! A broker that keeps nothing and answers at once: what is left is the native generator's own ceiling.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use klamm_wire::messages::fetch_request::FetchRequest;
use klamm_wire::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use klamm_wire::messages::metadata_request::MetadataRequest;
use klamm_wire::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use klamm_wire::messages::produce_request::ProduceRequest;
use klamm_wire::messages::produce_response::ProduceResponse;
use klamm_wire::{Decoder, Message, Records, Str, encode_response_frame};

use crate::connection::Connection;
use crate::consume::{FETCH, Passes, consume};
use crate::load::{self, CONNECTIONS, Limit, Shape, Throughput};
use crate::produce::produce;

/// Partitions the sink claims to lead.
const PARTITIONS: i32 = 6;
const TOPIC: &str = "sink";

/// How fast the generator produces to, and consumes from, a sink on the same machine.
pub fn ceiling(record: usize, time: Duration) -> Result<(Throughput, Throughput)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let shape = Shape::as_java(record, -1);
    let (batch, _) = load::batch(&shape)?;
    // The threads end with their connections, the acceptor with the process.
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let batch = batch.clone();
            std::thread::spawn(move || serve(stream, address.port(), &batch));
        }
    });
    let bootstrap = address.to_string();
    let produced = produce(&bootstrap, TOPIC, &shape, CONNECTIONS, Limit { bytes: u64::MAX, time })?;
    let consumed = consume(&bootstrap, TOPIC, record, CONNECTIONS, Passes::For(time))?;
    Ok((produced, consumed))
}

/// Answers requests until the client hangs up, which is the error it ends with.
fn serve(stream: TcpStream, port: u16, batch: &Bytes) -> Result<()> {
    let mut connection = Connection::from_stream(stream)?;
    let mebibyte = Bytes::from(batch.repeat(((1 << 20) / batch.len()).max(1)));
    loop {
        let frame = connection.receive_frame()?;
        let header = klamm_wire::decode_request_header(&mut Decoder::new(frame.bytes.clone()))?;
        let (version, id) = (header.api_version, header.correlation_id);
        let answer = match header.api_key {
            MetadataRequest::API_KEY => encode_response_frame(header.api_key, version, id, &metadata(port)),
            ProduceRequest::API_KEY => {
                encode_response_frame(header.api_key, version, id, &ProduceResponse::default())
            }
            FetchRequest::API_KEY => {
                let mut body = Decoder::new(frame.bytes.clone());
                klamm_wire::decode_request_header(&mut body)?;
                let request = FetchRequest::decode(&mut body, FETCH)?;
                encode_response_frame(header.api_key, version, id, &fetched(&request, &mebibyte)?)
            }
            other => bail!("the sink does not know API {other}"),
        }?;
        drop(header);
        connection.recycle(frame);
        connection.write(answer)?;
    }
}

fn metadata(port: u16) -> MetadataResponse {
    let partitions = (0..PARTITIONS)
        .map(|partition_index| MetadataResponsePartition { partition_index, ..Default::default() })
        .collect();
    let topic = MetadataResponseTopic {
        name: Some(Str::from(TOPIC)),
        partitions,
        ..MetadataResponseTopic::default()
    };
    let broker = MetadataResponseBroker {
        host: Str::from("127.0.0.1"),
        port: i32::from(port),
        ..MetadataResponseBroker::default()
    };
    MetadataResponse { brokers: vec![broker], topics: vec![topic], ..MetadataResponse::default() }
}

/// A mebibyte for every partition asked for, as a broker with a long log gives.
fn fetched(request: &FetchRequest, records: &Bytes) -> Result<FetchResponse> {
    let asked = request.topics.first().context("a fetch without a topic")?;
    let partitions = asked.partitions.iter().map(|p| PartitionData {
        partition_index: p.partition,
        high_watermark: i64::MAX,
        records: Records::Bytes(records.clone()),
        ..PartitionData::default()
    });
    let topic = FetchableTopicResponse {
        topic: asked.topic.clone(),
        partitions: partitions.collect(),
        ..FetchableTopicResponse::default()
    };
    Ok(FetchResponse { responses: vec![topic], ..FetchResponse::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_runs_against_a_sink() {
        let (produced, consumed) = ceiling(1024, Duration::from_millis(50)).unwrap();
        assert!(produced.records > 0 && produced.bytes == produced.records * 1024);
        assert!(consumed.records > 0);
    }
}
