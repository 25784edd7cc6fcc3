//! Accepts connections on one listener.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use super::SocketBuffers;
use super::connection::{self, Limits, Peer, Service};
use crate::config::listeners::Endpoint;

/// Connections the kernel may queue before they are accepted.
const BACKLOG: i32 = 1024;
static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

/// Why a listener is not bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Its host name has no address; it may get one later.
    #[error("{0}")]
    Unresolved(io::Error),
    /// The system refuses; the text names the listener and what to do.
    #[error("{0}")]
    Refused(String),
}

/// Binds a listener; an empty host means every interface.
///
/// # Errors
/// See [`BindError`].
pub fn bind(endpoint: &Endpoint) -> Result<std::net::TcpListener, BindError> {
    let host = if endpoint.host.is_empty() { "0.0.0.0" } else { &endpoint.host };
    let address = (host, endpoint.port)
        .to_socket_addrs()
        .and_then(|mut found| found.next().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
        .map_err(BindError::Unresolved)?;
    bind_address(address).map_err(|error| BindError::Refused(explain(endpoint, &error)))
}

fn explain(endpoint: &Endpoint, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process uses this port: stop it or choose another port in listeners"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: use 0.0.0.0 or one of its own in listeners"
        }
        _ => "",
    };
    format!("cannot listen on {endpoint}: {error}{hint}")
}

fn bind_address(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let domain = if address.is_ipv4() { socket2::Domain::IPV4 } else { socket2::Domain::IPV6 };
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts until `stop` is cancelled; every connection is a task of `tasks`.
pub async fn accept(
    listener: TcpListener,
    name: Arc<str>,
    service: Arc<dyn Service>,
    limits: Limits,
    max_connections: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, address)) => {
                let Ok(permit) = Arc::clone(&max_connections).try_acquire_owned() else {
                    warn!(listener = %name, %address, "connection refused: max.connections reached");
                    continue;
                };
                let peer = Peer {
                    address,
                    listener: Arc::clone(&name),
                    connection: NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed),
                };
                let (service, limits, stop) = (Arc::clone(&service), limits.clone(), stop.clone());
                tasks.spawn(async move {
                    let _permit = permit;
                    if let Err(error) = prepare(&stream, limits.buffers) {
                        debug!(%address, %error, "socket options");
                    }
                    if let Err(error) = connection::serve(stream, peer.clone(), service, limits, stop).await {
                        log_end(&peer, &error);
                    }
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: let connections end before trying again.
                warn!(listener = %name, %error, "accept failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn prepare(stream: &TcpStream, buffers: SocketBuffers) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    if let Some(bytes) = buffers.send {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = buffers.receive {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(Duration::from_secs(60)))
}

fn log_end(peer: &Peer, error: &io::Error) {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            debug!(address = %peer.address, listener = %peer.listener, %error, "connection ended");
        }
        _ => info!(address = %peer.address, listener = %peer.listener, %error, "connection closed"),
    }
}
