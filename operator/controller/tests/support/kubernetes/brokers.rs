//! Brokers of one cluster as the operator sees them: topics, and a controller that grants one disruption at a time. A node
//! is back when another pod of it is ready.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use klamm_operator::admin::AdminError;
use klamm_operator::run::brokers::{Answer, Brokers, Change, Controller, Grant, Results, Seen};
use klamm_operator_plan::observed::{HostPort, ObservedPartition, ObservedTopic};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::api_server::ApiServer;
use super::controllers::pod_kind;

/// How long a grant lasts if nobody renews it.
const GRANTED_FOR: Duration = Duration::from_secs(300);

/// What the cluster is like.
#[derive(Debug, Default)]
pub struct State {
    pub topics: BTreeMap<String, ObservedTopic>,
    pub grant: Option<Held>,
    /// Why the controller grants nothing at the moment.
    pub refuses: Option<String>,
    /// Names of requests, in order.
    pub requests: Vec<&'static str>,
    /// The pod of each grant that was ever given.
    pub granted: BTreeSet<String>,
    grants: i64,
}

/// The grant that is out.
#[derive(Clone, Debug)]
pub struct Held {
    pub node: i32,
    pub id: i64,
    pub holder: String,
    /// The pod that the node was.
    pub uid: String,
    /// When it was given, or renewed.
    pub since: Instant,
}

/// The brokers of a cluster.
#[derive(Clone)]
pub struct Kafka {
    pub state: Arc<Mutex<State>>,
    pub server: ApiServer,
}

impl Kafka {
    pub fn new(server: &ApiServer) -> Self {
        Self { state: Arc::default(), server: server.clone() }
    }

    /// The pod of a node: its uid and whether it is ready.
    fn pod(&self, node: i32) -> Option<(String, bool)> {
        let index = node.to_string();
        let pods = self.server.store.lock().list(&pod_kind(), None);
        let pod = pods
            .into_iter()
            .find(|pod| pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"].as_str() == Some(&index))?;
        let ready = pod["status"]["conditions"][0]["status"] == "True"
            && pod["metadata"]["deletionTimestamp"].is_null();
        Some((pod["metadata"]["uid"].as_str()?.to_owned(), ready))
    }

    fn grants_now(&self) -> Vec<Grant> {
        let mut state = self.state.lock();
        state.grant.take_if(|held| held.since.elapsed() >= GRANTED_FOR);
        let Some(held) = state.grant.clone() else { return Vec::new() };
        drop(state);
        let restored = self.pod(held.node).is_some_and(|(uid, ready)| ready && uid != held.uid);
        let left = GRANTED_FOR.saturating_sub(held.since.elapsed());
        let expires_in_ms = i32::try_from(left.as_millis()).unwrap();
        vec![Grant { node: held.node, id: held.id, holder: held.holder, expires_in_ms, restored }]
    }

    fn note(&self, request: &'static str) {
        self.state.lock().requests.push(request);
    }

    fn begin_now(&self, node: i32, holder: &str) -> Answer {
        let uid = self.pod(node).map(|(uid, _)| uid).unwrap_or_default();
        let mut state = self.state.lock();
        if let Some(held) = &mut state.grant {
            if held.node != node || held.holder != holder {
                return Answer::Refused(vec![format!("node {} is away", held.node)]);
            }
            held.since = Instant::now();
            return Answer::Granted { id: held.id };
        }
        if let Some(why) = &state.refuses {
            return Answer::Refused(vec![why.clone()]);
        }
        state.grants += 1;
        let id = state.grants;
        state.granted.insert(uid.clone());
        state.grant = Some(Held { node, id, holder: holder.to_owned(), uid, since: Instant::now() });
        Answer::Granted { id }
    }

    fn change_now(&self, name: &str, change: &Change) -> Result<(), AdminError> {
        let mut state = self.state.lock();
        let id = format!("id-{}", state.topics.len());
        let unknown = || AdminError::Refused { code: 3, detail: "there is no such topic".into() };
        let partition = |copies: i32| ObservedPartition {
            replicas: (0..copies).collect(),
            isr: (0..copies).collect(),
            leader: Some(0),
        };
        match change {
            Change::Create { partitions, replicas, config } => {
                if config.values().any(|value| value == "987654321") {
                    return Err(AdminError::Refused { code: 40, detail: "it is nonsense".into() });
                }
                let count = usize::try_from(partitions.unwrap_or(1)).unwrap();
                let partitions = vec![partition(replicas.unwrap_or(1)); count];
                state.topics.entry(name.to_owned()).or_insert_with(|| ObservedTopic {
                    id,
                    partitions,
                    config: config.clone(),
                });
            }
            Change::Grow { to } => {
                let topic = state.topics.get_mut(name).ok_or_else(unknown)?;
                let one = topic.partitions[0].clone();
                topic.partitions.resize(usize::try_from(*to).unwrap(), one);
            }
            Change::Configure { set, reset } => {
                let topic = state.topics.get_mut(name).ok_or_else(unknown)?;
                topic.config.extend(set.clone());
                topic.config.retain(|key, _| !reset.contains(key));
            }
        }
        Ok(())
    }
}

impl Controller for Kafka {
    fn grants<'a>(&'a mut self, _: &'a [HostPort]) -> BoxFuture<'a, Result<Vec<Grant>, AdminError>> {
        async {
            self.note("grants");
            let grants = self.grants_now();
            // Only somebody who is about to restart the node asks this.
            for grant in &grants {
                let pod = self.pod(grant.node);
                self.state.lock().granted.extend(pod.map(|(uid, _)| uid));
            }
            Ok(grants)
        }
        .boxed()
    }
}

impl Brokers for Kafka {
    fn expect(&mut self, _: Option<&str>) {}

    fn look<'a>(&'a mut self, _: &'a [HostPort], _: &'a [String]) -> BoxFuture<'a, Result<Seen, AdminError>> {
        async {
            self.note("look");
            let topics = self.state.lock().topics.clone();
            Ok(Seen { topics, active_controller: Some(0), grants: Some(self.grants_now()) })
        }
        .boxed()
    }

    fn begin<'a>(
        &'a mut self,
        _: &'a [HostPort],
        node: i32,
        holder: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Answer, AdminError>> {
        async move {
            self.note("begin");
            Ok(self.begin_now(node, holder))
        }
        .boxed()
    }

    fn end<'a>(
        &'a mut self,
        _: &'a [HostPort],
        node: i32,
        grant: i64,
    ) -> BoxFuture<'a, Result<(), AdminError>> {
        async move {
            self.note("end");
            let mut state = self.state.lock();
            if state.grant.as_ref().is_some_and(|held| held.node == node && held.id == grant) {
                state.grant = None;
            }
            Ok(())
        }
        .boxed()
    }

    fn change<'a>(
        &'a mut self,
        _: &'a [HostPort],
        changes: &'a BTreeMap<String, Change>,
    ) -> BoxFuture<'a, Result<Results, AdminError>> {
        async move {
            self.note("change");
            Ok(changes.iter().map(|(name, change)| (name.clone(), self.change_now(name, change))).collect())
        }
        .boxed()
    }

    fn delete_topics<'a>(
        &'a mut self,
        _: &'a [HostPort],
        topics: &'a [String],
    ) -> BoxFuture<'a, Result<Results, AdminError>> {
        async move {
            self.note("delete");
            let mut state = self.state.lock();
            for name in topics {
                state.topics.remove(name);
            }
            Ok(topics.iter().map(|name| (name.clone(), Ok(()))).collect())
        }
        .boxed()
    }
}
