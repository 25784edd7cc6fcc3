//! The machines of Kubernetes, whose addresses listeners of type nodeport advertise. They are watched only once somebody
//! needs them. Where the operator may not see them, the address that a pod's status names has to do.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, info};

use super::api::{chain, global};
use super::cache::{self, Cache};
use super::key::Key;
use super::queue::Queue;
use super::watches::is_forbidden;

/// Waits until machines are needed, then watches them.
pub async fn watch(client: Client, needed: Arc<Notify>, cache: Arc<Mutex<Cache>>, queue: Arc<Queue>) {
    needed.notified().await;
    let stream = watcher(global::<Node>(&client), Config::default()).modify(strip).default_backoff();
    let mut stream = std::pin::pin!(stream);
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                let complete = matches!(event, Event::InitDone);
                cache.lock().machines.handle(&None, event);
                if complete {
                    wake_all(&cache, &queue);
                }
            }
            Err(error) if is_forbidden(&error) => {
                return info!(
                    "machines cannot be seen, so only addresses of pods are known: {}",
                    chain(&error)
                );
            }
            Err(error) => debug!("watch of machines is interrupted: {}", chain(&error)),
        }
    }
}

/// Addresses and readiness are all that is looked at.
fn strip(machine: &mut Node) {
    cache::strip(machine);
    machine.metadata.annotations = None;
    machine.spec = None;
    if let Some(status) = &mut machine.status {
        (status.images, status.volumes_attached, status.volumes_in_use) = (None, None, None);
    }
}

fn wake_all(cache: &Mutex<Cache>, queue: &Queue) {
    let at = Instant::now();
    for cluster in cache.lock().clusters.all() {
        queue.add(Key::of(&**cluster), at);
    }
}
