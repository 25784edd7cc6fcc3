//! Watches: feed the cache and say which clusters have to be looked at.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, watcher};
use kube::{Api, Resource, ResourceExt};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::api::chain;
use super::cache::{self, Cache};
use super::key::{Key, Scope};
use super::queue::Queue;
use super::table::{Change, Table};

/// Objects that are written together are looked at together.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// What the operator made itself.
const OURS: &str = "app.kubernetes.io/managed-by=klamm-operator";

/// Starts every watch. They go on until the set is dropped.
pub fn start(
    client: &kube::Client,
    scope: &Scope,
    cache: &Arc<Mutex<Cache>>,
    queue: &Arc<Queue>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for part in scope.parts() {
        let watches = Watches { client, part, cache, queue, tasks: &mut tasks };
        watches.all();
    }
    tasks
}

struct Watches<'a> {
    client: &'a kube::Client,
    part: Option<String>,
    cache: &'a Arc<Mutex<Cache>>,
    queue: &'a Arc<Queue>,
    tasks: &'a mut JoinSet<()>,
}

/// How one kind is watched.
struct Kind<K> {
    table: fn(&mut Cache) -> &mut Table<K>,
    cluster: fn(&K) -> Option<Key>,
    /// Whether a change needs a look.
    matters: fn(&K, &K) -> bool,
    config: Config,
}

impl Watches<'_> {
    fn all(mut self) {
        self.watch(Kind {
            table: |cache| &mut cache.clusters,
            cluster: |cluster| Some(Key::of(cluster)),
            matters: beyond_status,
            config: Config::default(),
        });
        self.watch(Kind {
            table: |cache| &mut cache.topics,
            cluster: cache::cluster_of_topic,
            matters: beyond_status,
            config: Config::default(),
        });
        self.watch_ours(|cache| &mut cache.sets);
        self.watch_ours(|cache| &mut cache.pods);
        self.watch_ours(|cache| &mut cache.claims);
        self.watch_ours(|cache| &mut cache.config_maps);
        self.watch_ours(|cache| &mut cache.services);
        self.watch_ours(|cache| &mut cache.policies);
        self.watch_ours(|cache| &mut cache.budgets);
        self.watch_ours(|cache| &mut cache.accounts);
    }

    fn watch_ours<K>(&mut self, table: fn(&mut Cache) -> &mut Table<K>)
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + 'static,
    {
        let config = Config::default().labels(OURS);
        self.watch(Kind { table, cluster: cache::cluster_of_label, matters: |_, _| true, config });
    }

    fn watch<K>(&mut self, kind: Kind<K>)
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + 'static,
    {
        let api: Api<K> = match &self.part {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let (part, cache, queue) = (self.part.clone(), self.cache.clone(), self.queue.clone());
        self.tasks.spawn(async move {
            let name = K::kind(&()).into_owned();
            let stream = watcher(api, kind.config.page_size(100)).modify(cache::strip).default_backoff();
            let mut stream = std::pin::pin!(stream);
            while let Some(event) = stream.next().await {
                match event {
                    Ok(event) => {
                        let changes = (kind.table)(&mut cache.lock()).handle(&part, event);
                        wake(&queue, changes, kind.cluster, kind.matters);
                    }
                    // The watch goes on by itself; what was known stays known.
                    Err(error) if is_forbidden(&error) => {
                        warn!(kind = name, "cannot watch: {}", chain(&error));
                    }
                    Err(error) => debug!(kind = name, "watch is interrupted: {}", chain(&error)),
                }
            }
        });
    }
}

fn wake<K>(
    queue: &Queue,
    changes: Vec<Change<K>>,
    cluster: fn(&K) -> Option<Key>,
    matters: fn(&K, &K) -> bool,
) {
    let at = Instant::now() + DEBOUNCE;
    for Change { before, after } in changes {
        if let (Some(before), Some(after)) = (&before, &after)
            && !matters(before, after)
        {
            continue;
        }
        let clusters = [before.as_deref().and_then(cluster), after.as_deref().and_then(cluster)];
        for key in clusters.into_iter().flatten() {
            queue.add(key, at);
        }
    }
}

/// Whether two versions differ in anything that people write. What the operator writes into status wakes nobody.
fn beyond_status<K: Resource<DynamicType = ()>>(before: &K, after: &K) -> bool {
    before.meta().uid != after.meta().uid
        || before.meta().generation != after.meta().generation
        || before.meta().deletion_timestamp != after.meta().deletion_timestamp
        || before.labels() != after.labels()
        || before.annotations() != after.annotations()
        || before.finalizers() != after.finalizers()
}

/// Whether a kind may not be watched, or is not served.
pub fn is_forbidden(error: &kube::runtime::watcher::Error) -> bool {
    use kube::runtime::watcher::Error;
    let (Error::InitialListFailed(error) | Error::WatchFailed(error) | Error::WatchStartFailed(error)) =
        error
    else {
        return false;
    };
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404))
}
