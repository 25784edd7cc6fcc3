//! A blocking protocol connection: whole requests, or raw bytes for input that no client would send.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use klamm_wire::{Request, RequestHeader, Segment, Str};

/// Time to connect: on loopback a broker answers at once or is not there.
const CONNECT: Duration = Duration::from_secs(2);
/// No answer that a test asks for is larger.
const MAX_FRAME: usize = 256 << 20;

/// One connection, one request in flight.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    correlation: i32,
}

impl Connection {
    /// Connects to `host:port`; reads and writes fail after `timeout`.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(address: &str, timeout: Duration) -> Result<Self> {
        let socket = address.to_socket_addrs()?.next().with_context(|| format!("no address in {address}"))?;
        let stream = TcpStream::connect_timeout(&socket, timeout.min(CONNECT))
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let connection = Self { stream, correlation: 0 };
        connection.set_timeout(timeout)?;
        Ok(connection)
    }

    /// Fails reads and writes after `timeout`.
    ///
    /// # Errors
    /// The timeout is zero.
    pub fn set_timeout(&self, timeout: Duration) -> Result<()> {
        self.stream.set_read_timeout(Some(timeout))?;
        Ok(self.stream.set_write_timeout(Some(timeout))?)
    }

    /// Sends `request` and reads its answer.
    ///
    /// # Errors
    /// The connection broke, or the answer is not one to this request.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        self.send(version, request)?;
        self.receive::<R>(version)
    }

    /// Sends without waiting for the answer.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<()> {
        self.correlation = self.correlation.wrapping_add(1);
        let header = RequestHeader {
            api_key: R::API_KEY,
            api_version: version,
            correlation_id: self.correlation,
            client_id: Some(Str::from("klamm-harness")),
        };
        let mut frame = Vec::new();
        for segment in klamm_wire::encode_request_frame(&header, request)? {
            match segment {
                Segment::Bytes(bytes) => frame.extend_from_slice(&bytes),
                Segment::External { .. } => bail!("a request has no ranges of files"),
            }
        }
        self.send_raw(&frame)
    }

    /// Reads the answer to the request that was sent last.
    ///
    /// # Errors
    /// The connection broke, or the answer is not one to this request.
    pub fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response> {
        let frame = self.read_frame()?.context("the connection was closed before an answer came")?;
        let (correlation, body) = klamm_wire::decode_response_header(R::API_KEY, version, frame)?;
        ensure!(correlation == self.correlation, "an answer to {correlation}, not to {}", self.correlation);
        Ok(klamm_wire::decode_from_bytes(body, version)?)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Reads one frame without its size; none if the other side closed the connection.
    ///
    /// # Errors
    /// No frame in time, or half of one.
    pub fn read_frame(&mut self) -> Result<Option<Bytes>> {
        let mut size = [0; 4];
        match self.stream.read_exact(&mut size) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                return Ok(None);
            }
            Err(e) => return Err(e).context("reading the size of an answer"),
        }
        let size = usize::try_from(i32::from_be_bytes(size)).context("size of an answer")?;
        ensure!(size <= MAX_FRAME, "an answer of {size} bytes");
        let mut frame = vec![0; size];
        self.stream.read_exact(&mut frame).context("reading an answer")?;
        Ok(Some(frame.into()))
    }

    /// Asserts that the broker closes the connection, waiting for that as long as reads may take.
    ///
    /// # Errors
    /// It answers, or does nothing at all.
    pub fn expect_closed(&mut self) -> Result<()> {
        let frame = self.read_frame().context("waiting for the broker to close the connection")?;
        ensure!(frame.is_none(), "the broker answered with {frame:?}");
        Ok(())
    }
}
