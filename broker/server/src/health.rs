//! Whether this process works: its start, its threads and loops, its disk. Never whether its peers do.
//!
//! - *started*: the data directory is this node's, so that whatever takes time from now on is recovery
//! - *live*: the network's threads run tasks, the log's threads are not stuck in one job, no loop that must go on has
//!   ended, and the log directory has not failed. The answer itself comes from the control thread, and so proves it
//! - *ready*: the node's own affair, see [`Node::not_ready_because`]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::node::Node;

/// How long the network's threads may take to run a task that does nothing.
const NETWORK_PATIENCE: Duration = Duration::from_secs(5);
/// How long one job of a log thread may take. A disk that flushes nothing for a minute is as good as gone.
const DISK_PATIENCE: Duration = Duration::from_secs(60);

/// What is known of this process.
pub struct Health {
    network: Handle,
    /// What the start waits for, until the data directory is accepted.
    waiting_for: Mutex<Option<String>>,
    node: OnceLock<Arc<Node>>,
    ended: Mutex<Vec<&'static str>>,
}

impl Health {
    /// A process that has just begun; `network` runs what serves clients.
    pub fn new(network: Handle) -> Arc<Self> {
        Arc::new(Self {
            network,
            waiting_for: Mutex::new(Some("the data directory".to_owned())),
            node: OnceLock::new(),
            ended: Mutex::default(),
        })
    }

    /// The start goes on when this is there.
    pub fn wait_for(&self, what: String) {
        *self.waiting_for.lock() = Some(what);
    }

    /// The data directory is this node's.
    pub fn accepted(&self) {
        *self.waiting_for.lock() = None;
    }

    /// Logs are open and the node is put together.
    pub fn opened(&self, node: Arc<Node>) {
        // Once a process.
        drop(self.node.set(node));
    }

    /// The node, once its logs are open.
    pub fn node(&self) -> Option<&Arc<Node>> {
        self.node.get()
    }

    /// Holds on to a loop that must go on until `stop`: dropped before, by a panic or a return, it ends this process's
    /// life.
    pub fn vital(self: &Arc<Self>, name: &'static str, stop: &CancellationToken) -> Vital {
        Vital { name, health: Arc::clone(self), stop: stop.clone() }
    }

    /// Why the process has not started, `None` when it has.
    pub fn not_started_because(&self) -> Option<String> {
        self.waiting_for.lock().as_ref().map(|what| format!("waiting for {what}"))
    }

    /// Why the node is not ready, `None` when it is.
    pub fn not_ready_because(&self) -> Option<String> {
        self.not_started_because().or_else(|| match self.node.get() {
            Some(node) => node.not_ready_because(),
            None => Some("the logs are being opened".to_owned()),
        })
    }

    /// Why this process should be started anew, `None` while it works.
    pub async fn not_live_because(&self) -> Option<String> {
        if let Some(name) = self.ended.lock().first() {
            return Some(format!("the {name} has ended"));
        }
        if let Some(node) = self.node.get() {
            if let Some(reason) = node.registry.failure().borrow().as_ref() {
                return Some(format!("the log directory has failed: {reason}"));
            }
            if let Some(reason) = node.registry.stuck(DISK_PATIENCE) {
                return Some(reason);
            }
        }
        let task = self.network.spawn(async {});
        match tokio::time::timeout(NETWORK_PATIENCE, task).await {
            Ok(_) => None,
            Err(_) => Some(format!("the network's threads have run nothing for {NETWORK_PATIENCE:?}")),
        }
    }
}

/// Part of a loop that must go on; see [`Health::vital`].
pub struct Vital {
    name: &'static str,
    health: Arc<Health>,
    stop: CancellationToken,
}

impl Vital {
    /// Runs the loop.
    pub async fn run(self, work: impl Future<Output = ()>) {
        work.await;
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            tracing::error!(name = self.name, "a loop that must go on has ended");
            self.health.ended.lock().push(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    #[test]
    fn a_start_says_what_it_waits_for() {
        let network = runtime();
        let health = Health::new(network.handle().clone());
        health.wait_for("the name kafka-0 to resolve".to_owned());
        let waits = Some("waiting for the name kafka-0 to resolve".to_owned());
        assert_eq!((health.not_started_because(), health.not_ready_because()), (waits.clone(), waits));
        health.accepted();
        assert_eq!(health.not_started_because(), None);
        assert_eq!(health.not_ready_because(), Some("the logs are being opened".to_owned()));
    }

    #[test]
    fn a_network_that_runs_nothing_is_not_live() {
        let (network, control) = (runtime(), runtime());
        let health = Health::new(network.handle().clone());
        assert_eq!(control.block_on(health.not_live_because()), None);
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        network.spawn(async move { assert!(blocked.recv().is_err(), "released by the end of its sender") });
        let reason = control.block_on(health.not_live_because()).unwrap();
        assert!(reason.contains("network"), "{reason}");
        drop(release);
        assert_eq!(control.block_on(health.not_live_because()), None);
    }

    #[test]
    fn a_loop_that_ends_or_panics_ends_the_life_unless_the_process_stops() {
        let control = runtime();
        let health = Health::new(control.handle().clone());
        let stop = CancellationToken::new();
        let panics = health.vital("publisher", &stop).run(async { panic!("for the test") });
        assert!(control.block_on(control.spawn(panics)).is_err());
        let reason = control.block_on(health.not_live_because());
        assert_eq!(reason, Some("the publisher has ended".to_owned()));

        let health = Health::new(control.handle().clone());
        stop.cancel();
        control.block_on(health.vital("publisher", &stop).run(async {}));
        assert_eq!(control.block_on(health.not_live_because()), None);
    }
}
