//! A connection to another Klamm process: one request at a time, framed and checked like any client's.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use klamm_wire::{Request, RequestHeader, Str};
use tokio::net::TcpStream;

use super::dial::dial;
use super::frame::FrameReader;
use super::response::Response;

/// Largest response a peer may send.
const MAX_RESPONSE: usize = 128 << 20;

/// Why a call to a peer failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The connection could not be made or broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No answer in time; the connection must not be used again.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// Another peer has become the one to ask.
    #[error("another node has taken over")]
    Superseded,
    /// The answer does not parse.
    #[error("malformed answer: {0}")]
    Malformed(String),
}

/// An open connection to a peer.
pub struct Connection {
    stream: TcpStream,
    reader: FrameReader,
    correlation: i32,
    client_id: Str,
}

impl Connection {
    /// Resolves the host now (addresses are names) and connects within `timeout`.
    ///
    /// # Errors
    /// The dial's error or a timeout.
    pub async fn connect(
        host: &str,
        port: u16,
        client_id: &Str,
        timeout: Duration,
    ) -> Result<Self, CallError> {
        let stream = dial(host, port, timeout).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            reader: FrameReader::new(MAX_RESPONSE),
            correlation: 0,
            client_id: client_id.clone(),
        })
    }

    /// Sends `request` at `version` and awaits its answer. After an error the connection must be dropped.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Response, CallError> {
        self.correlation = self.correlation.wrapping_add(1);
        let header = RequestHeader {
            api_key: R::API_KEY,
            api_version: version,
            correlation_id: self.correlation,
            client_id: Some(self.client_id.clone()),
        };
        let segments = klamm_wire::encode_request_frame(&header, request)
            .map_err(|e| CallError::Malformed(e.to_string()))?;
        let frame = tokio::time::timeout(timeout, self.exchange(segments))
            .await
            .map_err(|_| CallError::Timeout(timeout))??;
        decode::<R>(frame.freeze(), version, self.correlation)
    }

    async fn exchange(&mut self, segments: Vec<klamm_wire::Segment>) -> io::Result<BytesMut> {
        Response { segments, files: Vec::new() }.write(&self.stream).await?;
        self.reader.next(&self.stream).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

fn decode<R: Request>(frame: Bytes, version: i16, correlation: i32) -> Result<R::Response, CallError> {
    let malformed = |e: klamm_wire::DecodeError| CallError::Malformed(e.to_string());
    let (found, body) = klamm_wire::decode_response_header(R::API_KEY, version, frame).map_err(malformed)?;
    if found != correlation {
        return Err(CallError::Malformed(format!("correlation id {found}, expected {correlation}")));
    }
    klamm_wire::decode_from_bytes::<<R as Request>::Response>(body, version).map_err(malformed)
}
