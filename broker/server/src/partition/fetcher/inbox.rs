//! What a fetcher is told while it waits.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Key;
use crate::partition::replica::Partition;

/// News for one fetcher.
#[derive(Default)]
pub(super) struct Inbox {
    news: Mutex<News>,
    /// Anything is new.
    any: Notify,
    /// A partition or another process of the leader, which does not wait for the fetch under way.
    urgent: Notify,
}

/// News since they were last taken.
#[derive(Default)]
pub(super) struct News {
    /// Partitions to fetch from now on, or in a new leader epoch.
    pub assigned: Vec<Arc<Partition>>,
    /// Partitions not to fetch any more.
    pub removed: Vec<Key>,
    /// Partitions whose log has stored what was fetched.
    pub stored: Vec<Key>,
    /// The leader's registration changed.
    pub broker_changed: bool,
}

impl Inbox {
    pub(super) fn assign(&self, partition: Arc<Partition>) {
        self.news.lock().assigned.push(partition);
        self.any.notify_one();
        self.urgent.notify_one();
    }

    pub(super) fn remove(&self, key: Key) {
        let mut news = self.news.lock();
        news.assigned.retain(|partition| (partition.topic_id, partition.index) != key);
        news.removed.push(key);
        drop(news);
        self.any.notify_one();
    }

    pub(super) fn stored(&self, key: Key) {
        self.news.lock().stored.push(key);
        self.any.notify_one();
    }

    pub(super) fn broker_changed(&self) {
        self.news.lock().broker_changed = true;
        self.any.notify_one();
        self.urgent.notify_one();
    }

    pub(super) fn take(&self) -> News {
        std::mem::take(&mut *self.news.lock())
    }

    /// Waits until something is new.
    pub(super) async fn any(&self) {
        self.any.notified().await;
    }

    /// Waits until a partition is assigned, or the leader is another process.
    pub(super) async fn urgent(&self) {
        loop {
            self.urgent.notified().await;
            // The notice may be about what was taken already.
            let news = self.news.lock();
            if !news.assigned.is_empty() || news.broker_changed {
                return;
            }
        }
    }
}
