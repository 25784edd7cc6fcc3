//! A broker that is no controller pulls committed metadata from one (our API key 1010).

use std::sync::Arc;
use std::time::Duration;

use klamm_metadata::{Image, decode_records};
use klamm_wire::messages::metadata_fetch_request::MetadataFetchRequest;
use klamm_wire::messages::metadata_fetch_response::MetadataFetchResponse;
use klamm_wire::{ErrorCode, Str};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::config::listeners::Voter;
use crate::metadata::kept::Kept;
use crate::net::client::Connection;

/// Time to connect to a controller.
const DIAL_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a controller may hold an answer when there is nothing new.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// How much later than that it may come.
const CALL_GRACE: Duration = Duration::from_millis(500);
/// Bytes of one answer.
const MAX_BYTES: i32 = 8 << 20;
/// Pause after a controller could not be reached.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The configured controllers, and those that the quorum tells of besides. For a node in both the configuration has the
/// address; an address without an id is known no longer once the quorum has told of a controller there.
pub fn known_controllers(configured: &[Voter], told: impl Iterator<Item = Voter>) -> Arc<[Voter]> {
    let mut known: Vec<Voter> = configured.to_vec();
    for controller in told.filter(|told| told.port != 0) {
        let is_here = |other: &Voter| other.id == controller.id;
        if !known.iter().any(is_here) {
            known.retain(|other| {
                other.id >= 0 || (&other.host, other.port) != (&controller.host, controller.port)
            });
            known.push(controller);
        }
    }
    known.into()
}

/// Follows the metadata log.
pub struct Puller {
    cluster_id: Str,
    node_id: i32,
    configured: Vec<Voter>,
    controllers: watch::Sender<Arc<[Voter]>>,
    image: watch::Sender<Arc<Image>>,
    leader: watch::Sender<Option<i32>>,
    kept: Arc<Kept>,
    /// Next entry wanted: one past the last that came, with or without records. Never the high watermark, which may be
    /// ahead of what the controller has applied and sends.
    next: i64,
}

impl Puller {
    /// A puller that begins with the `configured` controllers and publishes those that it hears of into `controllers`, into
    /// `image` what it pulls behind what is there, and the active controller's id into `leader`.
    pub fn new(
        cluster_id: Str,
        node_id: i32,
        configured: Vec<Voter>,
        controllers: watch::Sender<Arc<[Voter]>>,
        image: watch::Sender<Arc<Image>>,
        leader: watch::Sender<Option<i32>>,
        kept: Arc<Kept>,
    ) -> Self {
        let next = image.borrow().offset() + 1;
        Self { cluster_id, node_id, configured, controllers, image, leader, kept, next }
    }

    /// Pulls until `stop` is cancelled, from one controller after another.
    pub async fn run(mut self, stop: CancellationToken) {
        for turn in 0.. {
            let known = Arc::clone(&self.controllers.borrow());
            let Some(voter) = known.get(turn % known.len().max(1)) else { return };
            tokio::select! {
                () = stop.cancelled() => return,
                ended = self.follow(voter) => {
                    if let Err(error) = ended {
                        debug!(controller = voter.id, %error, "metadata pull ended; trying the next controller");
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    async fn follow(&mut self, voter: &Voter) -> Result<(), String> {
        let client_id = Str::from(format!("klamm-broker-{}", self.node_id));
        let mut connection = Connection::connect(&voter.host, voter.port, &client_id, DIAL_TIMEOUT)
            .await
            .map_err(|e| e.to_string())?;
        loop {
            let request = MetadataFetchRequest {
                cluster_id: self.cluster_id.clone(),
                node_id: self.node_id,
                offset: self.next,
                max_wait_ms: i32::try_from(MAX_WAIT.as_millis()).unwrap_or(i32::MAX),
                max_bytes: MAX_BYTES,
                last_epoch: self.image.borrow().epoch(),
                ..MetadataFetchRequest::default()
            };
            let response =
                connection.call(0, &request, MAX_WAIT + CALL_GRACE).await.map_err(|e| e.to_string())?;
            self.take(response)?;
        }
    }

    fn take(&mut self, response: MetadataFetchResponse) -> Result<(), String> {
        let error = ErrorCode::from_code(response.error_code);
        if error == ErrorCode::FencedLeaderEpoch {
            let image = Arc::clone(&self.image.borrow());
            let (offset, epoch) = (image.offset(), image.epoch());
            self.kept.disown(format!("a controller has another epoch than {epoch} at offset {offset}"));
        }
        if error != ErrorCode::None {
            warn!(%error, "metadata fetch refused");
            return Err(error.to_string());
        }
        let leader = (response.leader_id >= 0).then_some(response.leader_id);
        let told = response.controllers.iter().map(|c| Voter {
            id: c.node_id,
            host: c.host.to_string(),
            port: c.port,
        });
        let known = known_controllers(&self.configured, told);
        self.controllers.send_if_modified(|before| {
            let is_new = **before != *known;
            *before = known;
            is_new
        });
        self.leader.send_if_modified(|known| std::mem::replace(known, leader) != leader);
        let mut image = (**self.image.borrow()).clone();
        let before = image.offset();
        self.kept.pulled(response.batches.len(), usize::from(response.snapshot.is_some()));
        if let Some(snapshot) = response.snapshot {
            image = Image::from_snapshot(snapshot).map_err(|e| e.to_string())?;
            self.next = response.snapshot_offset + 1;
        }
        for batch in response.batches {
            let records = decode_records(batch.records).map_err(|e| e.to_string())?;
            image.apply(batch.offset, batch.epoch, &records);
            self.next = batch.offset + 1;
        }
        if image.offset() != before {
            self.image.send_replace(Arc::new(image));
        }
        Ok(())
    }
}
