//! Where a process has its metadata from: the quorum that it is part of, or controllers elsewhere.

use std::sync::Arc;

use anyhow::{Context, Result};
use klamm_log::{Disk, LogDir};
use klamm_metadata::Image;
use klamm_metadata::controller::Settings;
use klamm_quorum::{Peer, Quorum, QuorumConfig};
use klamm_wire::Str;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::bound::Bound;
use super::serving::Serving;
use super::settings;
use crate::config::Config;
use crate::config::listeners::{Endpoint, Voter};
use crate::controller::handle::ControllerHandle;
use crate::controller::leader_watch;
use crate::controller::liveness::Liveness;
use crate::controller::runtime::ControllerTask;
use crate::controller::service::ControllerService;
use crate::controller::transport::ControllerTransport;
use crate::metadata::image_file::{ImageFile, Owner};
use crate::metadata::keeper::Keeper;
use crate::metadata::kept::Kept;
use crate::metadata::pull::{Puller, known_controllers};

/// The images as they come, and who decides about the next one.
pub(super) struct MetadataSource {
    pub images: watch::Receiver<Arc<Image>>,
    /// The active controller as far as this process knows.
    pub leader: watch::Receiver<Option<i32>>,
    /// Every controller that is known.
    pub controllers: watch::Receiver<Arc<[Voter]>>,
    /// How far the image is kept on disk, where there is no quorum that does.
    pub kept: Arc<Kept>,
    /// The quorum, where this process is a controller.
    pub quorum: Option<Quorum>,
}

impl MetadataSource {
    pub(super) async fn start(
        config: &Config,
        dir: &LogDir,
        disk: &Arc<dyn Disk>,
        bound: &Bound,
        serving: &Serving,
        control: &Runtime,
    ) -> Result<Self> {
        let (leader_sender, leader) = watch::channel(None);
        let (controllers_sender, controllers) = watch::channel(config.voters.clone().into());
        let kept = Arc::new(Kept::default());
        let Some((endpoint, socket)) = &bound.controller else {
            let known = (controllers_sender, leader_sender);
            let images = start_puller(config, (dir, disk), known, &kept, serving, control);
            return Ok(Self { images, leader, controllers, kept, quorum: None });
        };
        let socket = TcpListener::from_std(socket.try_clone()?)?;
        let known = (controllers_sender, leader_sender);
        let quorum = start_controller(config, dir, disk, (endpoint, socket), known, serving).await?;
        Ok(Self { images: quorum.image(), leader, controllers, kept, quorum: Some(quorum) })
    }
}

fn start_puller(
    config: &Config,
    (dir, disk): (&LogDir, &Arc<dyn Disk>),
    (controllers, leader): (watch::Sender<Arc<[Voter]>>, watch::Sender<Option<i32>>),
    kept: &Arc<Kept>,
    serving: &Serving,
    control: &Runtime,
) -> watch::Receiver<Arc<Image>> {
    let owner = Owner {
        cluster_id: dir.cluster_id().to_owned(),
        node_id: config.node_id,
        directory_id: dir.directory_id(),
    };
    let file = ImageFile::new(Arc::clone(disk), &config.log_dir, owner);
    let (sender, images) = watch::channel(Arc::new(kept_image(&file, kept)));
    let keeper = Keeper::new(file, Arc::clone(kept), images.clone());
    serving.tasks.spawn_on(keeper.run(serving.stop.clone()), control.handle());
    let cluster_id = Str::copy_from(dir.cluster_id());
    let voters = config.voters.clone();
    let puller =
        Puller::new(cluster_id, config.node_id, voters, controllers, sender, leader, Arc::clone(kept));
    serving.spawn_vital("metadata pull", puller.run(serving.stop.clone()), control);
    images
}

/// What the process before kept; the empty image if that is of no use.
fn kept_image(file: &ImageFile, kept: &Kept) -> Image {
    match file.load() {
        Ok(Some(image)) => {
            info!(offset = image.offset(), epoch = image.epoch(), "going on from the metadata image on disk");
            kept.is_at(image.offset());
            image
        }
        Ok(None) => Image::empty(),
        Err(error) => {
            warn!(%error, "the metadata image on disk is not used; all metadata is fetched anew");
            Image::empty()
        }
    }
}

async fn start_controller(
    config: &Config,
    dir: &LogDir,
    disk: &Arc<dyn Disk>,
    (endpoint, socket): (&Endpoint, TcpListener),
    (controllers, leader): (watch::Sender<Arc<[Voter]>>, watch::Sender<Option<i32>>),
    serving: &Serving,
) -> Result<Quorum> {
    let cluster_id = Str::copy_from(dir.cluster_id());
    let quorum_config = quorum_config(config, dir, endpoint)?;
    let transport = ControllerTransport::new(cluster_id.clone(), config.node_id);
    let quorum = Quorum::start(quorum_config, Arc::clone(disk), transport)
        .await
        .context("cannot start the controller")?;
    let (handle, inbox) = ControllerHandle::new();
    let liveness = Arc::new(Liveness::new(config.node_id, handle.clone(), quorum.image()));
    let (activated_sender, activated) = mpsc::unbounded_channel();
    let settings = Settings::new(cluster_id.to_string(), settings::controller(config));
    let (tasks, stop) = (&serving.tasks, &serving.stop);
    let decides = ControllerTask::new(config.node_id, quorum.clone(), inbox, settings, activated_sender)
        .run(stop.clone());
    tasks.spawn(serving.health.vital("controller", stop).run(decides));
    tasks.spawn(Arc::clone(&liveness).on_activation(activated, stop.clone()));
    tasks.spawn(follow_leader(quorum.clone(), config.voters.clone(), controllers, leader, stop.clone()));
    tasks.spawn(leader_watch::run(quorum.clone(), config.node_id, stop.clone()));
    let service = ControllerService::new(cluster_id, config.node_id, quorum.clone(), handle, liveness);
    tasks.spawn(serving.accept(socket, "CONTROLLER".to_owned(), Arc::new(service)));
    Ok(quorum)
}

fn quorum_config(config: &Config, dir: &LogDir, endpoint: &Endpoint) -> Result<QuorumConfig> {
    let peer = |voter: &Voter| Peer { id: voter.id, host: voter.host.clone(), port: voter.port };
    let (voters, contacts): (Vec<Peer>, Vec<Peer>) =
        config.voters.iter().map(peer).partition(|peer| peer.id >= 0);
    let mut quorum = QuorumConfig::new(
        config.node_id,
        dir.directory_id(),
        dir.cluster_id().to_owned(),
        config.log_dir.join("__cluster_metadata-0"),
        voters,
    );
    quorum.contacts = contacts;
    if quorum.endpoint.port == 0 {
        let Endpoint { host, port, .. } = config.controller_endpoint(endpoint);
        quorum.endpoint = Peer { id: config.node_id, host, port };
    }
    quorum.auto_join = config.parsed("controller.quorum.auto.join.enable", false)?;
    quorum.heartbeat_ms = config.parsed("klamm.quorum.heartbeat.ms", quorum.heartbeat_ms)?;
    let max_bytes = quorum.snapshot.max_bytes;
    quorum.snapshot.max_bytes =
        config.parsed("metadata.log.max.record.bytes.between.snapshots", max_bytes)?;
    let keep_entries = quorum.snapshot.keep_entries;
    quorum.snapshot.keep_entries = config.parsed("klamm.quorum.snapshot.keep.entries", keep_entries)?;
    Ok(quorum)
}

/// Keeps the controllers and the active one's id current for this node's own channels.
async fn follow_leader(
    quorum: Quorum,
    configured: Vec<Voter>,
    controllers: watch::Sender<Arc<[Voter]>>,
    leader: watch::Sender<Option<i32>>,
    stop: CancellationToken,
) {
    let mut status = quorum.status();
    loop {
        let (now, told) = {
            let status = status.borrow_and_update();
            (status.leader, status.voters.clone())
        };
        let told = told.into_iter().map(|v| Voter { id: v.id, host: v.address.host, port: v.address.port });
        let known = known_controllers(&configured, told);
        controllers.send_if_modified(|before| {
            let is_new = **before != *known;
            *before = known;
            is_new
        });
        leader.send_if_modified(|known| std::mem::replace(known, now) != now);
        tokio::select! {
            changed = status.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}
