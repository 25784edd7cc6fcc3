//! The network between controllers: messages are lost, late, doubled or overtaken, and ways are cut in one direction.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use klamm_quorum::{Peer, Transport, TransportError};
use tokio::sync::oneshot;

use crate::history::hash;
use crate::raft::book::kind;
use crate::raft::world::World;
use crate::random::Random;

/// What messages meet at the moment.
pub(super) struct Network {
    random: Random,
    /// From whom to whom nothing arrives.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// Of 1,000 messages so many are lost, and so many come twice.
    pub(super) lost: u64,
    pub(super) twice: u64,
    /// Milliseconds of a message's way, at most.
    pub(super) slow: i64,
}

/// Milliseconds of a message's way when nothing is slow.
const USUAL: i64 = 3;

impl Network {
    pub(super) fn new(random: Random) -> Self {
        Self { random, cut: BTreeSet::new(), lost: 0, twice: 0, slow: USUAL }
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
        (self.lost, self.twice, self.slow) = (0, 0, USUAL);
    }

    /// How long the way takes; nothing if the message never arrives.
    fn way(&mut self, from: usize, to: usize) -> Option<Duration> {
        let late = self.random.between(0, self.slow);
        let is_lost = self.random.chance(self.lost);
        (!is_lost && !self.cut.contains(&(from, to))).then(|| Duration::from_millis(late.unsigned_abs()))
    }

    fn comes_twice(&mut self) -> bool {
        self.random.chance(self.twice)
    }
}

/// The way out of one process.
pub(super) struct Wire {
    pub(super) world: Arc<World>,
    pub(super) from: usize,
    pub(super) process: u32,
}

impl Transport for Wire {
    async fn call(&self, peer: Peer, api: i16, payload: Bytes, _: Duration) -> Result<Bytes, TransportError> {
        let to = World::index_of(peer.id);
        let (answer, answered) = oneshot::channel();
        if self.world.speaks(self.from, self.process) {
            let message = Message {
                from: self.from,
                process: self.process,
                to,
                api,
                payload,
                world: self.world.clone(),
            };
            // What was sent arrives, whether or not somebody still waits for the answer.
            if self.world.network.lock().comes_twice() {
                let (unheard, _) = oneshot::channel();
                tokio::spawn(message.clone().carry(unheard));
            }
            tokio::spawn(message.carry(answer));
        }
        match answered.await {
            Ok(answer) => answer,
            // Nobody says that a message was lost: whoever waits has a deadline.
            Err(_) => std::future::pending().await,
        }
    }
}

#[derive(Clone)]
struct Message {
    from: usize,
    process: u32,
    to: usize,
    api: i16,
    payload: Bytes,
    world: Arc<World>,
}

type Answer = Result<Bytes, TransportError>;

impl Message {
    async fn carry(self, answer: oneshot::Sender<Answer>) {
        let Some(there) = self.way(self.from, self.to) else { return };
        tokio::time::sleep(there).await;
        let Some(outcome) = self.arrive().await else { return };
        let Some(back) = self.way(self.to, self.from) else { return };
        tokio::time::sleep(back).await;
        let size = outcome.as_ref().map_or(0, Bytes::len) as u64;
        self.note(u64::from(outcome.is_ok()) << 32 | size);
        // A process that has died waits for nothing.
        drop(answer.send(outcome));
    }

    fn way(&self, from: usize, to: usize) -> Option<Duration> {
        self.world.network.lock().way(from, to)
    }

    /// The answer of whoever runs there now; none if its process dies over it.
    async fn arrive(&self) -> Option<Answer> {
        self.note(hash(&self.payload));
        let Some((number, process, quorum)) = self.world.running(self.to) else {
            return Some(Err(TransportError::Unreachable("connection refused".to_owned())));
        };
        let answered = process.run(quorum.handle_rpc(self.api, self.payload.clone())).await;
        let outcome = answered.map_err(|error| TransportError::Failed(error.to_string()));
        self.world.speaks(self.to, number).then_some(outcome)
    }

    fn note(&self, what: u64) {
        let at = self.world.now();
        let mut book = self.world.book.lock();
        let way = (self.from as u64) << 24 | (self.to as u64) << 16 | self.api.unsigned_abs() as u64;
        book.trace.event(at, kind::MESSAGE, way);
        book.trace.mix(what);
        book.say(at, format_args!("{} ({}) -> {}: {} {what:x}", self.from, self.process, self.to, self.api));
    }
}
