//! Applying records to an image: total, deterministic, never refusing.
//!
//! A record that names what does not exist changes nothing. Every broker applies the same records in the same order and
//! so ends with the same image.

use std::collections::BTreeMap;
use std::sync::Arc;

use klamm_wire::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use klamm_wire::messages::config_record::ConfigRecord;
use klamm_wire::messages::disruption_end_record::DisruptionEndRecord;
use klamm_wire::messages::partition_change_record::PartitionChangeRecord;
use klamm_wire::messages::partition_record::PartitionRecord;
use klamm_wire::messages::topic_record::TopicRecord;
use uuid::Uuid;

use super::{Broker, ConfigResource, Disruption, Image, Partition, Topic};
use crate::Record;

impl Image {
    /// Applies one log entry. `offset` and `epoch` are the entry's own.
    pub fn apply(&mut self, offset: i64, epoch: i32, records: &[Record]) {
        for record in records {
            self.apply_record(record);
        }
        self.offset = offset;
        self.epoch = epoch;
    }

    fn apply_record(&mut self, record: &Record) {
        match record {
            Record::RegisterBroker(r) => {
                Arc::make_mut(&mut self.brokers).insert(r.broker_id, Arc::new(Broker::from_record(r)));
            }
            Record::UnregisterBroker(r) => self.unregister_broker(r.broker_id, r.broker_epoch),
            Record::Topic(r) => self.add_topic(r),
            Record::Partition(r) => self.set_partition(r),
            Record::Config(r) => self.set_config(r),
            Record::PartitionChange(r) => self.change_partition(r),
            Record::FenceBroker(r) => self.change_broker(r.id, r.epoch, |broker| broker.fenced = true),
            Record::UnfenceBroker(r) => self.change_broker(r.id, r.epoch, |broker| broker.fenced = false),
            Record::RemoveTopic(r) => self.remove_topic(r.topic_id),
            Record::FeatureLevel(r) => {
                Arc::make_mut(&mut self.features).insert(r.name.to_string(), r.feature_level);
            }
            Record::ProducerIds(r) => self.next_producer_id = r.next_producer_id,
            Record::BrokerRegistrationChange(r) => self.change_registration(r),
            Record::DisruptionGrant(r) => {
                let granted = Disruption::from_record(r);
                Arc::make_mut(&mut self.disruptions).insert(r.node_id, Arc::new(granted));
            }
            Record::DisruptionEnd(r) => self.end_disruption(r),
            // The first one holds: a leader that never learned that its own was committed may have written another.
            Record::Founding(r) => self.founding = self.founding.or(Some(r.founding_id)),
            Record::NoOp(_) => {}
            Record::Unknown(_) => self.has_skipped = true,
        }
    }

    fn unregister_broker(&mut self, id: i32, epoch: i64) {
        if self.brokers.get(&id).is_some_and(|broker| broker.epoch == epoch) {
            Arc::make_mut(&mut self.brokers).remove(&id);
        }
    }

    fn change_broker(&mut self, id: i32, epoch: i64, change: impl FnOnce(&mut Broker)) {
        if self.brokers.get(&id).is_none_or(|broker| broker.epoch != epoch) {
            return;
        }
        if let Some(broker) = Arc::make_mut(&mut self.brokers).get_mut(&id) {
            change(Arc::make_mut(broker));
        }
    }

    fn change_registration(&mut self, record: &BrokerRegistrationChangeRecord) {
        self.change_broker(record.broker_id, record.broker_epoch, |broker| {
            match record.fenced {
                -1 => broker.fenced = false,
                1 => broker.fenced = true,
                _ => {}
            }
            if record.in_controlled_shutdown == 1 {
                broker.in_controlled_shutdown = true;
            }
        });
    }

    fn end_disruption(&mut self, record: &DisruptionEndRecord) {
        if self.disruptions.get(&record.node_id).is_some_and(|granted| granted.id == record.grant_id) {
            Arc::make_mut(&mut self.disruptions).remove(&record.node_id);
        }
    }

    fn add_topic(&mut self, record: &TopicRecord) {
        let name = record.name.to_string();
        if let Some(previous) = self.topic_ids.get(&name).copied() {
            self.remove_topic(previous);
        }
        self.remove_topic(record.topic_id);
        Arc::make_mut(&mut self.topic_ids).insert(name.clone(), record.topic_id);
        let topic = Topic { id: record.topic_id, name, partitions: BTreeMap::new() };
        Arc::make_mut(&mut self.topics).insert(record.topic_id, Arc::new(topic));
    }

    fn remove_topic(&mut self, id: Uuid) {
        if !self.topics.contains_key(&id) {
            return;
        }
        if let Some(topic) = Arc::make_mut(&mut self.topics).remove(&id) {
            Arc::make_mut(&mut self.topic_ids).remove(&topic.name);
            let resource = ConfigResource::Topic(topic.name.clone());
            if self.configs.contains_key(&resource) {
                Arc::make_mut(&mut self.configs).remove(&resource);
            }
        }
    }

    fn set_partition(&mut self, record: &PartitionRecord) {
        if let Some(topic) = self.topic_mut(record.topic_id) {
            topic.partitions.insert(record.partition_id, Arc::new(Partition::from_record(record)));
        }
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord) {
        if let Some(topic) = self.topic_mut(record.topic_id)
            && let Some(partition) = topic.partitions.get_mut(&record.partition_id)
        {
            Arc::make_mut(partition).change(record);
        }
    }

    fn topic_mut(&mut self, id: Uuid) -> Option<&mut Topic> {
        if !self.topics.contains_key(&id) {
            return None;
        }
        Arc::make_mut(&mut self.topics).get_mut(&id).map(Arc::make_mut)
    }

    fn set_config(&mut self, record: &ConfigRecord) {
        let resource = ConfigResource::from_parts(record.resource_type, &record.resource_name);
        let all = Arc::make_mut(&mut self.configs);
        let configs = Arc::make_mut(all.entry(resource.clone()).or_default());
        match &record.value {
            Some(value) => {
                configs.insert(record.name.to_string(), value.to_string());
            }
            None => {
                configs.remove(&*record.name);
            }
        }
        if configs.is_empty() {
            all.remove(&resource);
        }
    }
}
