//! Fetching from leaders: one task and one connection per broker that this node follows.

mod inbox;
mod peer;
mod session;
mod task;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::replica::Partition;
use crate::lifecycle::Standing;
use inbox::Inbox;
pub(super) use peer::TcpPeers;
pub use peer::{Connector, PeerConnection, PeerError};
pub(super) use session::LogHead;
use task::Fetcher;

/// Topic id and partition index.
pub(super) type Key = (Uuid, i32);

/// What a replica tells the fetchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    /// It follows this broker, in a leader epoch that is new to it.
    Leader(i32),
    /// It follows nobody.
    Nobody,
    /// What it fetched from this broker is stored.
    Stored(i32),
}

/// What every fetcher needs.
#[derive(Clone)]
pub(super) struct FetcherParts {
    pub node_id: i32,
    pub connector: Arc<dyn Connector>,
    pub standing: watch::Receiver<Standing>,
    pub runtime: Handle,
    pub stop: CancellationToken,
}

/// The fetchers of this broker.
pub(super) struct Fetchers {
    parts: FetcherParts,
    settled: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    inboxes: HashMap<i32, Arc<Inbox>>,
    following: HashMap<Key, i32>,
}

impl Fetchers {
    pub(super) fn new(parts: FetcherParts) -> Self {
        Self { parts, settled: watch::Sender::new(false), state: Mutex::default() }
    }

    /// The assignments are of an image that is no older than this process: from now on they are fetched. In an older one a leader
    /// that was replaced may lead, and it would count what this process stores of it. What is there is served without.
    pub(super) fn settle(&self) {
        self.settled.send_replace(true);
    }

    pub(super) fn follow(&self, partition: &Arc<Partition>, follow: Follow) {
        let key = (partition.topic_id, partition.index);
        let mut state = self.state.lock();
        match follow {
            Follow::Stored(leader) => {
                if let Some(inbox) = state.inboxes.get(&leader) {
                    inbox.stored(key);
                }
            }
            Follow::Nobody => state.leave(key, None),
            Follow::Leader(leader) => {
                state.leave(key, Some(leader));
                state.following.insert(key, leader);
                let inbox = state.inboxes.entry(leader).or_insert_with(|| self.start(leader));
                inbox.assign(Arc::clone(partition));
            }
        }
    }

    /// A broker registered anew or moved: whoever waits to dial it does so now.
    pub(super) fn broker_changed(&self, broker: i32) {
        if let Some(inbox) = self.state.lock().inboxes.get(&broker) {
            inbox.broker_changed();
        }
    }

    fn start(&self, leader: i32) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox::default());
        let fetcher = Fetcher::new(leader, Arc::clone(&inbox), self.parts.clone());
        let mut settled = self.settled.subscribe();
        let stop = self.parts.stop.clone();
        self.parts.runtime.spawn(async move {
            // What was assigned before is taken from the inbox after that, with what became of it.
            let followed = async move {
                if settled.wait_for(|is_settled| *is_settled).await.is_ok() {
                    fetcher.run().await;
                }
            };
            tokio::select! {
                () = followed => {}
                () = stop.cancelled() => {}
            }
        });
        inbox
    }
}

impl State {
    /// Takes a partition from the fetcher that has it, unless that is `next`.
    fn leave(&mut self, key: Key, next: Option<i32>) {
        if let Some(previous) = self.following.remove(&key).filter(|previous| Some(*previous) != next)
            && let Some(inbox) = self.inboxes.get(&previous)
        {
            inbox.remove(key);
        }
    }
}
