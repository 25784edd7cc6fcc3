//! Everything together: the API server, its controllers, brokers, and an operator that can be killed and started again.

use std::sync::Arc;
use std::time::Duration;

use klamm_operator::run::context::Settings;
use klamm_operator::run::http::Health;
use klamm_operator::run::key::Scope;
use klamm_operator::run::operator::Operator;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::api_server::{ApiServer, Call};
use super::brokers::Kafka;
use super::controllers;
use super::path::Kind;

/// The namespace of everything.
pub const NAMESPACE: &str = "shop";
/// How long anything may take, in simulated time.
const BOUND: Duration = Duration::from_secs(300);

pub struct World {
    pub server: ApiServer,
    pub kafka: Kafka,
    pub health: Health,
    controllers: JoinHandle<()>,
    operator: Option<(JoinHandle<()>, CancellationToken)>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.controllers.abort();
        self.kill();
    }
}

impl World {
    /// A Kubernetes without an operator.
    pub fn new() -> Self {
        let server = ApiServer::default();
        let kafka = Kafka::new(&server);
        let controllers = tokio::spawn(controllers::run(server.clone()));
        Self { server, kafka, health: Health::default(), controllers, operator: None }
    }

    /// Starts an operator.
    pub fn start(&mut self) {
        let kafka = self.kafka.clone();
        let operator = Operator {
            client: self.server.client(),
            scope: Scope::Only(vec![NAMESPACE.into()]),
            settings: Settings { broker_image: "broker:1".into(), operator: None },
            connect: Arc::new(move || Box::new(kafka.clone())),
            health: self.health.clone(),
            instance: "test".into(),
        };
        let stop = CancellationToken::new();
        self.operator = Some((tokio::spawn(operator.run(stop.clone())), stop));
    }

    /// Ends the operator in the middle of whatever it does.
    pub fn kill(&mut self) {
        if let Some((operator, _)) = self.operator.take() {
            operator.abort();
        }
    }

    /// Waits in simulated time until something holds; says what, if it never does.
    pub async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < BOUND, "{what}: never; the objects are {:#?}", self.summary());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets simulated time pass.
    pub async fn pass(&self, time: Duration) {
        sleep(time).await;
    }

    /// A KafkaCluster, created or replaced like kubectl does it.
    pub fn cluster(&self, name: &str, kafka: Value) {
        self.put("kafkaclusters", "KafkaCluster", name, json!({"kafka": kafka}), &json!({}));
    }

    /// A KafkaTopic of a cluster.
    pub fn topic(&self, name: &str, cluster: &str, spec: Value) {
        self.put("kafkatopics", "KafkaTopic", name, spec, &json!({"klamm.dev/cluster": cluster}));
    }

    fn put(&self, resource: &str, kind: &str, name: &str, spec: Value, labels: &Value) {
        let mut store = self.server.store.lock();
        let at = (&Kind::new("klamm.dev", resource), NAMESPACE, name);
        match store.get(at).cloned() {
            Some(mut object) => {
                object["spec"] = spec;
                store.update(at, object, false).unwrap();
            }
            None => {
                let object = json!({"apiVersion": "klamm.dev/v1alpha1", "kind": kind,
                    "metadata": {"labels": labels}, "spec": spec});
                store.create(at, object).unwrap();
            }
        }
        drop(store);
        self.server.notify();
    }

    pub fn get(&self, group: &str, resource: &str, name: &str) -> Option<Value> {
        self.server.store.lock().get((&Kind::new(group, resource), NAMESPACE, name)).cloned()
    }

    pub fn delete(&self, group: &str, resource: &str, name: &str) {
        let gracefully = resource == "pods";
        let at = (&Kind::new(group, resource), NAMESPACE, name);
        self.server.store.lock().delete(at, &Value::Null, gracefully).unwrap();
        self.server.notify();
    }

    /// Makes an object like somebody with an editor.
    pub fn create(&self, kind: &Kind, name: &str, object: Value) {
        self.server.store.lock().create((kind, NAMESPACE, name), object).unwrap();
        self.server.notify();
    }

    /// Changes an object like somebody with an editor.
    pub fn edit(&self, group: &str, resource: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.get(group, resource, name).unwrap();
        change(&mut object);
        let at = (&Kind::new(group, resource), NAMESPACE, name);
        self.server.store.lock().update(at, object, false).unwrap();
        self.server.notify();
    }

    pub fn names(&self, group: &str, resource: &str) -> Vec<String> {
        let all = self.server.store.lock().list(&Kind::new(group, resource), Some(NAMESPACE));
        all.iter().map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The condition of a resource: its status, reason and message.
    pub fn condition(&self, resource: &str, name: &str, type_: &str) -> (String, String, String) {
        let object = self.get("klamm.dev", resource, name).unwrap_or_default();
        let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = all.into_iter().find(|condition| condition["type"] == type_).unwrap_or_default();
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"), text("message"))
    }

    pub fn is_ready(&self, resource: &str, name: &str) -> bool {
        self.condition(resource, name, "Ready").0 == "True"
    }

    /// Whether a cluster is ready and nothing is left to do.
    pub fn is_settled(&self, name: &str) -> bool {
        self.is_ready("kafkaclusters", name)
            && self.condition("kafkaclusters", name, "Reconciling").0 == "False"
            && self.kafka.state.lock().grant.is_none()
    }

    /// The uids of pods by name.
    pub fn pod_uids(&self) -> Vec<(String, String)> {
        let pods = self.server.store.lock().list(&controllers::pod_kind(), None);
        let text = |pod: &Value, field: &str| pod["metadata"][field].as_str().unwrap().to_owned();
        pods.iter().map(|pod| (text(pod, "name"), text(pod, "uid"))).collect()
    }

    /// The calls that the operator has made since the last time, without events.
    pub fn calls(&self) -> Vec<Call> {
        let mut calls = self.server.take_calls();
        calls.retain(|call| call.resource != "events");
        calls
    }

    fn summary(&self) -> Vec<String> {
        let store = self.server.store.lock();
        let line = |((kind, _, name), object): (&(Kind, String, String), &Value)| {
            format!("{} {name}: {}", kind.resource, object["status"])
        };
        store.objects.iter().map(line).collect()
    }
}
