//! Hints that a broker's process is gone: a broken heartbeat connection, or a new controller. A hint makes the
//! controller look; only a refused connection, which nothing but a missing process gives, counts as proof.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use klamm_metadata::controller::Command;
use klamm_metadata::{Broker, Image};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::handle::ControllerHandle;
use crate::net::dial::dial_now;

/// A dial that takes longer proves nothing.
const DIAL_TIMEOUT: Duration = Duration::from_millis(300);
/// Pauses before the dials. A dying process closes its sockets one after another, so the first dials may still find its
/// listener; a live one accepts them all.
const PAUSES_MS: [u64; 6] = [0, 5, 15, 40, 100, 300];
/// Dials in a row that must be refused.
const PROOF: u32 = 2;

/// Watches the connections on which brokers send heartbeats.
pub struct Liveness {
    node_id: i32,
    controller: ControllerHandle,
    image: watch::Receiver<Arc<Image>>,
    heartbeats: Mutex<HashMap<u64, (i32, i64)>>,
}

impl Liveness {
    /// Checks are reported to `controller`.
    pub fn new(node_id: i32, controller: ControllerHandle, image: watch::Receiver<Arc<Image>>) -> Self {
        Self { node_id, controller, image, heartbeats: Mutex::default() }
    }

    /// Broker `id` with `epoch` sends heartbeats on `connection`.
    pub fn heard(&self, connection: u64, id: i32, epoch: i64) {
        self.heartbeats.lock().insert(connection, (id, epoch));
    }

    /// A connection ended; if it carried heartbeats, its broker is looked at.
    pub fn connection_closed(self: &Arc<Self>, connection: u64) {
        let Some((id, epoch)) = self.heartbeats.lock().remove(&connection) else { return };
        let this = Arc::clone(self);
        tokio::spawn(async move { this.check(id, epoch).await });
    }

    /// Looks at every live broker whenever this node becomes the active controller.
    pub async fn on_activation(
        self: Arc<Self>,
        mut activated: mpsc::UnboundedReceiver<Arc<Image>>,
        stop: CancellationToken,
    ) {
        loop {
            let image = tokio::select! {
                image = activated.recv() => image,
                () = stop.cancelled() => return,
            };
            let Some(image) = image else { return };
            for broker in image.brokers().filter(|b| !b.fenced && b.id != self.node_id) {
                let (this, id, epoch) = (Arc::clone(&self), broker.id, broker.epoch);
                tokio::spawn(async move { this.check(id, epoch).await });
            }
        }
    }

    async fn check(&self, id: i32, epoch: i64) {
        let broker = self.image.borrow().broker(id).filter(|b| b.epoch == epoch && !b.fenced).cloned();
        let Some(broker) = broker else { return };
        let mut refused = 0;
        for pause in PAUSES_MS {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            refused = if refuses(&broker).await { refused + 1 } else { 0 };
            if refused == PROOF {
                break;
            }
        }
        if refused < PROOF {
            return;
        }
        warn!(broker = id, epoch, "the broker's process is gone: its address refuses connections");
        if let Err(error) = self.controller.submit(Command::BrokerGone { id, epoch }).await {
            info!(broker = id, %error, "another controller decides about the broker");
        }
    }
}

/// Whether nothing listens at any address of the broker.
async fn refuses(broker: &Broker) -> bool {
    for endpoint in &broker.listeners {
        match dial_now(&endpoint.host, endpoint.port, DIAL_TIMEOUT).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            _ => return false,
        }
    }
    true
}
