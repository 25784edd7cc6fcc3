//! Dialling by name: resolved at every dial, because a restarted peer may come back at another address.
//!
//! A resolver that has gone silent, as it may when the machine that it ran on vanished, must not keep nodes apart that
//! know each other: after a moment the address that the name had last is tried. There is one lookup a name at a time,
//! however many dials wait for it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// How long a peer's machine may leave what was sent to it unconfirmed: a connection to one that vanished ends then.
const UNCONFIRMED: Duration = Duration::from_secs(2);
/// How long a lookup may take before the name's last addresses are tried.
const LOOKUP_PATIENCE: Duration = Duration::from_millis(100);

static NAMES: LazyLock<Names> = LazyLock::new(|| Names::new(system_lookup));

/// Connects to a peer within `timeout`, wherever its name points now or, when nobody can say, pointed last.
///
/// # Errors
/// The name has no address, nobody answers there, or the time is over.
pub async fn dial(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + timeout;
    let addresses = within(deadline, NAMES.resolve(host)).await?;
    connect(&addresses, port, deadline).await
}

/// As [`dial`], but never to an address of the past: where nobody listens there proves nothing about the peer.
///
/// # Errors
/// As [`dial`].
pub async fn dial_now(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + timeout;
    let addresses = within(deadline, NAMES.look_up(host)).await?;
    connect(&addresses, port, deadline).await
}

/// Tries one address after another; each gets an equal share of the time that is left.
async fn connect(addresses: &[IpAddr], port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (index, address) in addresses.iter().enumerate() {
        let untried = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(Instant::now()) / untried;
        match within(Instant::now() + share, TcpStream::connect(SocketAddr::new(*address, port))).await {
            Ok(stream) => {
                socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(UNCONFIRMED))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn within<T>(deadline: Instant, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout_at(deadline, work).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

type Found = Result<Arc<[IpAddr]>, Arc<io::Error>>;
type Lookup = Shared<BoxFuture<'static, Found>>;

/// Lookups under way and what earlier ones found.
struct Names {
    look_up: fn(&str) -> io::Result<Vec<IpAddr>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    last: HashMap<String, Arc<[IpAddr]>>,
    under_way: HashMap<String, Lookup>,
}

impl Names {
    fn new(look_up: fn(&str) -> io::Result<Vec<IpAddr>>) -> Self {
        Self { look_up, state: Arc::default() }
    }

    /// What the name points to; what it pointed to last when that cannot be said soon.
    async fn resolve(&self, host: &str) -> io::Result<Arc<[IpAddr]>> {
        let mut lookup = Box::pin(self.look_up(host));
        let found = tokio::time::timeout(LOOKUP_PATIENCE, &mut lookup).await;
        let last = self.state.lock().last.get(host).cloned();
        match (found, last) {
            (Ok(Ok(now)), _) => Ok(now),
            (_, Some(last)) => Ok(last),
            (Ok(Err(error)), None) => Err(error),
            (Err(_), None) => lookup.await,
        }
    }

    async fn look_up(&self, host: &str) -> io::Result<Arc<[IpAddr]>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Arc::new([address]));
        }
        let found = self.join(host).await;
        found.map_err(|error| io::Error::new(error.kind(), format!("{host}: {error}")))
    }

    /// The lookup of this name that is under way, or a new one.
    fn join(&self, host: &str) -> Lookup {
        let mut state = self.state.lock();
        if let Some(lookup) = state.under_way.get(host) {
            return lookup.clone();
        }
        let lookup = self.start(host.to_owned()).boxed().shared();
        state.under_way.insert(host.to_owned(), lookup.clone());
        lookup
    }

    /// Looks up on a thread that may wait, to its end even when nobody waits for it any more.
    fn start(&self, host: String) -> impl Future<Output = Found> + use<> {
        let (look_up, state) = (self.look_up, Arc::clone(&self.state));
        let task = tokio::task::spawn_blocking(move || {
            let found: Found = match look_up(&host) {
                Ok(addresses) if addresses.is_empty() => Err(Arc::new(io::ErrorKind::NotFound.into())),
                Ok(addresses) => Ok(addresses.into()),
                Err(error) => Err(Arc::new(error)),
            };
            let mut state = state.lock();
            state.under_way.remove(&host);
            if let Ok(addresses) = &found {
                state.last.insert(host, Arc::clone(addresses));
            }
            found
        });
        async move { task.await.unwrap_or_else(|error| Err(Arc::new(io::Error::other(error)))) }
    }
}

fn system_lookup(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

    use super::*;

    async fn one(names: &Names, host: &str) -> Result<IpAddr, io::ErrorKind> {
        names.resolve(host).await.map(|found| found[0]).map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn a_name_is_resolved_anew_at_every_dial() {
        static POD: AtomicU8 = AtomicU8::new(2);
        let names = Names::new(|_| Ok(vec![IpAddr::from([127, 0, 0, POD.load(Ordering::Relaxed)])]));
        assert_eq!(one(&names, "kafka-0").await, Ok(IpAddr::from([127, 0, 0, 2])));
        POD.store(3, Ordering::Relaxed);
        assert_eq!(one(&names, "kafka-0").await, Ok(IpAddr::from([127, 0, 0, 3])));
    }

    #[tokio::test]
    async fn a_silent_resolver_leaves_the_last_address_and_is_asked_once() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        static SILENT: AtomicBool = AtomicBool::new(false);
        let names = Names::new(|_| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            while SILENT.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(vec![IpAddr::from([127, 0, 0, 2])])
        });
        assert_eq!(one(&names, "kafka-0").await, Ok(IpAddr::from([127, 0, 0, 2])));
        SILENT.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            assert_eq!(one(&names, "kafka-0").await, Ok(IpAddr::from([127, 0, 0, 2])));
        }
        assert_eq!(ASKED.load(Ordering::Relaxed), 2, "one lookup waits, whoever wants to know");
        let proof = tokio::time::timeout(LOOKUP_PATIENCE, names.look_up("kafka-0")).await;
        assert!(proof.is_err(), "the last address is no proof of anything");
        SILENT.store(false, Ordering::Relaxed);
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_an_error_that_names_it() {
        let names = Names::new(|_| Err(io::ErrorKind::NotFound.into()));
        let error = names.resolve("kafka-9.nowhere").await.unwrap_err();
        assert!(error.to_string().contains("kafka-9.nowhere"), "{error}");
        assert_eq!(one(&names, "127.0.0.9").await, Ok(IpAddr::from([127, 0, 0, 9])), "an address is no name");
    }

    #[tokio::test]
    async fn a_dial_ends_in_time() {
        // Once its queue is full, a listener that accepts nothing drops what comes, as a vanished machine would.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        let mut queued = Vec::new();
        let error = loop {
            let start = Instant::now();
            match dial("127.0.0.1", port, Duration::from_millis(200)).await {
                Ok(stream) => queued.push(stream),
                Err(error) => break (error.kind(), start.elapsed() < Duration::from_secs(1)),
            }
        };
        assert_eq!(error, (io::ErrorKind::TimedOut, true), "after {} connections", queued.len());
    }
}
