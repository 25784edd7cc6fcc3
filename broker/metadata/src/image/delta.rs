//! What differs between two images.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Broker, ConfigResource, Image, Partition, Topic};

/// One partition that was created, changed or deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionDelta {
    /// The topic: as it is now, or as it was when it is gone.
    pub topic: Arc<Topic>,
    /// Partition index.
    pub partition: i32,
    /// The old state, `None` when created.
    pub old: Option<Arc<Partition>>,
    /// The new state, `None` when deleted.
    pub new: Option<Arc<Partition>>,
}

/// One broker that was registered, changed or unregistered.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerDelta {
    /// Node id.
    pub id: i32,
    /// The old registration.
    pub old: Option<Arc<Broker>>,
    /// The new registration.
    pub new: Option<Arc<Broker>>,
}

/// What differs between two images. A topic created again under its old name is a deletion and a creation.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Delta {
    /// Topics that are only in the new image.
    pub created_topics: Vec<Arc<Topic>>,
    /// Topics that are only in the old image.
    pub deleted_topics: Vec<Arc<Topic>>,
    /// Partitions that were created, changed or deleted, those of created and deleted topics included.
    pub partitions: Vec<PartitionDelta>,
    /// Brokers that were registered, changed or unregistered.
    pub brokers: Vec<BrokerDelta>,
    /// Resources whose overrides changed.
    pub configs: Vec<ConfigResource>,
}

impl Delta {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Delta::default()
    }
}

impl Image {
    /// What changed from `old` to `new`. The cost follows the change, not the size: what is shared is skipped.
    pub fn diff(old: &Image, new: &Image) -> Delta {
        let mut delta = Delta::default();
        each_change(&old.topics, &new.topics, |_, old, new| topic_changed(&mut delta, old, new));
        each_change(&old.brokers, &new.brokers, |id, old, new| {
            delta.brokers.push(BrokerDelta { id: *id, old: old.cloned(), new: new.cloned() });
        });
        each_change(&old.configs, &new.configs, |resource, _, _| delta.configs.push(resource.clone()));
        delta
    }
}

fn topic_changed(delta: &mut Delta, old: Option<&Arc<Topic>>, new: Option<&Arc<Topic>>) {
    let Some(topic) = new.or(old) else { return };
    match (old, new) {
        (None, Some(_)) => delta.created_topics.push(topic.clone()),
        (Some(_), None) => delta.deleted_topics.push(topic.clone()),
        _ => {}
    }
    let none = BTreeMap::new();
    let old = old.map_or(&none, |topic| &topic.partitions);
    let new = new.map_or(&none, |topic| &topic.partitions);
    each_entry_change(old, new, |partition, old, new| {
        let (old, new) = (old.cloned(), new.cloned());
        delta.partitions.push(PartitionDelta { topic: topic.clone(), partition: *partition, old, new });
    });
}

type Entries<K, V> = BTreeMap<K, Arc<V>>;

fn each_change<K: Ord, V: PartialEq>(
    old: &Arc<Entries<K, V>>,
    new: &Arc<Entries<K, V>>,
    changed: impl FnMut(&K, Option<&Arc<V>>, Option<&Arc<V>>),
) {
    if !Arc::ptr_eq(old, new) {
        each_entry_change(old, new, changed);
    }
}

/// Calls `changed` for every key whose value differs, in key order of `new`, deletions last.
fn each_entry_change<K: Ord, V: PartialEq>(
    old: &Entries<K, V>,
    new: &Entries<K, V>,
    mut changed: impl FnMut(&K, Option<&Arc<V>>, Option<&Arc<V>>),
) {
    for (key, value) in new {
        let before = old.get(key);
        if before.is_none_or(|before| !Arc::ptr_eq(before, value) && before != value) {
            changed(key, before, Some(value));
        }
    }
    for (key, value) in old.iter().filter(|(key, _)| !new.contains_key(key)) {
        changed(key, Some(value), None);
    }
}
