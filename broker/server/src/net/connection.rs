//! One connection: requests are started in order, answered in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::SocketBuffers;
use super::frame::FrameReader;
use super::response::Response;

/// Requests of one connection that may wait for their acknowledgement at once.
const MAX_PIPELINED: usize = 16;
/// Unit in which request memory is accounted.
const BUDGET_UNIT: usize = 1024;

/// What became of a request that was started.
pub enum Handled {
    /// The answer is there already.
    Ready(Response),
    /// The answer comes later; following requests may start meanwhile (Produce).
    Pipelined(BoxFuture<'static, Outcome>),
    /// The answer comes later; following requests wait for it.
    Blocking(BoxFuture<'static, Outcome>),
    /// There is no answer (Produce with acks=0).
    Nothing,
    /// The request cannot be answered; the reason is logged and the connection closed.
    Close(String),
}

/// What a request that took time ended with.
pub enum Outcome {
    /// Send this.
    Respond(Response),
    /// There is no answer.
    Nothing,
    /// Close the connection, for this reason.
    Close(String),
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Remote address.
    pub address: SocketAddr,
    /// Listener the connection came in on.
    pub listener: Arc<str>,
    /// Number of the connection within this process.
    pub connection: u64,
}

/// Turns frames into answers.
pub trait Service: Send + Sync + 'static {
    /// Starts a request. Must not block.
    fn handle(&self, frame: BytesMut, peer: &Peer) -> Handled;
    /// The connection is gone; parked requests of it can be dropped.
    fn closed(&self, peer: &Peer);
}

/// Bounds shared by all connections of a process.
#[derive(Clone)]
pub struct Limits {
    /// Largest request frame in bytes.
    pub max_frame: usize,
    /// Memory for requests in flight, in KiB permits.
    pub budget: Arc<Semaphore>,
    /// Total KiB of `budget`.
    pub budget_total: u32,
    /// A connection without requests for this long is closed.
    pub max_idle: Duration,
    /// Memory of the kernel for what waits to be sent and to be read.
    pub buffers: SocketBuffers,
}

impl Limits {
    /// Limits with `budget` bytes of request memory.
    pub fn new(max_frame: usize, budget: usize, max_idle: Duration, buffers: SocketBuffers) -> Self {
        let total = u32::try_from(budget / BUDGET_UNIT).unwrap_or(u32::MAX >> 4).max(1);
        let budget = Arc::new(Semaphore::new(total as usize));
        Self { max_frame, budget, budget_total: total, max_idle, buffers }
    }

    /// Waits for memory for a request of `bytes`; a request larger than everything waits for everything.
    async fn reserve(&self, bytes: usize) -> io::Result<OwnedSemaphorePermit> {
        let units =
            u32::try_from(bytes.div_ceil(BUDGET_UNIT)).unwrap_or(u32::MAX).clamp(1, self.budget_total);
        if let Ok(permit) = Arc::clone(&self.budget).try_acquire_many_owned(units) {
            return Ok(permit);
        }
        Arc::clone(&self.budget).acquire_many_owned(units).await.map_err(io::Error::other)
    }
}

type InFlight = FuturesOrdered<BoxFuture<'static, Outcome>>;

/// Serves one connection until the peer closes it, an error ends it or `stop` is cancelled.
///
/// # Errors
/// Why the connection ended, unless the peer closed it between requests.
pub async fn serve(
    stream: TcpStream,
    peer: Peer,
    service: Arc<dyn Service>,
    limits: Limits,
    stop: CancellationToken,
) -> io::Result<()> {
    let result = run(&stream, &peer, service.as_ref(), &limits, &stop).await;
    service.closed(&peer);
    result
}

async fn run(
    stream: &TcpStream,
    peer: &Peer,
    service: &dyn Service,
    limits: &Limits,
    stop: &CancellationToken,
) -> io::Result<()> {
    let mut reader = FrameReader::new(limits.max_frame);
    let mut in_flight = InFlight::new();
    let mut blocked = false;
    let mut last_request = Instant::now();
    let idle = tokio::time::sleep(limits.max_idle);
    tokio::pin!(idle);
    loop {
        tokio::select! {
            Some(outcome) = in_flight.next(), if !in_flight.is_empty() => {
                respond(stream, outcome).await?;
                blocked &= !in_flight.is_empty();
            }
            frame = reader.next(stream), if !blocked && in_flight.len() < MAX_PIPELINED => {
                let Some(frame) = frame? else { return Ok(()) };
                last_request = Instant::now();
                let permit = limits.reserve(frame.len()).await?;
                blocked = start(stream, service.handle(frame, peer), permit, &mut in_flight).await?;
            }
            () = &mut idle, if in_flight.is_empty() => {
                if last_request.elapsed() >= limits.max_idle {
                    return Ok(());
                }
                idle.as_mut().reset(last_request + limits.max_idle);
            }
            () = stop.cancelled(), if in_flight.is_empty() => return Ok(()),
        }
    }
}

/// Sends or queues the answer of a started request; true when following requests must wait.
async fn start(
    stream: &TcpStream,
    handled: Handled,
    permit: OwnedSemaphorePermit,
    in_flight: &mut InFlight,
) -> io::Result<bool> {
    match handled {
        Handled::Ready(response) if in_flight.is_empty() => response.write(stream).await.map(|()| false),
        Handled::Ready(response) => {
            in_flight.push_back(Box::pin(std::future::ready(Outcome::Respond(response))));
            Ok(false)
        }
        Handled::Pipelined(answer) => {
            in_flight.push_back(hold(answer, permit));
            Ok(false)
        }
        Handled::Blocking(answer) => {
            in_flight.push_back(hold(answer, permit));
            Ok(true)
        }
        Handled::Nothing => Ok(false),
        Handled::Close(reason) => Err(io::Error::other(reason)),
    }
}

/// Keeps the request's memory accounted for until it is answered.
fn hold(answer: BoxFuture<'static, Outcome>, permit: OwnedSemaphorePermit) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let outcome = answer.await;
        drop(permit);
        outcome
    })
}

async fn respond(stream: &TcpStream, outcome: Outcome) -> io::Result<()> {
    match outcome {
        Outcome::Respond(response) => response.write(stream).await,
        Outcome::Nothing => Ok(()),
        Outcome::Close(reason) => Err(io::Error::other(reason)),
    }
}
