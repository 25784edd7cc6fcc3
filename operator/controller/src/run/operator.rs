//! The parts of a running operator, put together. Everything that differs between the program and a test comes in.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kube::Client;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::brokers::Connect;
use super::cache::Cache;
use super::context::{Context, Settings};
use super::events::Events;
use super::http::Health;
use super::key::Scope;
use super::queue::Queue;
use super::{machines, watches, workers};

/// How long looks that are under way may take to end.
const STOP_BOUND: Duration = Duration::from_secs(20);
/// How often the first lists are looked for.
const SYNC_LOOK: Duration = Duration::from_millis(100);

/// Keeps clusters as their resources say, until it is told to stop. Only one may run for a namespace: see `lease`.
pub struct Operator {
    /// The way to Kubernetes.
    pub client: Client,
    /// What is watched.
    pub scope: Scope,
    /// What is the same for all clusters.
    pub settings: Settings,
    /// Makes the way to the brokers of a cluster.
    pub connect: Arc<Connect>,
    /// What is served over HTTP.
    pub health: Health,
    /// The name of this instance, for events.
    pub instance: String,
}

impl Operator {
    /// Runs until `stop` is cancelled, and then finishes what is under way.
    pub async fn run(self, stop: CancellationToken) {
        let (cache, queue) = (Arc::new(Mutex::new(Cache::default())), Arc::new(Queue::default()));
        let (events, writer) = Events::new(self.client.clone(), self.instance.clone());
        let context = Context {
            client: self.client.clone(),
            cache: cache.clone(),
            metrics: self.health.metrics.clone(),
            events,
            connect: self.connect.clone(),
            machines_needed: Arc::new(Notify::new()),
            settings: Arc::new(self.settings.clone()),
        };
        let mut background = watches::start(&self.client, &self.scope, &cache, &queue);
        background.spawn(writer);
        let needed = context.machines_needed.clone();
        background.spawn(machines::watch(self.client.clone(), needed, cache.clone(), queue.clone()));
        let synced = tokio::select! {
            () = self.sync(&cache) => true,
            () = stop.cancelled() => false,
        };
        if synced {
            let mut working = workers::start(&context, &queue, &stop);
            stop.cancelled().await;
            let ended = timeout(STOP_BOUND, async { while working.join_next().await.is_some() {} }).await;
            if ended.is_err() {
                warn!("a look did not end within {} s and is given up", STOP_BOUND.as_secs());
            }
        }
    }

    async fn sync(&self, cache: &Mutex<Cache>) {
        self.health.ready.store(false, Ordering::Relaxed);
        for part in self.scope.parts() {
            let namespace = part.unwrap_or_default();
            while !cache.lock().is_synced(&namespace) {
                sleep(SYNC_LOOK).await;
            }
        }
        self.health.ready.store(true, Ordering::Relaxed);
        let clusters = cache.lock().clusters.all().count();
        info!(clusters, "every list is complete");
    }
}
