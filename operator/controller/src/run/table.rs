//! What is known of one kind: the objects that watches have shown, and those that the operator has just written itself.
//!
//! It is fed with events and knows no client. An older version never replaces a newer one, so that the answer to a write
//! is seen at once and stays seen; what a watch has said is gone is not brought back by the late answer to a write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::Resource;
use kube::runtime::watcher::Event;

use super::key::Key;

/// How many deletions are remembered. They matter for the moment between a deletion and the answer to an earlier write.
const MAX_TOMBSTONES: usize = 4096;

/// One object.
#[derive(Debug)]
pub struct Row<K> {
    /// The object.
    pub object: Arc<K>,
    /// Whether a watch has shown this version or a later one, not only the answer to a write.
    pub confirmed: bool,
}

/// The objects of one kind.
#[derive(Debug)]
pub struct Table<K> {
    rows: BTreeMap<Key, Row<K>>,
    /// The uids of what was deleted last under a name.
    tombstones: BTreeMap<Key, String>,
    /// The parts of the scope that were listed completely at least once.
    synced: BTreeSet<Option<String>>,
    /// What a list that is under way has shown so far.
    listing: BTreeMap<Option<String>, BTreeSet<Key>>,
}

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            synced: BTreeSet::new(),
            listing: BTreeMap::new(),
        }
    }
}

/// What an event changed.
#[derive(Debug)]
pub struct Change<K> {
    /// The object before.
    pub before: Option<Arc<K>>,
    /// The object now.
    pub after: Option<Arc<K>>,
}

impl<K: Resource> Table<K> {
    /// Whether a complete list of a namespace has been seen.
    pub fn is_synced(&self, namespace: &str) -> bool {
        self.synced.contains(&None) || self.synced.contains(&Some(namespace.to_owned()))
    }

    /// The object of this name.
    pub fn get(&self, key: &Key) -> Option<&Row<K>> {
        self.rows.get(key)
    }

    /// Every object of a namespace.
    pub fn of_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<K>> {
        let from = Key::new(namespace, "");
        self.rows
            .range(from..)
            .take_while(move |(key, _)| key.namespace == namespace)
            .map(|(_, row)| &row.object)
    }

    /// Every object.
    pub fn all(&self) -> impl Iterator<Item = &Arc<K>> {
        self.rows.values().map(|row| &row.object)
    }

    /// Takes the event of a watch of `part` in.
    pub fn handle(&mut self, part: &Option<String>, event: Event<K>) -> Vec<Change<K>> {
        match event {
            Event::Apply(object) => self.confirm(object).into_iter().collect(),
            Event::Delete(object) => self.remove(&Key::of(&object)).into_iter().collect(),
            Event::Init => {
                self.listing.insert(part.clone(), BTreeSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listing.entry(part.clone()).or_default().insert(Key::of(&object));
                self.confirm(object).into_iter().collect()
            }
            Event::InitDone => self.finish_list(part),
        }
    }

    /// Takes the answer to a write in.
    pub fn put(&mut self, object: K) -> Option<Change<K>> {
        let key = Key::of(&object);
        let buried = self.tombstones.get(&key).is_some_and(|uid| Some(uid) == object.meta().uid.as_ref());
        if buried || self.rows.get(&key).is_some_and(|row| version(&*row.object) >= version(&object)) {
            return None;
        }
        Some(self.replace(key, object, false))
    }

    fn confirm(&mut self, object: K) -> Option<Change<K>> {
        let key = Key::of(&object);
        let known = self.rows.get_mut(&key);
        if let Some(row) = known.filter(|row| {
            row.object.meta().uid == object.meta().uid && version(&*row.object) >= version(&object)
        }) {
            // A watch that lags behind says nothing about the version that was written since.
            row.confirmed |= version(&*row.object) == version(&object);
            return None;
        }
        self.tombstones.remove(&key);
        Some(self.replace(key, object, true))
    }

    fn replace(&mut self, key: Key, object: K, confirmed: bool) -> Change<K> {
        let object = Arc::new(object);
        let row = Row { object: object.clone(), confirmed };
        let before = self.rows.insert(key, row).map(|row| row.object);
        Change { before, after: Some(object) }
    }

    fn remove(&mut self, key: &Key) -> Option<Change<K>> {
        let row = self.rows.remove(key)?;
        if self.tombstones.len() >= MAX_TOMBSTONES {
            self.tombstones.clear();
        }
        if let Some(uid) = &row.object.meta().uid {
            self.tombstones.insert(key.clone(), uid.clone());
        }
        Some(Change { before: Some(row.object), after: None })
    }

    fn finish_list(&mut self, part: &Option<String>) -> Vec<Change<K>> {
        let shown = self.listing.remove(part).unwrap_or_default();
        let in_part = |key: &Key| part.as_ref().is_none_or(|namespace| *namespace == key.namespace);
        let gone: Vec<Key> =
            self.rows.keys().filter(|key| in_part(key) && !shown.contains(*key)).cloned().collect();
        self.synced.insert(part.clone());
        gone.iter().filter_map(|key| self.remove(key)).collect()
    }
}

/// The version as a number, which API servers promise to be comparable within one kind.
pub fn version(object: &impl Resource) -> u64 {
    object.meta().resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;

    use super::*;

    fn object(name: &str, uid: &str, version: u64) -> ConfigMap {
        let metadata = ObjectMeta {
            namespace: Some("n".into()),
            name: Some(name.into()),
            uid: Some(uid.into()),
            resource_version: Some(version.to_string()),
            ..ObjectMeta::default()
        };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    fn versions(table: &Table<ConfigMap>) -> Vec<(String, u64, bool)> {
        let row =
            |(key, row): (&Key, &Row<ConfigMap>)| (key.name.clone(), version(&*row.object), row.confirmed);
        table.rows.iter().map(row).collect()
    }

    #[test]
    fn the_answer_to_a_write_is_seen_at_once_and_confirmed_by_the_watch() {
        let mut table = Table::default();
        table.handle(&None, Event::Apply(object("a", "1", 5)));
        table.put(object("a", "1", 9));
        assert_eq!(versions(&table), [("a".to_owned(), 9, false)]);
        table.handle(&None, Event::Apply(object("a", "1", 7)));
        assert_eq!(versions(&table), [("a".to_owned(), 9, false)]);
        table.handle(&None, Event::Apply(object("a", "1", 9)));
        assert_eq!(versions(&table), [("a".to_owned(), 9, true)]);
    }

    #[test]
    fn a_late_answer_does_not_bring_back_what_is_gone() {
        let mut table = Table::default();
        table.handle(&None, Event::Apply(object("a", "1", 5)));
        table.handle(&None, Event::Delete(object("a", "1", 6)));
        assert!(table.put(object("a", "1", 5)).is_none());
        assert!(versions(&table).is_empty());
        table.handle(&None, Event::Apply(object("a", "2", 8)));
        assert_eq!(versions(&table), [("a".to_owned(), 8, true)]);
    }

    #[test]
    fn a_new_list_removes_what_it_does_not_show_in_its_own_namespace() {
        let mut table = Table::default();
        let part = Some("n".to_owned());
        table.handle(&part, Event::Apply(object("a", "1", 5)));
        let mut elsewhere = object("b", "2", 5);
        elsewhere.metadata.namespace = Some("other".into());
        table.handle(&Some("other".into()), Event::Apply(elsewhere));
        assert!(!table.is_synced("n"));
        table.handle(&part, Event::Init);
        table.handle(&part, Event::InitApply(object("c", "3", 6)));
        assert_eq!(table.of_namespace("n").count(), 2);
        assert_eq!(table.handle(&part, Event::InitDone).len(), 1);
        assert_eq!(table.of_namespace("n").count(), 1);
        assert_eq!(table.all().count(), 2);
        assert!(table.is_synced("n") && !table.is_synced("other"));
    }
}
