//! Watches a roll: how many brokers were away at once, and what the status said meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::api::{CLUSTER, Kubernetes, POD, is_true};
use crate::kafka::{Cluster, uid};

const PAUSE: Duration = Duration::from_millis(50);

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// The most pods that were missing or not ready at once.
    pub away_at_once: usize,
    /// Uids of pods.
    pub pods: BTreeSet<String>,
    /// Node, state and reasons of brokers in `status.operations.roll`.
    pub roll: BTreeSet<String>,
    /// Blockers that were named there.
    pub blockers: BTreeSet<String>,
}

/// A thread that looks until it is stopped.
pub struct RollWatch {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<Seen>>,
}

impl RollWatch {
    /// Starts looking at a cluster that is at rest.
    pub fn start(cluster: Cluster<'_>) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let kubernetes = cluster.namespace.kubernetes().clone();
        let (namespace, name) = (cluster.namespace.name().to_owned(), cluster.name.to_owned());
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            while !stop.load(Ordering::Relaxed) {
                // The API server may be busy; a look that fails is a look less.
                drop(look(&kubernetes, &namespace, &name, &mut seen));
                std::thread::sleep(PAUSE);
            }
            seen
        });
        Self { stopping, thread: Some(thread) }
    }

    /// Stops and says what was seen.
    ///
    /// # Errors
    /// Nothing was.
    pub fn finish(mut self) -> Result<Seen> {
        let seen = self.stop().context("the watch panicked")?;
        ensure!(!seen.pods.is_empty(), "no look at the pods succeeded");
        Ok(seen)
    }

    fn stop(&mut self) -> Option<Seen> {
        self.stopping.store(true, Ordering::Relaxed);
        self.thread.take()?.join().ok()
    }
}

/// A scenario that fails half way leaves no thread behind, which would keep its way to the API server.
impl Drop for RollWatch {
    fn drop(&mut self) {
        drop(self.stop());
    }
}

fn look(kubernetes: &Kubernetes, namespace: &str, name: &str, seen: &mut Seen) -> Result<()> {
    let selector = format!("app.kubernetes.io/component=kafka,klamm.dev/cluster={name}");
    let pods = kubernetes.list(namespace, POD, &selector)?;
    let cluster = kubernetes.get(namespace, CLUSTER, name)?;
    let nodes = usize::try_from(cluster["spec"]["kafka"]["replicas"].as_u64().unwrap_or_default())?;
    let is_here =
        |pod: &&serde_json::Value| is_true(pod, "Ready") && pod["metadata"]["deletionTimestamp"].is_null();
    let here = pods.iter().filter(is_here).count();
    seen.away_at_once = seen.away_at_once.max(nodes.saturating_sub(here));
    seen.pods.extend(pods.iter().map(uid));
    for broker in cluster["status"]["operations"]["roll"]["brokers"].as_array().into_iter().flatten() {
        seen.roll.insert(format!("{}: {} {}", broker["id"], broker["state"], broker["reasons"]));
        seen.blockers.extend(broker["blockers"].as_array().into_iter().flatten().map(ToString::to_string));
    }
    Ok(())
}
