//! A broker that keeps nothing and answers at once: what is left is the native generator's own ceiling, and what the system
//! takes to send a file.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
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
use klamm_wire::{Decoder, Message, Part, Records, Str, encode_response_frame};
use rustix::time::{ClockId, clock_gettime};

use crate::connection::Connection;
use crate::consume::{FETCH, Passes, consume};
use crate::load::{self, CONNECTIONS, Limit, Shape, Throughput};
use crate::produce::produce;

/// Partitions the sink claims to lead.
const PARTITIONS: i32 = 6;
const TOPIC: &str = "sink";

/// Mebibytes of the file that is sent: more than a processor's own caches hold.
const FILE_MIB: u32 = 256;
/// What Klamm gives a socket to send.
const SEND_BUFFER: usize = 200 << 10;
/// Nothing comes any more of connections that were closed.
const QUIET: Duration = Duration::from_millis(300);

/// How fast the generator produces to, and consumes from, a sink on the same machine.
pub fn ceiling(record: usize, time: Duration) -> Result<(Throughput, Throughput)> {
    let shape = Shape::as_java(record, -1);
    let (address, _) = start(Source { mebibyte: mebibyte(&shape)?, file: None })?;
    let bootstrap = address.to_string();
    let produced = produce(&bootstrap, TOPIC, &shape, CONNECTIONS, Limit { bytes: u64::MAX, time })?;
    let consumed = consume(&bootstrap, TOPIC, record, CONNECTIONS, Passes::For(time))?;
    Ok((produced, consumed))
}

/// CPU seconds for a gigabyte (10^9) of record bytes of a sink that does nothing but `sendfile` from the page cache, a thread
/// for each connection that may block: no broker that sends files over these sockets takes less.
pub fn sendfile_cpu_per_gb(record: usize, time: Duration, dir: &Path) -> Result<f64> {
    let mebibyte = mebibyte(&Shape::as_java(record, -1))?;
    let mut file = tempfile::tempfile_in(dir)?;
    for _ in 0..FILE_MIB {
        std::io::Write::write_all(&mut file, &mebibyte)?;
    }
    let (address, ended) = start(Source { mebibyte, file: Some(file) })?;
    let consumed = consume(&address.to_string(), TOPIC, record, CONNECTIONS, Passes::For(time))?;
    let mut cpu = Duration::ZERO;
    while let Ok(took) = ended.recv_timeout(QUIET) {
        cpu += took;
    }
    Ok(cpu.as_secs_f64() / (consumed.bytes as f64 / 1e9))
}

/// What consumers get.
struct Source {
    /// About a mebibyte of batches.
    mebibyte: Bytes,
    /// The same many times; sent instead, if there is one.
    file: Option<File>,
}

fn mebibyte(shape: &Shape) -> Result<Bytes> {
    let (batch, _) = load::batch(shape)?;
    Ok(Bytes::from(batch.repeat(((1 << 20) / batch.len()).max(1))))
}

/// Starts a sink. Its threads end with their connections, the acceptor with the process; each tells its CPU time.
fn start(source: Source) -> Result<(SocketAddr, mpsc::Receiver<Duration>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (tell, ended) = mpsc::channel();
    let source = Arc::new(source);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let (source, tell) = (Arc::clone(&source), tell.clone());
            std::thread::spawn(move || {
                let _ = serve(stream, address.port(), &source);
                let _ =
                    tell.send(Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default());
            });
        }
    });
    Ok((address, ended))
}

/// Answers requests until the client hangs up, which is the error it ends with.
fn serve(stream: TcpStream, port: u16, source: &Source) -> Result<()> {
    rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER)?;
    let mut connection = Connection::from_stream(stream)?;
    let mut sent = 0;
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
                let answer = fetched(&request, || source.next(&mut sent))?;
                encode_response_frame(header.api_key, version, id, &answer)
            }
            other => bail!("the sink does not know API {other}"),
        }?;
        drop(header);
        connection.recycle(frame);
        connection.write(answer, source.file.as_ref())?;
    }
}

impl Source {
    /// The next mebibyte, of the file if there is one.
    fn next(&self, sent: &mut u32) -> Result<Records> {
        if self.file.is_none() {
            return Ok(Records::Bytes(self.mebibyte.clone()));
        }
        let length = u32::try_from(self.mebibyte.len())?;
        let index = *sent % FILE_MIB * length;
        *sent += 1;
        Ok(Records::Parts(vec![Part::External { index, length }]))
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
fn fetched(request: &FetchRequest, mut next: impl FnMut() -> Result<Records>) -> Result<FetchResponse> {
    let asked = request.topics.first().context("a fetch without a topic")?;
    let mut topic =
        FetchableTopicResponse { topic: asked.topic.clone(), ..FetchableTopicResponse::default() };
    for partition in &asked.partitions {
        topic.partitions.push(PartitionData {
            partition_index: partition.partition,
            high_watermark: i64::MAX,
            records: next()?,
            ..PartitionData::default()
        });
    }
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

    #[test]
    fn sending_a_file_takes_time() {
        let dir = tempfile::tempdir().unwrap();
        let cpu = sendfile_cpu_per_gb(1024, Duration::from_millis(50), dir.path()).unwrap();
        assert!(cpu > 0.0 && cpu.is_finite());
    }
}
