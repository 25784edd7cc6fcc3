//! What may be carried out of a cluster and its topics, and which resources there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use klamm_operator_api::conditions::Reason;
use klamm_operator_api::{KafkaCluster, KafkaTopic};
use klamm_operator_plan::status::{self, Failure, Failures};
use klamm_operator_plan::validate::{Admitted, admit};
use klamm_operator_plan::{Resources, Subject, Validated};
use kube::{Resource, ResourceExt};

use super::cache::Written;

/// The resources of topics by their name.
pub type ByName = BTreeMap<String, Arc<Written<KafkaTopic>>>;

/// The topics of a cluster.
#[derive(Debug, Default)]
pub struct Topics {
    /// The resources that are there to stay.
    pub present: ByName,
    /// The resources that are being deleted.
    pub leaving: ByName,
    /// What is wrong with single topics.
    pub failures: Failures,
}

/// Sorts topics and judges everything. The error is what is wrong with the cluster itself.
///
/// # Errors
/// If the cluster contradicts itself.
pub fn settle(
    cluster: &KafkaCluster,
    topics: &[Arc<Written<KafkaTopic>>],
) -> Result<(Validated, Topics), String> {
    let mut readable = Vec::new();
    let mut sorted = Topics::default();
    for resource in topics {
        let name = resource.name_any();
        match &resource.0 {
            Ok(topic) => readable.push(topic.clone()),
            Err(error) => {
                let failure = Failure { reason: Reason::InvalidSpec, message: error.to_string() };
                sorted.failures.insert(Subject::Topic(name.clone()), failure);
            }
        }
        let leaves = resource.meta().deletion_timestamp.is_some();
        let into = if leaves { &mut sorted.leaving } else { &mut sorted.present };
        into.insert(name, resource.clone());
    }
    let Admitted { desired, problems } = admit(&Resources { cluster: cluster.clone(), topics: readable });
    let mut failures = status::failures(&problems);
    let of_cluster = failures.remove(&Subject::Cluster(cluster.name_any()));
    let desired = desired.ok_or_else(|| of_cluster.map(|failure| failure.message).unwrap_or_default())?;
    sorted.failures.extend(failures);
    Ok((desired, sorted))
}
