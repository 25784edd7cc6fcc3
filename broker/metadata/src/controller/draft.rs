//! A decision in the making: the records so far, and the image as it will be with them.

use std::sync::Arc;

use klamm_wire::ErrorCode;
use uuid::Uuid;

use super::assignment::Assignment;
use super::error::ApiError;
use super::isr::{Election, PartitionChange};
use super::settings::Settings;
use crate::config::{self, BrokerProperties, names};
use crate::{Image, Partition, Record, Topic};

/// Largest number of partitions that one request may create, so that an entry of the metadata log stays small.
pub(super) const MAX_PARTITIONS_PER_REQUEST: usize = 10_000;

/// Everything that one command is decided with.
pub(super) struct Turn<'a> {
    pub(super) draft: Draft<'a>,
    pub(super) now_ms: i64,
    pub(super) next_offset: i64,
    pub(super) rng: &'a mut dyn FnMut() -> u64,
}

/// The records of a decision, each applied to a private image as soon as it is added, so that every later step sees it.
pub(super) struct Draft<'a> {
    pub(super) settings: &'a Settings,
    image: Image,
    records: Vec<Record>,
}

/// What a topic's configuration says about its leaders.
#[derive(Clone, Copy, Debug)]
pub(super) struct TopicRules {
    pub(super) min_isr: usize,
    pub(super) unclean_election: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(image: &Image, settings: &'a Settings) -> Draft<'a> {
        Draft { settings, image: image.clone(), records: Vec::new() }
    }

    pub(super) fn image(&self) -> &Image {
        &self.image
    }

    pub(super) fn push(&mut self, record: impl Into<Record>) {
        let record = record.into();
        let (offset, epoch) = (self.image.offset(), self.image.epoch());
        self.image.apply(offset, epoch, std::slice::from_ref(&record));
        self.records.push(record);
    }

    /// Forgets the records: the request asked for validation only.
    pub(super) fn discard(&mut self) {
        self.records.clear();
    }

    pub(super) fn into_records(self) -> Vec<Record> {
        self.records
    }

    /// Properties that hold for topics in general: the cluster default over the controller's own file.
    pub(super) fn properties(&self) -> BrokerProperties<'_> {
        let default = self.image.cluster_default_config();
        BrokerProperties { fixed: &self.settings.properties, dynamic: default, dynamic_default: default }
    }

    pub(super) fn rules(&self, topic: &str) -> TopicRules {
        let overrides = self.image.topic_config(topic);
        let properties = self.properties();
        let value = |name| {
            let effective = config::effective_topic_config(name, overrides, &properties);
            effective.and_then(|effective| effective.value).unwrap_or_default()
        };
        TopicRules {
            min_isr: value(names::MIN_INSYNC_REPLICAS).trim().parse().unwrap_or(1),
            unclean_election: value(names::UNCLEAN_LEADER_ELECTION_ENABLE)
                .trim()
                .eq_ignore_ascii_case("true"),
        }
    }

    /// A partition by its topic's name, as both are now.
    pub(super) fn partition(&self, name: &str, index: i32) -> Result<(Arc<Topic>, Arc<Partition>), ApiError> {
        let topic = self.image.topic(name).cloned();
        let found = topic.and_then(|topic| {
            let partition = topic.partitions.get(&index).cloned()?;
            Some((topic, partition))
        });
        found.ok_or_else(|| {
            let message = format!("There is no partition {index} of topic '{name}'.");
            ApiError::new(ErrorCode::UnknownTopicOrPartition, message)
        })
    }

    /// All topics as they are now; later records do not change what is iterated.
    pub(super) fn topics(&self) -> Vec<Arc<Topic>> {
        self.image.topics().cloned().collect()
    }

    /// Adds the change that follows from another ISR, if anything changes. Returns whether it does.
    pub(super) fn change_partition(&mut self, target: PartitionTarget<'_>) -> bool {
        let change = PartitionChange {
            image: &self.image,
            partition: target.partition,
            rules: target.rules,
            election: target.election,
            assignment: target.assignment,
            isr: target.isr,
            lost_tail: target.lost_tail,
            lost_disk: target.lost_disk,
            recovered: target.recovered,
            new_epoch: target.new_epoch,
        };
        match change.decide(target.topic_id, target.index) {
            Some(record) => {
                self.push(record);
                true
            }
            None => false,
        }
    }
}

/// What is wanted of one partition.
pub(super) struct PartitionTarget<'a> {
    pub(super) topic_id: Uuid,
    pub(super) index: i32,
    pub(super) partition: &'a Partition,
    pub(super) rules: TopicRules,
    pub(super) election: Election,
    pub(super) assignment: Assignment,
    pub(super) isr: Vec<i32>,
    pub(super) lost_tail: Option<i32>,
    pub(super) lost_disk: bool,
    pub(super) recovered: bool,
    /// The leader epoch rises also when the leader stays.
    pub(super) new_epoch: bool,
}

impl<'a> PartitionTarget<'a> {
    /// The ISR as it is, and a leader if there is none.
    pub(super) fn unchanged(topic: &Topic, index: i32, partition: &'a Partition, rules: TopicRules) -> Self {
        PartitionTarget {
            topic_id: topic.id,
            index,
            partition,
            rules,
            election: Election::KeepLeader,
            assignment: Assignment::of(partition),
            isr: partition.isr.clone(),
            lost_tail: None,
            lost_disk: false,
            recovered: false,
            new_epoch: false,
        }
    }
}
