//! All replicas on this broker, kept as the metadata has it.

mod apply;
mod checker;
mod cleaner;
mod janitor;
mod load;
mod removal;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use arc_swap::ArcSwap;
use klamm_log::{Disk, DiskSpace, LogDir, LogDirError, PartitionDir, Seal, TopicPartition};
use klamm_metadata::Image;
use klamm_metadata::config::{BrokerProperties, RACK_AWARE_REPLICA_SELECTOR, names};
use klamm_wire::Str;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::alter::AlterPartitionSender;
use super::checkpoints::{CheckpointFiles, Offsets};
use super::damage::{DamageSender, Suspects};
use super::engine::Engine;
use super::fetcher::{Connector, FetcherParts, Fetchers, TcpPeers};
use super::replica::Partition;
use super::settings::TopicSettings;
use super::shared::Shared;
use super::throttle::{Side, Throttle};
use crate::clock::steady_ms;
use crate::lifecycle::Standing;
use checker::Checker;
use cleaner::Cleaner;
use janitor::Janitor;

/// Memory for written records at the tails of all logs, in bytes.
const TAIL_MEMORY: usize = 24 << 20;
/// Smallest and largest share of one log.
const MIN_TAIL: usize = 16 << 10;
const MAX_TAIL: usize = 1 << 20;
/// Threads that write logs, per log directory.
const IO_THREADS: usize = 4;

/// What a registry is made of.
pub struct RegistryParts {
    /// The file system.
    pub disk: Arc<dyn Disk>,
    /// The open log directory.
    pub dir: LogDir,
    /// This broker.
    pub node_id: i32,
    /// Id of this run of the process, as the registration has it.
    pub incarnation: Uuid,
    /// The broker's properties as given.
    pub properties: BTreeMap<String, String>,
    /// Where the broker stands: the fetchers carry its broker epoch.
    pub standing: watch::Receiver<Standing>,
    /// Listener on which other brokers are dialled.
    pub inter_broker_listener: String,
    /// Where leaders' proposals go.
    pub alter_partition: AlterPartitionSender,
    /// Where damaged copies are reported.
    pub damage: DamageSender,
    /// Runs the fetchers.
    pub runtime: Handle,
    /// Ends the fetchers.
    pub stop: CancellationToken,
}

/// The replicas of one log directory.
pub struct Registry {
    replicas: Arc<Replicas>,
    janitor: Janitor,
    cleaner: Cleaner,
    checker: Checker,
}

/// What the registry shares with its background threads.
pub(super) struct Replicas {
    disk: Arc<dyn Disk>,
    dir: Arc<LogDir>,
    node_id: i32,
    incarnation: Uuid,
    properties: BTreeMap<String, String>,
    lag_time_max_ms: i64,
    shared: Arc<Shared>,
    image: Arc<ArcSwap<Image>>,
    table: RwLock<HashMap<Uuid, HashMap<i32, Arc<Partition>>>>,
    /// The image is no older than this process, see [`Registry::apply`].
    settled: AtomicBool,
    /// A log lost records that were durable when the process before closed it, or what would tell is lost.
    lost_durable: AtomicBool,
    /// Directories that do not say whose they are, until the image has caught up.
    unidentified: Mutex<Vec<PartitionDir>>,
    /// Directories to remove in the background.
    doomed: Mutex<Vec<PathBuf>>,
}

impl Registry {
    /// Opens every log in the directory, several at a time, and starts the threads. Replicas do nothing until the metadata
    /// gives them a role.
    ///
    /// # Errors
    /// A log that cannot be opened, or a checkpoint that cannot be read.
    pub fn open(parts: RegistryParts) -> Result<Self> {
        let image = Arc::new(ArcSwap::from_pointee(Image::empty()));
        let peers = TcpPeers {
            image: Arc::clone(&image),
            listener: parts.inter_broker_listener.clone(),
            client_id: Str::from(format!("broker-{}-fetcher", parts.node_id)),
        };
        Self::open_with(parts, image, Arc::new(peers))
    }

    pub(super) fn open_with(
        parts: RegistryParts,
        image: Arc<ArcSwap<Image>>,
        connector: Arc<dyn Connector>,
    ) -> Result<Self> {
        let engine = Engine::new();
        let dir = Arc::new(parts.dir);
        let fetchers = Fetchers::new(FetcherParts {
            node_id: parts.node_id,
            connector,
            standing: parts.standing,
            runtime: parts.runtime.clone(),
            stop: parts.stop,
        });
        let selector: String = setting(&parts.properties, names::REPLICA_SELECTOR_CLASS, String::new());
        let shared = Arc::new(Shared {
            node_id: parts.node_id,
            throttle: Throttle::default(),
            tells_high_watermark: selector == RACK_AWARE_REPLICA_SELECTOR,
            engine: Arc::clone(&engine),
            alter_partition: parts.alter_partition,
            damage: parts.damage,
            suspects: Suspects::default(),
            runtime: parts.runtime,
            fetchers,
            checkpoints: CheckpointFiles::read(Arc::clone(&dir))?,
            failure: watch::Sender::new(None),
        });
        if dir.identity_seal() == Seal::Renewed {
            warn!(directory = %dir.path().display(), "the checksum of meta.properties was damaged and is made anew");
        }
        let replicas = Arc::new(Replicas {
            settled: AtomicBool::new(false),
            lost_durable: AtomicBool::new(shared.checkpoints.has_lost_offsets()),
            unidentified: Mutex::default(),
            doomed: Mutex::default(),
            lag_time_max_ms: setting(&parts.properties, "replica.lag.time.max.ms", 30_000),
            disk: parts.disk,
            dir,
            node_id: parts.node_id,
            incarnation: parts.incarnation,
            properties: parts.properties,
            shared,
            image,
            table: RwLock::default(),
        });
        replicas.load()?;
        engine.start(IO_THREADS)?;
        let janitor = Janitor::start(Arc::clone(&replicas))?;
        let cleaner = Cleaner::start(Arc::clone(&replicas))?;
        let checker = Checker::start(Arc::clone(&replicas))?;
        Ok(Self { replicas, janitor, cleaner, checker })
    }

    /// The replica of a partition, if this broker holds one.
    pub fn get(&self, topic_id: &Uuid, partition: i32) -> Option<Arc<Partition>> {
        self.replicas.table.read().get(topic_id)?.get(&partition).cloned()
    }

    /// Every replica.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        self.replicas.all()
    }

    /// Bytes of throttled partitions were sent to followers that are out of sync.
    pub fn sent_throttled(&self, bytes: usize) {
        self.replicas.shared.throttle.passed(Side::Leader, bytes, steady_ms());
    }

    /// Bytes of throttled partitions that passed since the start: sent to followers that are out of sync, and fetched as one.
    pub fn throttled_bytes(&self) -> (u64, u64) {
        let throttle = &self.replicas.shared.throttle;
        (throttle.bytes(Side::Leader), throttle.bytes(Side::Follower))
    }

    /// Why the log directory failed, `None` while it works. A failure is final: the process should stop.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.replicas.shared.failure.subscribe()
    }

    /// Whether the log directory failed.
    pub fn is_offline(&self) -> bool {
        self.replicas.shared.failure.borrow().is_some()
    }

    /// Why a thread that writes logs is of no use any more, `None` while all are.
    pub fn stuck(&self, patience: Duration) -> Option<String> {
        self.replicas.shared.engine.stuck(patience)
    }

    /// Whether a log lost records when it was opened though it had been closed cleanly, or nobody can tell: then no copy here
    /// is complete for sure.
    pub fn lost_durable_records(&self) -> bool {
        self.replicas.lost_durable.load(Ordering::Relaxed)
    }

    /// Space on the volume of the log directory.
    pub fn disk_space(&self) -> Option<DiskSpace> {
        self.replicas.dir.space().ok()
    }

    /// Writes and flushes everything, closes the logs, and marks the directory as cleanly shut down in `broker_epoch`. Call
    /// it when no request is served any more, on a thread that may wait.
    pub fn shutdown(&self, broker_epoch: i64) {
        self.checker.stop();
        self.cleaner.stop();
        self.janitor.stop();
        let all = self.replicas.all();
        self.replicas.shared.engine.stop();
        let failed = close_all(&all);
        if failed > 0 || self.is_offline() {
            error!(failed, "logs were not closed cleanly; they are recovered at the next start");
            return;
        }
        match self
            .replicas
            .write_checkpoints()
            .and_then(|()| self.replicas.dir.mark_clean_shutdown(broker_epoch))
        {
            Ok(()) => info!(logs = all.len(), "logs closed"),
            Err(error) => error!(%error, "the clean shutdown was not recorded"),
        }
    }
}

impl Replicas {
    fn all(&self) -> Vec<Arc<Partition>> {
        self.table.read().values().flat_map(|partitions| partitions.values().cloned()).collect()
    }

    fn find(&self, topic_id: &Uuid, partition: i32) -> Option<Arc<Partition>> {
        self.table.read().get(topic_id)?.get(&partition).cloned()
    }

    fn insert(&self, partition: Arc<Partition>) {
        self.table.write().entry(partition.topic_id).or_default().insert(partition.index, partition);
    }

    fn take(&self, topic_id: &Uuid, partition: i32) -> Option<Arc<Partition>> {
        let mut table = self.table.write();
        let partitions = table.get_mut(topic_id)?;
        let taken = partitions.remove(&partition);
        if partitions.is_empty() {
            table.remove(topic_id);
        }
        taken
    }

    /// Divides the memory for written records among the logs that this broker leads: readers at the tail find them there.
    fn share_tail_memory(&self) {
        let led: Vec<_> =
            self.all().into_iter().filter(|partition| partition.led_epoch().is_some()).collect();
        let share = (TAIL_MEMORY / led.len().max(1)).clamp(MIN_TAIL, MAX_TAIL);
        led.iter().for_each(|partition| partition.state.lock().log.set_tail_cache_limit(share));
    }

    /// Writes the checkpoint files that changed. Waits for the disk.
    fn write_checkpoints(&self) -> Result<(), LogDirError> {
        self.shared.checkpoints.write(|| self.offsets())
    }

    fn offsets(&self) -> Offsets {
        let mut now = Offsets::default();
        for partition in self.all() {
            let name = TopicPartition::new(&*partition.topic, partition.index);
            let state = partition.state.lock();
            now.recovery_points.insert(name.clone(), state.log.durable_end());
            now.log_starts.insert(name.clone(), state.log.start_offset());
            now.high_watermarks.insert(name, state.high_watermark);
        }
        now
    }

    fn settings(&self, topic: &str) -> Arc<TopicSettings> {
        Arc::new(TopicSettings::of(&self.image.load(), topic, self.node_id, &self.properties))
    }

    fn interval(&self, name: &str, default_ms: i64) -> Duration {
        let milliseconds: i64 = setting(&self.properties, name, default_ms);
        Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0).max(100))
    }
}

/// Closes the logs, several at a time; returns how many were not closed cleanly.
fn close_all(all: &[Arc<Partition>]) -> usize {
    let failed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for share in all.chunks(all.len().div_ceil(IO_THREADS).max(1)) {
            let failed = &failed;
            scope.spawn(move || {
                let open = share.iter().filter(|partition| !partition.close()).count();
                failed.fetch_add(open, Ordering::Relaxed);
            });
        }
    });
    failed.into_inner()
}

fn setting<T: std::str::FromStr>(properties: &BTreeMap<String, String>, name: &str, default: T) -> T {
    let none = BTreeMap::new();
    let properties = BrokerProperties { fixed: properties, dynamic: &none, dynamic_default: &none };
    properties.parsed(name).unwrap_or(default)
}
