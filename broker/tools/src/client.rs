//! A blocking connection to a broker: the first bootstrap server that answers, at the versions that it knows.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use klamm_wire::messages::api_versions_request::ApiVersionsRequest;
use klamm_wire::messages::api_versions_response::ApiVersionsResponse;
use klamm_wire::{ErrorCode, Request, RequestHeader, Segment, Str};

/// How long a command tries, like Kafka's.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for one connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Pause before the servers are tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// No answer to a command is larger.
const MAX_FRAME: usize = 256 << 20;
/// Every broker of the last eight years knows this version.
const API_VERSIONS: i16 = 3;

/// A connection with one request in flight.
pub struct Client {
    stream: TcpStream,
    correlation: i32,
    versions: HashMap<i16, (i16, i16)>,
}

impl Client {
    /// Connects to the first of `host:port,…` that answers, trying again until `patience` ends.
    ///
    /// # Errors
    /// None did.
    pub fn connect(servers: &str, patience: Duration) -> Result<Self> {
        let deadline = Instant::now() + patience;
        let list: Vec<&str> = servers.split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
        ensure!(!list.is_empty(), "--bootstrap-server needs a server, for example localhost:9092");
        for server in &list {
            ensure!(
                server
                    .rsplit_once(':')
                    .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()),
                "{server} is no server: give host:port, for example localhost:9092"
            );
        }
        let mut warned = false;
        loop {
            for server in &list {
                match Self::dial(server) {
                    Ok(client) => return Ok(client),
                    Err(error) if Instant::now() + PAUSE >= deadline => return Err(error),
                    Err(error) if !warned => {
                        eprintln!("{error:#}; trying for {} s", patience.as_secs());
                        warned = true;
                    }
                    Err(_) => {}
                }
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn dial(server: &str) -> Result<Self> {
        let failed =
            || format!("connection to {server} could not be established, the broker may not be available");
        let stream = connect(server).with_context(failed)?;
        let mut client = Self { stream, correlation: 0, versions: HashMap::new() };
        let answer = client.api_versions().with_context(failed)?;
        let versions = answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version)));
        client.versions = versions.collect();
        Ok(client)
    }

    /// What the broker says it can do.
    ///
    /// # Errors
    /// The connection broke.
    pub fn api_versions(&mut self) -> Result<ApiVersionsResponse> {
        let request = ApiVersionsRequest {
            client_software_name: Str::from("klamm-tools"),
            client_software_version: Str::from(env!("CARGO_PKG_VERSION")),
            ..ApiVersionsRequest::default()
        };
        let answer = self.call_at(API_VERSIONS, &request)?;
        check(answer.error_code, None)?;
        Ok(answer)
    }

    /// Sends a request at the highest version that both sides know, and reads its answer.
    ///
    /// # Errors
    /// There is no such version, or the connection broke.
    pub fn call<R: Request>(&mut self, request: &R) -> Result<R::Response> {
        let version = match self.versions.get(&R::API_KEY) {
            Some((min, max)) if *min <= R::MAX && *max >= R::MIN => R::MAX.min(*max),
            _ => bail!("the broker does not support {} at a version that this command knows", R::NAME),
        };
        self.call_at(version, request)
    }

    fn call_at<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        self.correlation = self.correlation.wrapping_add(1);
        let header = RequestHeader {
            api_key: R::API_KEY,
            api_version: version,
            correlation_id: self.correlation,
            client_id: Some(Str::from("klamm-tools")),
        };
        for segment in klamm_wire::encode_request_frame(&header, request)? {
            match segment {
                Segment::Bytes(bytes) => self.stream.write_all(&bytes)?,
                Segment::External { .. } => bail!("a request has no ranges of files"),
            }
        }
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).context("no answer")?;
        let size = usize::try_from(i32::from_be_bytes(size)).context("the size of an answer")?;
        ensure!(size <= MAX_FRAME, "an answer of {size} bytes: is this a Kafka broker?");
        let mut frame = Vec::new();
        Read::by_ref(&mut self.stream)
            .take(size as u64)
            .read_to_end(&mut frame)
            .context("reading an answer")?;
        ensure!(frame.len() == size, "the connection ended within an answer");
        let (found, body) = klamm_wire::decode_response_header(R::API_KEY, version, frame.into())?;
        ensure!(found == self.correlation, "an answer to another request");
        Ok(klamm_wire::decode_from_bytes::<R::Response>(body, version)?)
    }
}

/// Tries every address of a `host:port`.
fn connect(server: &str) -> Result<TcpStream> {
    let mut last = None;
    for address in server.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER))?;
                stream.set_write_timeout(Some(ANSWER))?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| anyhow::anyhow!("the name has no address"), Into::into))
}

/// An error code with its message, Kafka's own text where there is none.
///
/// # Errors
/// The code is one.
pub fn check(code: i16, message: Option<&str>) -> Result<()> {
    let error = ErrorCode::from_code(code);
    if error == ErrorCode::None {
        return Ok(());
    }
    match message.filter(|text| !text.is_empty()) {
        Some(text) => bail!("{error}: {text}"),
        None => bail!("{error}"),
    }
}

/// Kafka's text form of a uuid.
pub fn uuid_text(id: uuid::Uuid) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_is_no_server_is_named_with_an_example() {
        for wrong in ["localhost", ":9092", "", "localhost:kafka"] {
            let error = Client::connect(wrong, PATIENCE).err().unwrap().to_string();
            assert!(error.contains("localhost:9092"), "{error}");
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_named_when_patience_ends() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = Client::connect(&free.to_string(), Duration::ZERO).err().unwrap();
        assert!(format!("{error:#}").contains(&free.to_string()), "{error:#}");
    }

    #[test]
    fn an_answer_of_something_else_takes_no_memory() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut some = [0; 16];
            stream.read_exact(&mut some).unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        let error = format!("{:#}", Client::connect(&address, Duration::ZERO).err().unwrap());
        assert!(error.contains("is this a Kafka broker"), "{error}");
        server.join().unwrap();
    }

    #[test]
    fn errors_have_kafkas_names_and_the_brokers_words() {
        assert!(check(0, None).is_ok());
        let error = check(36, Some("Topic 'a' already exists.")).unwrap_err().to_string();
        assert!(error.contains("Topic 'a' already exists."), "{error}");
    }
}
