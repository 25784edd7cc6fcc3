//! Start-up and shutdown, in order.
//!
//! Two runtimes: `data` serves clients and followers on as many threads as there are cores (four at most); `control` has
//! one thread of its own for the quorum, heartbeats and health, so that neither a flood of requests nor a stalled disk
//! makes a healthy node look dead.

mod bound;
mod signals;

use std::net::TcpListener as StdListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use klamm_log::{Disk, LogDir, Owner, RealDisk};
use klamm_metadata::Image;
use klamm_metadata::config::BrokerProperties;
use klamm_metadata::controller::Settings;
use klamm_quorum::{Quorum, QuorumConfig};
use klamm_wire::Str;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::api::BrokerService;
use crate::config::Config;
use crate::config::listeners::Endpoint;
use crate::controller::channel::{Channel, Directory};
use crate::controller::forward::Forwarder;
use crate::controller::handle::ControllerHandle;
use crate::controller::leader_watch;
use crate::controller::liveness::Liveness;
use crate::controller::runtime::ControllerTask;
use crate::controller::service::ControllerService;
use crate::controller::transport::ControllerTransport;
use crate::group::Groups;
use crate::health::Health;
use crate::lifecycle::{self, Standing, State};
use crate::metadata::{publisher, pull::Puller};
use crate::net::connection::{Limits, Service};
use crate::net::listener;
use crate::node::{Node, Parts};
use crate::partition::Registry;
use crate::producer_ids::ProducerIds;
use crate::topic_creator::{OffsetsTopic, TopicCreator};
use crate::{alter_partition, http};
use bound::{Bound, bind_http};
use signals::Signals;

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
    health: Arc<Health>,
    quorum: Option<Quorum>,
    stopping: CancellationToken,
    give_up: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
    lifecycle: Option<tokio::task::JoinHandle<()>>,
}

impl Process {
    async fn start(config: Config, data: &Runtime, control: &Runtime) -> Result<Self> {
        let mut signals = Signals::new()?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let health = Health::new(data.handle().clone());
        let http = config.http.as_deref().map(bind_http).transpose()?;
        let http_address = http.as_ref().map(|socket| socket.local_addr()).transpose()?;
        if let Some(socket) = http {
            let socket = tokio::net::TcpListener::from_std(socket)?;
            tasks.spawn_on(http::serve(socket, Arc::clone(&health), stop.clone()), control.handle());
        }
        let bound = tokio::select! {
            bound = Bound::bind(&config, &health) => bound?,
            () = signals.next() => bail!("told to stop before the listeners were bound"),
        };
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let dir = open_log_dir(&config, &disk)?;
        health.accepted();
        let cluster_id = Str::copy_from(dir.cluster_id());
        info!(node = config.node_id, cluster = %cluster_id, directory = %config.log_dir.display(), "starting");

        let (image_sender, image_receiver) = watch::channel(Arc::new(Image::empty()));
        let (leader_sender, leader) = watch::channel(None);
        let (standing_sender, standing) =
            watch::channel(Standing { state: State::Starting, broker_epoch: -1 });
        let limits = Limits::new(
            config.max_request_bytes,
            config.queued_max_request_bytes,
            config.max_idle,
            config.socket_buffers,
        );
        let max_connections = Arc::new(Semaphore::new(config.max_connections));
        let directory = Directory {
            voters: config.voters.clone().into(),
            leader: leader.clone(),
            client_id: Str::from(format!("klamm-broker-{}", config.node_id)),
        };

        let mut images = image_receiver;
        let quorum = match &bound.controller {
            Some((_, socket)) => {
                let socket = tokio::net::TcpListener::from_std(socket.try_clone()?)?;
                let serving = Serving {
                    limits: &limits,
                    max_connections: &max_connections,
                    stop: &stop,
                    tasks: &tasks,
                    health: &health,
                };
                let quorum = start_controller(&config, &dir, &disk, socket, leader_sender, &serving).await?;
                images = quorum.image();
                Some(quorum)
            }
            None => {
                let voters = config.voters.clone();
                let puller =
                    Puller::new(cluster_id.clone(), config.node_id, voters, image_sender, leader_sender);
                let pull = health.vital("metadata pull", &stop).run(puller.run(stop.clone()));
                tasks.spawn_on(pull, control.handle());
                None
            }
        };

        let image = Arc::new(ArcSwap::from_pointee(Image::empty()));
        let previous_broker_epoch = dir.previous_broker_epoch().unwrap_or(-1);
        let directory_id = dir.directory_id();
        let (alter_sender, alter_inbox) = mpsc::unbounded_channel();
        let registry = Arc::new(Registry::open(crate::partition::RegistryParts {
            disk,
            dir,
            node_id: config.node_id,
            properties: config.properties.clone(),
            standing: standing.clone(),
            inter_broker_listener: config.inter_broker_listener.clone(),
            alter_partition: alter_sender,
            runtime: data.handle().clone(),
            stop: stop.clone(),
        })?);
        let node = Arc::new(Node::new(Parts {
            advertised: bound.advertised(&config),
            cluster_id,
            directory_id,
            previous_broker_epoch,
            standing: standing.clone(),
            leader,
            registry,
            groups: Groups::new(group_config(&config)),
            forwarder: Forwarder::new(directory.clone()),
            producer_ids: ProducerIds::new(config.node_id, standing.clone(), Channel::new(directory.clone())),
            topic_creator: TopicCreator::new(
                offsets_topic(&config),
                Arc::clone(&image),
                images.clone(),
                Channel::new(directory.clone()),
            ),
            image,
            config,
        }));

        health.opened(Arc::clone(&node));
        write_status(&node, &bound.brokers, http_address.map(|address| address.to_string()))?;
        let publisher = publisher::run(Arc::clone(&node), images, stop.clone());
        tasks.spawn_on(health.vital("metadata publisher", &stop).run(publisher), data.handle());

        let (stopping, give_up) = (CancellationToken::new(), CancellationToken::new());
        let mut process =
            Self { node: Arc::clone(&node), health, quorum, stopping, give_up, stop, tasks, lifecycle: None };
        if node.config.is_broker {
            process.start_broker(
                bound.brokers,
                directory,
                standing_sender,
                alter_inbox,
                limits,
                max_connections,
                data,
                control,
            )?;
        }
        info!("Kafka Server started");
        // Not one of the tasks that are waited for: it ends with the process.
        drop(control.spawn(signals.wait(process.stopping.clone())));
        Ok(process)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one start-up, used once")]
    fn start_broker(
        &mut self,
        listeners: Vec<(Endpoint, StdListener)>,
        directory: Directory,
        standing: watch::Sender<Standing>,
        alter_inbox: mpsc::UnboundedReceiver<crate::partition::AlterPartitionItem>,
        limits: Limits,
        max_connections: Arc<Semaphore>,
        data: &Runtime,
        control: &Runtime,
    ) -> Result<()> {
        let node = &self.node;
        let alter = alter_partition::run(
            Arc::clone(node),
            Channel::new(directory.clone()),
            alter_inbox,
            self.stop.clone(),
        );
        self.tasks
            .spawn_on(self.health.vital("sender of ISR changes", &self.stop).run(alter), control.handle());
        let service: Arc<dyn Service> = Arc::new(BrokerService::new(Arc::clone(node)));
        for (endpoint, socket) in listeners {
            let _context = data.enter();
            let socket = tokio::net::TcpListener::from_std(socket)?;
            info!(listener = %endpoint, "listening");
            let accept = listener::accept(
                socket,
                endpoint.name.into(),
                Arc::clone(&service),
                limits.clone(),
                Arc::clone(&max_connections),
                self.stop.clone(),
                self.tasks.clone(),
            );
            self.tasks.spawn_on(accept, data.handle());
        }
        let life = lifecycle::run(
            Arc::clone(node),
            Channel::new(directory),
            standing,
            self.stopping.clone(),
            self.give_up.clone(),
        );
        self.lifecycle = Some(control.spawn(self.health.vital("heartbeat", &self.stopping).run(life)));
        Ok(())
    }

    /// Waits for a signal, then stops in order: leaderships, connections, logs, quorum.
    async fn until_stopped(mut self) -> Result<()> {
        let mut failure = self.node.registry.failure();
        let failed = tokio::select! {
            () = self.stopping.cancelled() => None,
            // The sender lives as long as the registry.
            Ok(reason) = failure.wait_for(Option::is_some) => reason.clone(),
        };
        if let Some(reason) = &failed {
            error!(%reason, "the log directory has failed; leaving it to other replicas");
            self.stopping.cancel();
        }
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
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            warn!("connections with open requests are cut");
        }
        let epoch = self.node.standing.borrow().broker_epoch;
        let registry = Arc::clone(&self.node.registry);
        tokio::task::spawn_blocking(move || registry.shutdown(epoch)).await?;
        if let Some(quorum) = self.quorum {
            quorum.shutdown().await;
        }
        info!("stopped");
        failed.map_or(Ok(()), |reason| bail!("the log directory has failed: {reason}"))
    }
}

/// What accepting connections needs.
struct Serving<'a> {
    limits: &'a Limits,
    max_connections: &'a Arc<Semaphore>,
    stop: &'a CancellationToken,
    tasks: &'a TaskTracker,
    health: &'a Arc<Health>,
}

async fn start_controller(
    config: &Config,
    dir: &LogDir,
    disk: &Arc<dyn Disk>,
    socket: tokio::net::TcpListener,
    leader: watch::Sender<Option<i32>>,
    serving: &Serving<'_>,
) -> Result<Quorum> {
    let cluster_id = Str::copy_from(dir.cluster_id());
    let voters =
        config.voters.iter().map(|v| klamm_quorum::Peer { id: v.id, host: v.host.clone(), port: v.port });
    let mut quorum_config = QuorumConfig::new(
        config.node_id,
        dir.directory_id(),
        cluster_id.to_string(),
        config.log_dir.join("__cluster_metadata-0"),
        voters.collect(),
    );
    quorum_config.heartbeat_ms = config.parsed("klamm.quorum.heartbeat.ms", quorum_config.heartbeat_ms)?;
    let transport = ControllerTransport::new(cluster_id.clone(), config.node_id);
    let quorum = Quorum::start(quorum_config, Arc::clone(disk), transport)
        .await
        .context("cannot start the controller")?;
    let (handle, inbox) = ControllerHandle::new();
    let liveness = Arc::new(Liveness::new(config.node_id, handle.clone(), quorum.image()));
    let (activated_sender, activated) = mpsc::unbounded_channel();
    let settings = Settings::new(cluster_id.to_string(), controller_properties(config));
    let (tasks, stop) = (serving.tasks, serving.stop);
    let decides = ControllerTask::new(config.node_id, quorum.clone(), inbox, settings, activated_sender)
        .run(stop.clone());
    tasks.spawn(serving.health.vital("controller", stop).run(decides));
    tasks.spawn(Arc::clone(&liveness).on_activation(activated, stop.clone()));
    tasks.spawn(follow_leader(quorum.clone(), leader, stop.clone()));
    tasks.spawn(leader_watch::run(quorum.clone(), config.node_id, config.voters.clone(), stop.clone()));
    let service = ControllerService::new(
        cluster_id,
        config.node_id,
        config.voters.clone(),
        quorum.clone(),
        handle,
        liveness,
    );
    tasks.spawn(listener::accept(
        socket,
        "CONTROLLER".into(),
        Arc::new(service),
        serving.limits.clone(),
        Arc::clone(serving.max_connections),
        stop.clone(),
        tasks.clone(),
    ));
    Ok(quorum)
}

/// The properties with this process's own defaults where they differ from Kafka's.
fn controller_properties(config: &Config) -> std::collections::BTreeMap<String, String> {
    let mut properties = config.properties.clone();
    let millis = |d: Duration| d.as_millis().to_string();
    properties.insert("broker.session.timeout.ms".to_owned(), millis(config.session_timeout));
    properties.insert("broker.heartbeat.interval.ms".to_owned(), millis(config.heartbeat_interval));
    properties
}

/// Keeps the active controller's id current for this node's own channels.
async fn follow_leader(quorum: Quorum, leader: watch::Sender<Option<i32>>, stop: CancellationToken) {
    let mut status = quorum.status();
    loop {
        let now = status.borrow_and_update().leader;
        leader.send_if_modified(|known| std::mem::replace(known, now) != now);
        tokio::select! {
            changed = status.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

/// Opens or creates the log directory. A fresh one needs a cluster id: a single controller makes one up.
fn open_log_dir(config: &Config, disk: &Arc<dyn Disk>) -> Result<LogDir> {
    let fresh = !config.log_dir.join("meta.properties").exists();
    let made_up = || uuid_text(Uuid::new_v4());
    let cluster_id = match &config.cluster_id {
        Some(id) => Some(id.clone()),
        None if !fresh => None,
        None if config.voters.len() == 1 && config.is_controller => Some(made_up()),
        None => bail!(
            "missing configuration cluster.id: {} is a new disk; give every node of the cluster the same cluster.id \
             (CLUSTER_ID in the environment), for example {}",
            config.log_dir.display(),
            made_up()
        ),
    };
    let owner = Owner {
        cluster_id: cluster_id.as_deref(),
        node_id: config.node_id,
        new_directory_id: Uuid::new_v4(),
    };
    Ok(LogDir::open(Arc::clone(disk), &config.log_dir, owner)?)
}

/// Kafka's text form of an id.
fn uuid_text(id: Uuid) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id.as_bytes())
}

fn broker_properties<'a>(
    config: &'a Config,
    none: &'a std::collections::BTreeMap<String, String>,
) -> BrokerProperties<'a> {
    BrokerProperties { fixed: &config.properties, dynamic: none, dynamic_default: none }
}

fn group_config(config: &Config) -> klamm_coordinator::GroupConfig {
    let none = Default::default();
    let p = broker_properties(config, &none);
    let defaults = klamm_coordinator::GroupConfig::default();
    klamm_coordinator::GroupConfig {
        min_session_timeout_ms: p
            .parsed("group.min.session.timeout.ms")
            .unwrap_or(defaults.min_session_timeout_ms),
        max_session_timeout_ms: p
            .parsed("group.max.session.timeout.ms")
            .unwrap_or(defaults.max_session_timeout_ms),
        initial_rebalance_delay_ms: p
            .parsed("group.initial.rebalance.delay.ms")
            .unwrap_or(defaults.initial_rebalance_delay_ms),
        max_size: p.parsed("group.max.size").unwrap_or(defaults.max_size),
        offset_metadata_max_bytes: p
            .parsed("offset.metadata.max.bytes")
            .unwrap_or(defaults.offset_metadata_max_bytes),
        offsets_retention_ms: p
            .parsed::<i64>("offsets.retention.minutes")
            .map_or(defaults.offsets_retention_ms, |m| m.saturating_mul(60_000)),
        offsets_retention_check_interval_ms: p
            .parsed("offsets.retention.check.interval.ms")
            .unwrap_or(defaults.offsets_retention_check_interval_ms),
        ..defaults
    }
}

fn offsets_topic(config: &Config) -> OffsetsTopic {
    let none = Default::default();
    let p = broker_properties(config, &none);
    OffsetsTopic {
        partitions: p.parsed("offsets.topic.num.partitions").unwrap_or(50),
        replication_factor: p.parsed("offsets.topic.replication.factor").unwrap_or(3),
        segment_bytes: p.parsed("offsets.topic.segment.bytes").unwrap_or(100 << 20),
    }
}

/// Says in `<log.dir>/klamm-broker.json` where this process listens.
fn write_status(node: &Node, bound: &[(Endpoint, StdListener)], http: Option<String>) -> Result<()> {
    let kafka: serde_json::Map<_, _> = node
        .advertised
        .iter()
        .zip(bound)
        .map(|(advertised, _)| {
            (advertised.name.clone(), json!(format!("{}:{}", advertised.host, advertised.port)))
        })
        .collect();
    let status =
        json!({ "pid": std::process::id(), "node_id": node.config.node_id, "kafka": kafka, "http": http });
    replace_file(&node.config.log_dir, "klamm-broker.json", &format!("{status}\n"))
}

fn replace_file(dir: &Path, name: &str, text: &str) -> Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    std::fs::write(&temporary, text)?;
    Ok(std::fs::rename(temporary, dir.join(name))?)
}
