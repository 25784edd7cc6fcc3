//! What every look at a cluster needs.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use klamm_operator_manifests::cluster::Operator;
use kube::Client;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::brokers::Connect;
use super::cache::Cache;
use super::events::Events;
use super::metrics::Metrics;

/// What every look at a cluster needs.
#[derive(Clone)]
pub struct Context {
    /// The way to Kubernetes.
    pub client: Client,
    /// What is known.
    pub cache: Arc<Mutex<Cache>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is told.
    pub events: Events,
    /// Makes the way to the brokers of a cluster.
    pub connect: Arc<Connect>,
    /// Said when the addresses of Kubernetes' machines are needed.
    pub machines_needed: Arc<Notify>,
    /// What is the same for all clusters.
    pub settings: Arc<Settings>,
}

/// What is the same for all clusters.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The image of brokers whose resource names none.
    pub broker_image: String,
    /// The pods of this operator, which network policies let in.
    pub operator: Option<Operator>,
}

/// The present time as it stands in resources.
pub fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
