//! What every part of this process shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use klamm_metadata::Image;
use klamm_metadata::config::{BrokerProperties, RACK_AWARE_REPLICA_SELECTOR, names};
use klamm_quorum::QuorumStatus;
use klamm_wire::{ErrorCode, Str};
use tokio::sync::watch;
use uuid::Uuid;

use crate::api::sessions::Sessions;
use crate::config::Config;
use crate::config::listeners::Endpoint;
use crate::controller::forward::Forwarder;
use crate::group::Groups;
use crate::lifecycle::{Standing, State};
use crate::metadata::kept::Kept;
use crate::metrics::{Metrics, Snapshot};
use crate::partition::{Partition, Refused, Registry};
use crate::producer_ids::ProducerIds;
use crate::topic_creator::TopicCreator;

/// Settings that are read once.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: usize,
    /// Whether consumers are sent to a follower in their rack: `replica.selector.class`.
    pub reads_nearby: bool,
}

/// The process as its parts see it.
pub struct Node {
    /// Configuration.
    pub config: Config,
    /// Settings that are read once.
    pub settings: Settings,
    /// The cluster's id.
    pub cluster_id: Str,
    /// Id of the log directory.
    pub directory_id: Uuid,
    /// Id of this run of the process.
    pub incarnation: Uuid,
    /// Broker epoch of the last clean shutdown; -1 after an unclean one.
    pub previous_broker_epoch: i64,
    /// Advertised listeners with the ports that were really bound.
    pub advertised: Vec<Endpoint>,
    /// Where the broker stands at the controller.
    pub standing: watch::Receiver<Standing>,
    /// The active controller.
    pub leader: watch::Receiver<Option<i32>>,
    /// The quorum, where this node is a controller.
    pub quorum: Option<watch::Receiver<QuorumStatus>>,
    /// How far the metadata is kept on disk.
    pub kept: Arc<Kept>,
    /// Replicas on this broker.
    pub registry: Arc<Registry>,
    /// Group coordinator shards.
    pub groups: Groups,
    /// Fetch sessions.
    pub sessions: Sessions,
    /// The way to the active controller.
    pub forwarder: Forwarder,
    /// Producer ids.
    pub producer_ids: ProducerIds,
    /// Topics created for clients.
    pub topic_creator: TopicCreator,
    /// Metrics.
    pub metrics: Metrics,
    image: Arc<ArcSwap<Image>>,
    caught_up_once: AtomicBool,
}

/// The parts a node is made of, besides those it makes itself.
pub struct Parts {
    /// Configuration.
    pub config: Config,
    /// The cluster's id.
    pub cluster_id: Str,
    /// Id of the log directory.
    pub directory_id: Uuid,
    /// Id of this run of the process.
    pub incarnation: Uuid,
    /// Broker epoch of the last clean shutdown.
    pub previous_broker_epoch: i64,
    /// Advertised listeners.
    pub advertised: Vec<Endpoint>,
    /// Where the broker stands.
    pub standing: watch::Receiver<Standing>,
    /// The active controller.
    pub leader: watch::Receiver<Option<i32>>,
    /// The quorum, where this node is a controller.
    pub quorum: Option<watch::Receiver<QuorumStatus>>,
    /// How far the metadata is kept on disk.
    pub kept: Arc<Kept>,
    /// Replicas.
    pub registry: Arc<Registry>,
    /// Group shards.
    pub groups: Groups,
    /// The way to the controller.
    pub forwarder: Forwarder,
    /// Producer ids.
    pub producer_ids: ProducerIds,
    /// Topics created for clients.
    pub topic_creator: TopicCreator,
    /// The image that is shared with the topic creator.
    pub image: Arc<ArcSwap<Image>>,
}

impl Node {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let settings = settings(&parts.config);
        let sessions = Sessions::new(parts.config.fetch_sessions);
        Self {
            settings,
            config: parts.config,
            cluster_id: parts.cluster_id,
            directory_id: parts.directory_id,
            incarnation: parts.incarnation,
            previous_broker_epoch: parts.previous_broker_epoch,
            advertised: parts.advertised,
            standing: parts.standing,
            leader: parts.leader,
            quorum: parts.quorum,
            kept: parts.kept,
            registry: parts.registry,
            groups: parts.groups,
            sessions,
            forwarder: parts.forwarder,
            producer_ids: parts.producer_ids,
            topic_creator: parts.topic_creator,
            metrics: Metrics::default(),
            image: parts.image,
            caught_up_once: AtomicBool::new(false),
        }
    }

    /// The newest published image.
    pub fn image(&self) -> Arc<Image> {
        self.image.load_full()
    }

    /// Publishes an image to readers.
    pub fn set_image(&self, image: Arc<Image>) {
        self.image.store(image);
    }

    /// The active controller if it is also a broker of the cluster, as clients expect.
    pub fn active_controller(&self) -> Option<i32> {
        let leader = (*self.leader.borrow())?;
        self.image.load().broker(leader).filter(|b| !b.fenced).map(|_| leader)
    }

    /// The replica here of a partition that exists.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION` when there is no such partition, `NOT_LEADER_OR_FOLLOWER` when it is elsewhere.
    pub fn led_partition(&self, topic: &str, index: i32) -> Result<Arc<Partition>, Refused> {
        let image = self.image.load();
        let known = image.topic(topic).filter(|t| t.partitions.contains_key(&index));
        let known = known.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        Ok(self.registry.get(&known.id, index).ok_or(ErrorCode::NotLeaderOrFollower)?)
    }

    /// Whether nobody can have taken this broker for dead. If not, it may have been replaced wherever it leads, and who is ahead
    /// of it may be right.
    pub fn is_sure_to_lead(&self) -> bool {
        // Of the broker of the controller before, a new one expects a sign within half a session.
        let session = self.config.session_timeout;
        let session = if self.config.is_controller { session / 2 } else { session };
        self.standing.borrow().is_confirmed(session)
    }

    /// Remembers once that every replica here is in sync.
    pub fn note_progress(&self) {
        if !self.caught_up_once.load(Ordering::Relaxed) && self.out_of_sync() == 0 && self.is_running() {
            self.caught_up_once.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the controller has said that this node's image is not behind, and the image knows this process.
    pub fn has_caught_up(&self) -> bool {
        self.is_known_to(&self.image.load()) && self.standing.borrow().state >= State::Recovery
    }

    /// Whether the image has the registration of this very process, and so is no older.
    pub fn is_known_to(&self, image: &Image) -> bool {
        image.broker(self.config.node_id).is_some_and(|own| own.incarnation == self.incarnation)
    }

    fn is_running(&self) -> bool {
        self.standing.borrow().state >= State::Running
    }

    /// Replicas on this broker that are not in their ISR, without those that a reassignment is about to bring here.
    fn out_of_sync(&self) -> usize {
        let me = self.config.node_id;
        let image = self.image.load();
        let behind = |p: &klamm_metadata::Partition| {
            p.replicas.contains(&me) && !p.isr.contains(&me) && !p.adding.contains(&me)
        };
        image.topics().map(|t| t.partitions.values().filter(|p| behind(p)).count()).sum()
    }

    /// Why the node is not ready, `None` when it is. Judged by this node alone and latched once caught up.
    pub fn not_ready_because(&self) -> Option<String> {
        if !self.config.is_broker {
            return self.leader.borrow().is_none().then(|| "no active controller is known".to_owned());
        }
        let state = self.standing.borrow().state;
        if state != State::Running {
            return Some(format!("the broker is in state {state:?}"));
        }
        self.note_progress();
        if self.caught_up_once.load(Ordering::Relaxed) {
            return None;
        }
        Some(format!("{} replicas are still catching up", self.out_of_sync()))
    }

    /// Figures that are read when metrics are.
    pub fn figures(&self) -> Snapshot {
        let image = self.image.load();
        let me = self.config.node_id;
        // What an image of the past says of a leader here was of the process before.
        let is_known = self.is_known_to(&image);
        let mut figures = Snapshot {
            fenced: image.broker(me).is_some_and(|b| b.fenced),
            active_controller: *self.leader.borrow() == Some(me),
            metadata_offset: image.offset(),
            kept_metadata_offset: self.kept.offset(),
            pulled_entries: self.kept.entries_pulled(),
            pulled_snapshots: self.kept.snapshots_pulled(),
            throttled_bytes: self.registry.throttled_bytes(),
            metadata_log: self.quorum.as_ref().map(|status| {
                let status = status.borrow();
                (status.epoch, status.log)
            }),
            ..Snapshot::default()
        };
        for topic in image.topics() {
            let min_isr = self.min_isr(&image, &topic.name);
            for partition in topic.partitions.values() {
                figures.partitions += i64::from(partition.replicas.contains(&me));
                if partition.leader == me && is_known {
                    figures.leaders += 1;
                    figures.under_replicated +=
                        i64::from(partition.isr.len() < partition.replication_factor());
                    figures.under_min_isr += i64::from(partition.isr.len() < min_isr);
                }
            }
        }
        figures
    }

    fn min_isr(&self, image: &Image, topic: &str) -> usize {
        let properties = BrokerProperties {
            fixed: &self.config.properties,
            dynamic: image.broker_config(self.config.node_id),
            dynamic_default: image.cluster_default_config(),
        };
        let effective = klamm_metadata::config::effective_topic_config(
            "min.insync.replicas",
            image.topic_config(topic),
            &properties,
        );
        effective.and_then(|e| e.value).and_then(|v| v.parse().ok()).unwrap_or(1)
    }
}

fn settings(config: &Config) -> Settings {
    let none = std::collections::BTreeMap::new();
    let properties = BrokerProperties { fixed: &config.properties, dynamic: &none, dynamic_default: &none };
    Settings {
        auto_create_topics: properties.flag("auto.create.topics.enable"),
        fetch_max_bytes: properties.parsed("fetch.max.bytes").unwrap_or(55 << 20),
        reads_nearby: properties.get(names::REPLICA_SELECTOR_CLASS).as_deref().map(str::trim)
            == Some(RACK_AWARE_REPLICA_SELECTOR),
    }
}
