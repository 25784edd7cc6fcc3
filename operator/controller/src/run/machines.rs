//! The machines of Kubernetes, whose addresses listeners of type nodeport advertise. They are watched only once somebody
//! needs them. Where the operator may not see them, the address that a pod's status names has to do.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::api::ListParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use super::api::{bounded, chain, global};
use super::cache::{self, Cache};
use super::key::Key;
use super::queue::Queue;
use super::watches::is_forbidden;

/// How often it is asked again whether machines may be seen by now.
const ASK_AGAIN: Duration = Duration::from_secs(600);

/// Waits until machines are needed, then watches them for as long as that is allowed.
pub async fn watch(client: Client, needed: Arc<Notify>, cache: Arc<Mutex<Cache>>, queue: Arc<Queue>) {
    let mut told = false;
    loop {
        needed.notified().await;
        let why = follow(&client, &cache, &queue).await;
        if !std::mem::replace(&mut told, true) {
            info!(
                "machines of Kubernetes may not be seen, so listeners of type nodeport advertise the addresses that pods \
                 name; the chart's value rbac.readNodes changes it ({why})"
            );
        }
        sleep(ASK_AGAIN).await;
    }
}

/// Watches machines until that is refused, and says how.
async fn follow(client: &Client, cache: &Mutex<Cache>, queue: &Queue) -> String {
    let machines = global::<Node>(client);
    // The library that watches warns of every refusal; a plain question is answered quietly.
    let one = ListParams::default().limit(1);
    if let Err(error) = bounded("list Nodes", machines.list(&one)).await
        && matches!(error.code(), Some(401 | 403 | 404))
    {
        return error.to_string();
    }
    let stream = watcher(machines, Config::default()).modify(strip).default_backoff();
    let mut stream = std::pin::pin!(stream);
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                let complete = matches!(event, Event::InitDone);
                cache.lock().machines.handle(&None, event);
                if complete {
                    wake_all(cache, queue);
                }
            }
            Err(error) if is_forbidden(&error) => return chain(&error),
            Err(error) => debug!("watch of machines is interrupted: {}", chain(&error)),
        }
    }
    "the watch has ended".into()
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
