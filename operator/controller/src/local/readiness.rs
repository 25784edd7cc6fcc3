//! Asks a node over HTTP whether it is ready.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether `GET /readyz` answers 200 in time.
pub async fn is_ready(port: u16) -> bool {
    timeout(PATIENCE, status_line(port)).await.is_ok_and(|line| line.is_ok_and(|line| says_ok(&line)))
}

async fn status_line(port: u16) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 64];
    let mut length = 0;
    while length < answer.len() && !answer[..length].contains(&b'\n') {
        match stream.read(&mut answer[length..]).await? {
            0 => break,
            read => length += read,
        }
    }
    Ok(answer[..length].to_vec())
}

fn says_ok(line: &[u8]) -> bool {
    line.starts_with(b"HTTP/1.") && line.get(8..12) == Some(b" 200")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_200_is_ready() {
        assert!(says_ok(b"HTTP/1.1 200 OK\r\n"));
        assert!(!says_ok(b"HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(!says_ok(b""));
    }
}
