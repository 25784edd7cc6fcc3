//! Start-up and shutdown, in order.
//!
//! Two runtimes: `data` serves clients and followers on as many threads as there are cores (four at most); `control` has
//! one thread of its own for the quorum, heartbeats and health, so that neither a flood of requests nor a stalled disk
//! makes a healthy node look dead.

mod bound;
mod log_dir;
mod serving;
mod settings;
mod signals;
mod source;

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use arc_swap::ArcSwap;
use klamm_log::{Disk, LogDir, RealDisk};
use klamm_metadata::Image;
use klamm_quorum::Quorum;
use klamm_wire::Str;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::alter_partition;
use crate::api::BrokerService;
use crate::config::Config;
use crate::config::listeners::Endpoint;
use crate::controller::channel::{Channel, Directory};
use crate::controller::forward::Forwarder;
use crate::group::Groups;
use crate::lifecycle::{self, Standing};
use crate::metadata::publisher;
use crate::net::connection::Service;
use crate::node::{Node, Parts};
use crate::partition::{AlterPartitionItem, DamageReport, Registry, RegistryParts};
use crate::producer_ids::ProducerIds;
use crate::replica_damage;
use crate::topic_creator::TopicCreator;
use bound::Bound;
use serving::Serving;
use signals::Signals;
use source::MetadataSource;

/// Longest controlled shutdown before the process stops all the same.
const CONTROLLED_SHUTDOWN: Duration = Duration::from_secs(20);
/// Longest wait for open connections to finish their requests.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs the process until it is told to stop.
///
/// # Errors
/// What kept it from starting, in words that name the thing.
pub fn run(config: Config) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let data =
        Builder::new_multi_thread().worker_threads(cores.min(4)).thread_name("data").enable_all().build()?;
    let control =
        Builder::new_multi_thread().worker_threads(1).thread_name("control").enable_all().build()?;
    let result = control
        .block_on(Process::start(config, &data, &control))
        .and_then(|process| control.block_on(process.until_stopped()));
    // Tasks that are still there hold nothing that needs a flush.
    data.shutdown_timeout(Duration::from_millis(200));
    control.shutdown_timeout(Duration::from_millis(200));
    result
}

/// A started process.
struct Process {
    node: Arc<Node>,
    quorum: Option<Quorum>,
    serving: Serving,
    stopping: CancellationToken,
    give_up: CancellationToken,
    lifecycle: Option<tokio::task::JoinHandle<()>>,
}

/// The ends of channels that the tasks of a broker hold.
struct BrokerEnds {
    directory: Directory,
    standing: watch::Sender<Standing>,
    alter_inbox: mpsc::UnboundedReceiver<AlterPartitionItem>,
    damage_inbox: mpsc::UnboundedReceiver<DamageReport>,
}

impl Process {
    async fn start(config: Config, data: &Runtime, control: &Runtime) -> Result<Self> {
        let mut signals = Signals::new()?;
        let serving = Serving::new(&config, data);
        let http_address = serving.start_http(&config, control)?;
        let bound = tokio::select! {
            bound = Bound::bind(&config, &serving.health) => bound?,
            () = signals.next() => bail!("told to stop before the listeners were bound"),
        };
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let dir = log_dir::open(&config, &disk)?;
        serving.health.accepted();
        info!(node = config.node_id, cluster = %dir.cluster_id(), directory = %config.log_dir.display(), "starting");

        let source = MetadataSource::start(&config, &dir, &disk, &bound, &serving, control).await?;
        let (quorum, images) = (source.quorum.clone(), source.images.clone());
        let (node, ends) = build_node(config, (disk, dir), &bound, source, &serving, data)?;
        serving.health.opened(Arc::clone(&node));
        log_dir::write_status(&node, &bound.brokers, http_address)?;
        let publisher = publisher::run(Arc::clone(&node), images, serving.stop.clone());
        serving.spawn_vital("metadata publisher", publisher, data);

        let (stopping, give_up) = (CancellationToken::new(), CancellationToken::new());
        let mut process = Self { node, quorum, serving, stopping, give_up, lifecycle: None };
        if process.node.config.is_broker {
            process.start_broker(bound.brokers, ends, data, control)?;
        }
        info!("Kafka Server started");
        // Not one of the tasks that are waited for: it ends with the process.
        drop(control.spawn(signals.wait(process.stopping.clone())));
        Ok(process)
    }

    fn start_broker(
        &mut self,
        listeners: Vec<(Endpoint, StdListener)>,
        ends: BrokerEnds,
        data: &Runtime,
        control: &Runtime,
    ) -> Result<()> {
        let (node, serving) = (&self.node, &self.serving);
        let directory = ends.directory.clone();
        let channel = move || Channel::new(directory.clone());
        let alter = alter_partition::run(Arc::clone(node), channel(), ends.alter_inbox, serving.stop.clone());
        serving.spawn_vital("sender of ISR changes", alter, control);
        let damage =
            replica_damage::run(Arc::clone(node), channel(), ends.damage_inbox, serving.stop.clone());
        serving.spawn_vital("reporter of damaged copies", damage, control);
        let service: Arc<dyn Service> = Arc::new(BrokerService::new(Arc::clone(node)));
        for (endpoint, socket) in listeners {
            let _context = data.enter();
            let socket = tokio::net::TcpListener::from_std(socket)?;
            info!(listener = %endpoint, "listening");
            serving
                .tasks
                .spawn_on(serving.accept(socket, endpoint.name, Arc::clone(&service)), data.handle());
        }
        let life = lifecycle::run(
            Arc::clone(node),
            channel,
            ends.standing,
            self.stopping.clone(),
            self.give_up.clone(),
        );
        self.lifecycle = Some(control.spawn(serving.health.vital("heartbeat", &self.stopping).run(life)));
        Ok(())
    }

    /// Waits for a signal, then stops in order: leaderships, connections, logs, quorum.
    async fn until_stopped(mut self) -> Result<()> {
        let failed = self.stopped_or_failed().await;
        info!("stopping");
        if let Some(lifecycle) = self.lifecycle.take()
            && tokio::time::timeout(CONTROLLED_SHUTDOWN, lifecycle).await.is_err()
        {
            warn!("no controller let this broker go in time; its partitions will be recovered by others");
            self.give_up.cancel();
        }
        if let Some(quorum) = &self.quorum
            && quorum.status().borrow().is_active
            && let Err(error) = quorum.transfer_leadership().await
        {
            info!(%error, "the controller role was not handed over");
        }
        self.serving.stop.cancel();
        self.serving.tasks.close();
        if tokio::time::timeout(DRAIN, self.serving.tasks.wait()).await.is_err() {
            warn!("connections with open requests are cut");
        }
        let epoch = self.node.standing.borrow().broker_epoch;
        let registry = Arc::clone(&self.node.registry);
        tokio::task::spawn_blocking(move || registry.shutdown(epoch)).await?;
        if let Some(quorum) = self.quorum {
            quorum.shutdown().await;
        }
        info!("stopped");
        failed.map_or(Ok(()), |reason| bail!(reason))
    }

    /// Waits for a signal, or for a reason to stop without one.
    async fn stopped_or_failed(&self) -> Option<String> {
        let mut failure = self.node.registry.failure();
        let mut disowned = self.node.kept.disowned();
        let failed = tokio::select! {
            () = self.stopping.cancelled() => None,
            // The senders live as long as the node.
            Ok(reason) = failure.wait_for(Option::is_some) => {
                let reason = reason.as_deref().unwrap_or_default();
                error!(%reason, "the log directory has failed; leaving it to other replicas");
                Some(format!("the log directory has failed: {reason}"))
            }
            Ok(reason) = disowned.wait_for(Option::is_some) => {
                let reason = reason.as_deref().unwrap_or_default();
                error!(%reason, "the metadata here is not that of this quorum; stopping, to begin anew without it. What lies here of topics that the quorum does not know is kept, in directories that end in -stray: look at them before more is written, and if the quorum should not have begun anew, stop it and bring the controllers' disks back");
                Some(format!("the metadata here is not that of this quorum: {reason}"))
            }
        };
        if failed.is_some() {
            self.stopping.cancel();
        }
        failed
    }
}

fn build_node(
    config: Config,
    (disk, dir): (Arc<dyn Disk>, LogDir),
    bound: &Bound,
    source: MetadataSource,
    serving: &Serving,
    data: &Runtime,
) -> Result<(Arc<Node>, BrokerEnds)> {
    let (standing_sender, standing) = watch::channel(Standing::unknown());
    let (alter_sender, alter_inbox) = mpsc::unbounded_channel();
    let (damage_sender, damage_inbox) = mpsc::unbounded_channel();
    let directory = Directory {
        controllers: source.controllers.clone(),
        leader: source.leader.clone(),
        client_id: Str::from(format!("klamm-broker-{}", config.node_id)),
    };
    let image = Arc::new(ArcSwap::from_pointee(Image::empty()));
    let cluster_id = Str::copy_from(dir.cluster_id());
    let previous_broker_epoch = dir.previous_broker_epoch().unwrap_or(-1);
    let directory_id = dir.directory_id();
    let incarnation = Uuid::new_v4();
    let registry = Arc::new(Registry::open(RegistryParts {
        disk,
        dir,
        node_id: config.node_id,
        incarnation,
        properties: config.properties.clone(),
        standing: standing.clone(),
        inter_broker_listener: config.inter_broker_listener.clone(),
        alter_partition: alter_sender,
        damage: damage_sender,
        runtime: data.handle().clone(),
        stop: serving.stop.clone(),
    })?);
    // A disk that lost what was durable on it is like one that was not stopped cleanly.
    let previous_broker_epoch = if registry.lost_durable_records() { -1 } else { previous_broker_epoch };
    let channel = || Channel::new(directory.clone());
    let node = Node::new(Parts {
        advertised: bound.advertised(&config),
        cluster_id,
        directory_id,
        incarnation,
        previous_broker_epoch,
        leader: source.leader,
        quorum: source.quorum.map(|quorum| quorum.status()),
        kept: source.kept,
        registry,
        groups: Groups::new(settings::groups(&config)),
        forwarder: Forwarder::new(directory.clone()),
        producer_ids: ProducerIds::new(config.node_id, standing.clone(), channel()),
        topic_creator: TopicCreator::new(
            settings::offsets_topic(&config),
            Arc::clone(&image),
            source.images,
            channel(),
        ),
        standing,
        image,
        config,
    });
    Ok((Arc::new(node), BrokerEnds { directory, standing: standing_sender, alter_inbox, damage_inbox }))
}
