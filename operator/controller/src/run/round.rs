//! One look at a cluster: what is wanted, what is there, what is remembered.

use klamm_operator_api::KafkaCluster;
use klamm_operator_manifests::{Cluster, Places};
use klamm_operator_plan::observed::HostPort;
use klamm_operator_plan::status::Failures;
use klamm_operator_plan::{Observed, Validated};

use super::context::Context;
use super::gather::Gathered;
use super::key::Key;
use super::memory::Memory;
use super::settle::Topics;

/// One look at a cluster.
pub struct Round<'a> {
    /// What every look needs.
    pub context: &'a Context,
    /// The cluster.
    pub key: &'a Key,
    /// Its resource.
    pub resource: &'a KafkaCluster,
    /// What is wanted.
    pub desired: Validated,
    /// The same, as far as it concerns Kubernetes.
    pub cluster: Cluster,
    /// What is there.
    pub gathered: Gathered,
    /// Where nodes are reached.
    pub places: Places,
    /// What is there, as the planner sees it.
    pub observed: Observed,
    /// Where brokers can be asked.
    pub at: Vec<HostPort>,
    /// The topics, sorted.
    pub topics: Topics,
    /// What is remembered.
    pub memory: &'a mut Memory,
    /// What could not be done, by resource.
    pub failures: Failures,
    /// Whether something was done, so that another look follows at once.
    pub progressed: bool,
}

impl Round<'_> {
    /// Who holds grants for this cluster: a name that outlives the operator and no other cluster has.
    pub fn holder(&self) -> String {
        self.cluster.uid.clone()
    }
}
