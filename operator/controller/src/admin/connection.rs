//! One connection to a broker: one request at a time, versions negotiated when it opens.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use klamm_operator_plan::observed::HostPort;
use klamm_wire::messages::api_versions_request::ApiVersionsRequest;
use klamm_wire::{
    Request, RequestHeader, Segment, decode_from_bytes, decode_response_header, encode_request_frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::AdminError;

/// How long a connection or an answer may take. Brokers answer changes within the request's own timeout.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 20;
const API_VERSIONS_VERSION: i16 = 3;
/// Keys of APIs that only Klamm has begin here.
const FIRST_PRIVATE: i16 = 1000;

/// A connection to one broker.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    at: HostPort,
    correlation_id: i32,
    /// The lowest and highest version of every API that the broker serves.
    versions: BTreeMap<i16, (i16, i16)>,
}

impl Connection {
    /// Connects to an address and asks which versions the broker serves.
    ///
    /// # Errors
    /// `Unreachable` if nobody answers in time, `Protocol` if it is no Kafka broker.
    pub async fn open(at: &HostPort) -> Result<Self, AdminError> {
        let connect = timeout(PATIENCE, TcpStream::connect((at.host.as_str(), at.port))).await;
        let stream =
            connect.map_err(|_| unreachable_at(at, "no answer"))?.map_err(|e| unreachable_at(at, e))?;
        stream.set_nodelay(true).map_err(|e| unreachable_at(at, e))?;
        let at = at.clone();
        let mut connection = Self { stream, at, correlation_id: 0, versions: BTreeMap::new() };
        let request = ApiVersionsRequest {
            client_software_name: "klamm-operator".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            ..ApiVersionsRequest::default()
        };
        let answer = connection.exchange(&request, API_VERSIONS_VERSION).await?;
        AdminError::of(answer.error_code, None)?;
        let range = |api: &klamm_wire::messages::api_versions_response::ApiVersion| {
            (api.api_key, (api.min_version, api.max_version))
        };
        connection.versions = answer.api_keys.iter().map(range).collect();
        Ok(connection)
    }

    /// The address that it is connected to.
    pub fn address(&self) -> &HostPort {
        &self.at
    }

    /// Sends a request in the highest version that both sides know and waits for the answer.
    ///
    /// # Errors
    /// `Unreachable` if the connection breaks or the answer takes too long, `Protocol` if there is no common version
    /// or the answer cannot be decoded.
    pub async fn call<R: Request>(&mut self, request: &R) -> Result<R::Response, AdminError> {
        // Private APIs are served and not advertised; they have one version.
        let unadvertised = if R::API_KEY >= FIRST_PRIVATE { (R::MIN, R::MAX) } else { (0, -1) };
        let (min, max) = self.versions.get(&R::API_KEY).copied().unwrap_or(unadvertised);
        let version = max.min(R::MAX);
        if version < min.max(R::MIN) {
            return Err(AdminError::Protocol(format!("it does not serve API {} as we know it", R::API_KEY)));
        }
        self.exchange(request, version).await
    }

    async fn exchange<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, AdminError> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let frame = self.frame(request, version)?;
        let answer = timeout(PATIENCE, self.send_and_receive(&frame)).await;
        let answer = answer.map_err(|_| unreachable_at(&self.at, "no answer in time"))??;
        let garbled = |error: klamm_wire::DecodeError| AdminError::Protocol(error.to_string());
        let (correlation_id, body) = decode_response_header(R::API_KEY, version, answer).map_err(garbled)?;
        if correlation_id != self.correlation_id {
            return Err(AdminError::Protocol("it answers another request".into()));
        }
        decode_from_bytes(body, version).map_err(garbled)
    }

    fn frame<R: Request>(&self, request: &R, version: i16) -> Result<Vec<u8>, AdminError> {
        let header = RequestHeader {
            api_key: R::API_KEY,
            api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some("klamm-operator".into()),
        };
        let segments = encode_request_frame(&header, request)
            .map_err(|error| AdminError::Protocol(error.to_string()))?;
        let mut frame = Vec::new();
        for segment in segments {
            if let Segment::Bytes(bytes) = segment {
                frame.extend_from_slice(&bytes);
            }
        }
        Ok(frame)
    }

    async fn send_and_receive(&mut self, frame: &[u8]) -> Result<Bytes, AdminError> {
        let at = &self.at;
        let broken = |error: std::io::Error| unreachable_at(at, error);
        self.stream.write_all(frame).await.map_err(broken)?;
        let length = self.stream.read_i32().await.map_err(broken)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= MAX_ANSWER);
        let length =
            length.ok_or_else(|| AdminError::Protocol("its answer has an impossible length".into()))?;
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await.map_err(broken)?;
        Ok(answer.into())
    }
}

fn unreachable_at(at: &HostPort, why: impl std::fmt::Display) -> AdminError {
    AdminError::Unreachable(format!("{at}: {why}"))
}
