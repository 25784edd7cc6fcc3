//! A KafkaCluster on Kubernetes as a scenario holds it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use klamm_harness::Client;
use serde_json::{Value, json};

use crate::api::{CLUSTER, POD, SERVICE, STATEFUL_SET, TOPIC, is_true, name_of, until};
use crate::manifest;
use crate::namespace::Namespace;
use crate::traffic::client;

/// Longest wait for a cluster to come to rest, on two busy cores.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster in a namespace.
#[derive(Clone, Copy)]
pub struct Cluster<'a> {
    /// Where it is.
    pub namespace: &'a Namespace,
    /// Its name.
    pub name: &'a str,
}

impl<'a> Cluster<'a> {
    /// Applies a manifest of [`manifest`] and waits until the cluster is ready.
    ///
    /// # Errors
    /// It is refused, or not ready in time.
    pub fn apply(namespace: &'a Namespace, name: &'a str, manifest: &Value) -> Result<Self> {
        namespace.apply(manifest)?;
        let cluster = Self { namespace, name };
        cluster.settled()?;
        Ok(cluster)
    }

    /// The resource.
    ///
    /// # Errors
    /// It is not there.
    pub fn get(&self) -> Result<Value> {
        self.namespace.get(CLUSTER, self.name)
    }

    /// Waits until it is ready for its current generation, and as many pods are ready as it has nodes.
    ///
    /// # Errors
    /// Not in time.
    pub fn settled(&self) -> Result<Value> {
        let kubernetes = self.namespace.kubernetes();
        let is_settled = |cluster: &Value| {
            is_true(cluster, "Ready")
                && cluster["status"]["operations"]["roll"]["brokers"].as_array().is_none_or(Vec::is_empty)
        };
        let place = (self.namespace.name(), CLUSTER, self.name);
        let cluster = kubernetes.until(PATIENCE, place, "is ready", is_settled)?;
        let nodes = cluster["spec"]["kafka"]["replicas"].as_u64().unwrap_or_default();
        until(PATIENCE, &format!("{nodes} pods of {} are ready", self.name), || {
            let ready = self.pods()?.values().filter(|pod| is_true(pod, "Ready")).count();
            Ok((ready as u64 == nodes).then_some(()))
        })?;
        self.get()
    }

    /// Its pods by node id.
    ///
    /// # Errors
    /// The API server does not answer, or a pod has no index.
    pub fn pods(&self) -> Result<BTreeMap<i32, Value>> {
        let selector = format!("app.kubernetes.io/component=kafka,klamm.dev/cluster={}", self.name);
        let pods = self.namespace.list(POD, &selector)?;
        let id = |pod: &Value| {
            let index = pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"].as_str();
            anyhow::Ok(index.with_context(|| format!("{} has no index", name_of(pod)))?.parse()?)
        };
        pods.into_iter().map(|pod| Ok((id(&pod)?, pod))).collect()
    }

    /// One pod.
    ///
    /// # Errors
    /// It is not there.
    pub fn pod(&self, id: i32) -> Result<Value> {
        self.pods()?.remove(&id).with_context(|| format!("{} has no pod {id}", self.name))
    }

    /// The name of its stateful set.
    pub fn workload(&self) -> String {
        format!("{}-kafka", self.name)
    }

    /// Its services by name.
    ///
    /// # Errors
    /// The API server does not answer.
    pub fn services(&self) -> Result<BTreeMap<String, Value>> {
        let services = self.namespace.list(SERVICE, &format!("klamm.dev/cluster={}", self.name))?;
        Ok(services.into_iter().map(|service| (name_of(&service), service)).collect())
    }

    /// What clients put into `bootstrap.servers` for a listener.
    ///
    /// # Errors
    /// The status does not say.
    pub fn bootstrap(&self, listener: &str) -> Result<String> {
        let status = self.get()?["status"]["listeners"].clone();
        let found = status.as_array().and_then(|all| all.iter().find(|l| l["name"] == listener));
        let bootstrap = found.and_then(|l| l["bootstrapServers"].as_str()).filter(|b| !b.is_empty());
        Ok(bootstrap.with_context(|| format!("no bootstrap servers of {listener} in {status}"))?.to_owned())
    }

    /// A client outside of the cluster, once it gets an answer: nodes open their ports a moment after they are told to.
    ///
    /// # Errors
    /// There is no external listener, or nobody answers in time.
    pub fn client(&self) -> Result<Client> {
        let mut client = client(&self.bootstrap(manifest::EXTERNAL)?);
        until(PATIENCE, "a broker answers", || client.topology().map(Some))?;
        Ok(client)
    }

    /// Applies a topic and waits until it is there.
    ///
    /// # Errors
    /// It is refused or not ready in time.
    pub fn topic(&self, name: &str, partitions: u32) -> Result<Value> {
        self.namespace.apply(&manifest::topic(name, self.name, partitions))?;
        self.namespace.until_ready(TOPIC, name)
    }

    /// Sets fields of `spec.kafka`.
    ///
    /// # Errors
    /// They are refused.
    pub fn change(&self, fields: &Value) -> Result<()> {
        self.namespace.merge(CLUSTER, self.name, &json!({ "spec": { "kafka": fields } })).map(drop)
    }

    /// Waits until the partitions of a topic are in sync on all their replicas.
    ///
    /// # Errors
    /// Not in time.
    pub fn in_sync(&self, topic: &str, partitions: i32) -> Result<()> {
        let mut client = self.client()?;
        until(PATIENCE, &format!("{topic} is in sync"), || {
            let topology = client.topology()?;
            for partition in 0..partitions {
                let (isr, replicas) = (topology.isr(topic, partition)?, topology.replicas(topic, partition)?);
                ensure!(isr.len() == replicas.len(), "{topic}-{partition}: {isr:?} of {replicas:?}");
            }
            Ok(Some(()))
        })
    }

    /// The stateful set.
    ///
    /// # Errors
    /// It is not there.
    pub fn stateful_set(&self) -> Result<Value> {
        self.namespace.get(STATEFUL_SET, &self.workload())
    }
}

/// The uid of an object.
pub fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}
