//! A blocking protocol connection with requests in flight: the cheapest client that can still be called a Kafka client.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use klamm_wire::{Request, RequestHeader, Segment, Str};

/// Time to connect: on loopback a broker answers at once or is not there.
const CONNECT: Duration = Duration::from_secs(2);

/// One connection; `send` and `receive` may be apart, so that several requests are in flight.
pub struct Connection {
    stream: TcpStream,
    correlation: i32,
    /// The buffer of a frame that was given back, so that large frames do not cost page faults each time.
    spare: BytesMut,
}

impl Connection {
    /// Connects to `host:port`; reads and writes fail after a minute.
    pub fn open(address: &str) -> Result<Self> {
        let socket = address.to_socket_addrs()?.next().with_context(|| format!("no address in {address}"))?;
        let stream = TcpStream::connect_timeout(&socket, CONNECT)
            .with_context(|| format!("connecting to {address}"))?;
        let connection = Self::from_stream(stream)?;
        connection.set_timeout(Duration::from_secs(60))?;
        Ok(connection)
    }

    /// Takes over an accepted stream.
    pub fn from_stream(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, correlation: 0, spare: BytesMut::new() })
    }

    /// Fails reads and writes after `timeout`.
    pub fn set_timeout(&self, timeout: Duration) -> Result<()> {
        self.stream.set_read_timeout(Some(timeout))?;
        Ok(self.stream.set_write_timeout(Some(timeout))?)
    }

    /// Sends without waiting for the answer.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<()> {
        self.correlation = self.correlation.wrapping_add(1);
        let header = RequestHeader {
            api_key: R::API_KEY,
            api_version: version,
            correlation_id: self.correlation,
            client_id: Some(Str::from("klamm-bench")),
        };
        self.write(klamm_wire::encode_request_frame(&header, request)?, None)
    }

    /// Writes an encoded frame; its external parts are ranges of `file` that begin at their index.
    pub fn write(&mut self, segments: Vec<Segment>, file: Option<&File>) -> Result<()> {
        let mut parts: Vec<Bytes> = Vec::new();
        for segment in segments {
            match segment {
                Segment::Bytes(bytes) => parts.push(bytes),
                Segment::External { index, length } => {
                    write_all(&mut self.stream, &std::mem::take(&mut parts))?;
                    let file = file.context("a frame with a range of no file")?;
                    send_file(&self.stream, file, index.into(), length.into())?;
                }
            }
        }
        Ok(write_all(&mut self.stream, &parts)?)
    }

    /// Reads one frame, without its size.
    pub fn receive_frame(&mut self) -> Result<Frame> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let size = usize::try_from(i32::from_be_bytes(size)).context("size of a frame")?;
        let mut buffer = std::mem::take(&mut self.spare);
        if buffer.len() < size {
            buffer.resize(size, 0);
        }
        self.stream.read_exact(buffer.get_mut(..size).context("buffer")?)?;
        let whole = buffer.freeze();
        Ok(Frame { bytes: whole.slice(..size), whole })
    }

    /// Takes a frame's buffer back for the next frame, unless something still refers to it.
    pub fn recycle(&mut self, frame: Frame) {
        drop(frame.bytes);
        self.spare = frame.whole.try_into_mut().unwrap_or_default();
    }

    /// Reads the next answer; `inspect` must keep nothing of it, or the buffer is not used again.
    pub fn receive_with<R: Request, T>(
        &mut self,
        version: i16,
        inspect: impl FnOnce(R::Response) -> Result<T>,
    ) -> Result<T> {
        let frame = self.receive_frame()?;
        let (_, body) = klamm_wire::decode_response_header(R::API_KEY, version, frame.bytes.clone())?;
        let result = inspect(klamm_wire::decode_from_bytes::<R::Response>(body, version)?);
        self.recycle(frame);
        result
    }

    /// Sends and waits.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        self.send(version, request)?;
        self.receive_with::<R, _>(version, Ok)
    }
}

/// A received frame and the buffer that holds it.
pub struct Frame {
    /// The frame without its size.
    pub bytes: Bytes,
    whole: Bytes,
}

fn send_file(stream: &TcpStream, file: &File, mut position: u64, length: u64) -> io::Result<()> {
    let end = position + length;
    while position < end {
        let count = usize::try_from(end - position).unwrap_or(usize::MAX);
        if rustix::fs::sendfile(stream, file, Some(&mut position), count)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn write_all(stream: &mut TcpStream, parts: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|p| IoSlice::new(p)).collect();
    let mut rest: &mut [IoSlice<'_>] = &mut slices;
    while !rest.is_empty() {
        match stream.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_recycled_buffer_holds_shorter_and_longer_frames() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut writer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut reader = Connection::from_stream(listener.accept().unwrap().0).unwrap();
        for size in [5usize, 3, 9] {
            writer.write_all(&u32::try_from(size).unwrap().to_be_bytes()).unwrap();
            writer.write_all(&vec![size as u8; size]).unwrap();
            let frame = reader.receive_frame().unwrap();
            assert_eq!(frame.bytes.as_ref(), vec![size as u8; size]);
            reader.recycle(frame);
            assert!(reader.spare.len() >= size, "the buffer came back");
        }
    }
}
