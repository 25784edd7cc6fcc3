//! Taking over metadata: replicas are created, given roles, reconfigured and removed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use klamm_metadata::config::BrokerProperties;
use klamm_metadata::{BrokerDelta, ConfigResource, Delta, Image, Partition as PartitionMeta, PartitionDelta};
use klamm_wire::Str;
use tracing::{info, warn};

use super::load::Existing;
use super::removal::Reason;
use super::{Registry, Replicas};
use crate::clock::steady_ms;
use crate::partition::replica::Partition;
use crate::partition::role::Assignment;

/// Logs opened at a time when many partitions are created at once.
const OPEN_THREADS: usize = 8;

impl Registry {
    /// Follows the metadata from one image to the next. Opens and renames directories, so it may wait for the disk.
    ///
    /// The first images after a start are of the past: what lies on the disk may be of topics that they do not have yet, or
    /// moved here later. Until the image has the registration of this very process, no directory is made, renamed or
    /// removed because of what it says, except for a topic id that is deleted, which never returns. The first image with
    /// the registration then holds for everything.
    pub fn apply(&self, delta: &Delta, image: &Arc<Image>) {
        let replicas = &self.replicas;
        replicas.image.store(Arc::clone(image));
        let deleted = delta.partitions.iter().filter(|change| change.new.is_none());
        let deleted: Vec<_> =
            deleted.filter_map(|change| replicas.find(&change.topic.id, change.partition)).collect();
        deleted.iter().for_each(|partition| replicas.retire(partition, Reason::TopicDeleted));
        deleted.iter().for_each(|partition| replicas.remove(partition, Reason::TopicDeleted));
        if !replicas.is_settled() && replicas.is_registered(image) {
            replicas.settled.store(true, Ordering::Relaxed);
            replicas.follow(&Image::diff(&Image::empty(), image), image);
            replicas.shared.fetchers.settle();
        } else {
            replicas.follow(delta, image);
        }
    }

    /// Removes replicas that were moved to other brokers while this one was away, and sets aside those that the metadata knows
    /// nothing of. Call it once, when the image has caught up.
    pub fn set_strays_aside(&self) {
        let image = self.replicas.image.load_full();
        for partition in self.replicas.all() {
            match meta_of(&image, &partition) {
                Some(meta) if meta.replicas.contains(&self.replicas.node_id) => {}
                Some(meta) => {
                    info!(topic = %partition.topic, partition = partition.index, replicas = ?meta.replicas, "replica removed: it was moved");
                    self.replicas.set_aside(&partition, Reason::Reassigned);
                }
                None => {
                    warn!(topic = %partition.topic, partition = partition.index, "stray replica set aside: no topic needs it here");
                    self.replicas.set_aside(&partition, Reason::Stray);
                }
            }
        }
        self.replicas.set_unidentified_aside();
    }
}

fn meta_of<'a>(image: &'a Image, partition: &Partition) -> Option<&'a Arc<PartitionMeta>> {
    image.topic_by_id(partition.topic_id)?.partitions.get(&partition.index)
}

impl Replicas {
    /// Whether the image has been found to be no older than this process.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }

    fn is_registered(&self, image: &Image) -> bool {
        image.broker(self.node_id).is_some_and(|own| own.incarnation == self.incarnation)
    }

    fn follow(&self, delta: &Delta, image: &Image) {
        if self.is_settled() {
            self.create(delta, image);
        }
        for change in &delta.partitions {
            if let Some(partition) = &change.new {
                self.partition_changed(change, partition, image);
            }
        }
        self.brokers_changed(&delta.brokers, image);
        self.configs_changed(&delta.configs, image);
    }

    /// Opens the logs of all replicas that are new on this broker.
    fn create(&self, delta: &Delta, image: &Image) {
        let is_new = |change: &&PartitionDelta| {
            let is_mine =
                change.new.as_ref().is_some_and(|partition| partition.replicas.contains(&self.node_id));
            is_mine && self.find(&change.topic.id, change.partition).is_none()
        };
        let new: Vec<&PartitionDelta> = delta.partitions.iter().filter(is_new).collect();
        let share = new.len().div_ceil(OPEN_THREADS).max(4);
        std::thread::scope(|scope| {
            let mut shares = new.chunks(share);
            let own = shares.next();
            for share in shares {
                scope.spawn(move || share.iter().for_each(|change| self.create_one(change, image)));
            }
            own.into_iter().flatten().for_each(|change| self.create_one(change, image));
        });
    }

    fn create_one(&self, change: &PartitionDelta, image: &Image) {
        let topic = &change.topic;
        // A topic that was created anew under its name: what lies there is another topic's.
        let id = image.topic(&topic.name).map_or(topic.id, |topic| topic.id);
        if id != topic.id {
            return;
        }
        let existing = Existing {
            topic: Str::copy_from(&topic.name),
            index: change.partition,
            topic_id: Some(topic.id),
        };
        match self.open(existing) {
            Ok(partition) => {
                // It is new, or its directory does not say whose it is: perhaps a topic's of a quorum that was lost.
                partition.state.lock().doubts_epochs = false;
                self.insert(partition);
            }
            Err(error) => self
                .shared
                .fail_directory(format!("cannot open {}-{}: {error:#}", topic.name, change.partition)),
        }
    }

    fn partition_changed(&self, change: &PartitionDelta, meta: &PartitionMeta, image: &Image) {
        if !meta.replicas.contains(&self.node_id) {
            if self.is_settled()
                && let Some(partition) = self.find(&change.topic.id, change.partition)
            {
                self.remove(&partition, Reason::Reassigned);
            }
        } else if let Some(partition) = self.find(&change.topic.id, change.partition) {
            if change.old.is_none() {
                partition.reconfigure(self.settings(&partition.topic));
            }
            self.assign(&partition, meta, image);
        }
    }

    fn assign(&self, partition: &Arc<Partition>, meta: &PartitionMeta, image: &Image) {
        let active = |id: &i32| {
            image.broker(*id).filter(|broker| broker.is_active()).map(|broker| (*id, broker.epoch))
        };
        let assignment = Assignment {
            local: self.node_id,
            partition: meta,
            // Replicas that are added do not count before they are there, here as at the controller.
            min_isr: partition.settings.load().min_isr().min(meta.replication_factor()),
            eligible: meta.replicas.iter().filter_map(active).collect(),
            lag_time_max_ms: self.lag_time_max_ms,
            is_registered: self.is_registered(image),
            knows_epochs: self.is_registered(image) && !image.has_skipped_records(),
        };
        partition.is_in_sync.store(meta.isr.contains(&self.node_id), Ordering::Relaxed);
        let was = partition.led_epoch();
        partition.change(|state, steady_ms, wakeups| {
            state.assign(&assignment, steady_ms, wakeups);
            partition.repair(state, wakeups);
        });
        let is = partition.led_epoch();
        if was != is {
            let (leader, epoch) = (meta.leader, meta.leader_epoch);
            info!(topic = %partition.topic, partition = partition.index, leader, epoch, isr = ?meta.isr, "leadership changed");
        }
    }

    /// Fencing, unfencing and registration decide who may join an ISR, and where leaders are dialled.
    fn brokers_changed(&self, brokers: &[BrokerDelta], image: &Image) {
        if brokers.is_empty() {
            return;
        }
        for partition in self.all().iter().filter(|partition| partition.led_epoch().is_some()) {
            let concerns =
                |meta: &&Arc<PartitionMeta>| brokers.iter().any(|broker| meta.replicas.contains(&broker.id));
            if let Some(meta) = meta_of(image, partition).filter(concerns) {
                self.assign(partition, meta, image);
            }
        }
        for broker in brokers.iter().filter(|broker| is_another_process(broker)) {
            self.shared.fetchers.broker_changed(broker.id);
        }
    }

    fn configs_changed(&self, configs: &[ConfigResource], image: &Image) {
        let concerns = |partition: &Partition| {
            configs.iter().any(|resource| match resource {
                ConfigResource::Topic(name) => *name == *partition.topic,
                ConfigResource::Broker(id) => *id == self.node_id,
                ConfigResource::ClusterDefault => true,
                ConfigResource::Other(..) => false,
            })
        };
        if configs.is_empty() {
            return;
        }
        self.shared.throttle.configure(&self.broker_properties(image), steady_ms());
        for partition in self.all().iter().filter(|partition| concerns(partition)) {
            partition.reconfigure(self.settings(&partition.topic));
            if let Some(meta) = meta_of(image, partition) {
                self.assign(partition, meta, image);
            }
        }
    }

    fn broker_properties<'a>(&'a self, image: &'a Image) -> BrokerProperties<'a> {
        BrokerProperties {
            fixed: &self.properties,
            dynamic: image.broker_config(self.node_id),
            dynamic_default: image.cluster_default_config(),
        }
    }

    fn remove(&self, partition: &Arc<Partition>, reason: Reason) {
        info!(topic = %partition.topic, partition = partition.index, ?reason, "replica removed");
        self.set_aside(partition, reason);
    }
}

/// Whether the broker registered anew or moved; being fenced or unfenced changes no connection.
fn is_another_process(broker: &BrokerDelta) -> bool {
    match (&broker.old, &broker.new) {
        (Some(old), Some(new)) => (old.epoch, &old.listeners) != (new.epoch, &new.listeners),
        _ => true,
    }
}
