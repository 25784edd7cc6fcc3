//! Resources to what is wanted, or every problem at once. The rules are those of the resources' CEL rules and those
//! that need more than one resource.
//!
//! - [`cluster`]: nodes, controllers, storage and amounts; [`listeners`]: where clients connect.
//! - [`topics`]: topics, and to which of several resources one belongs.
//! - [`config`]: configuration of brokers and topics.

mod cluster;
mod config;
mod listeners;
mod topics;

use crate::desired::Validated;
use crate::resources::{Problem, Resources};

/// What may be carried out, and everything that may not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admitted {
    /// What may be carried out: the cluster with those of its topics that have no problem; none if the cluster itself
    /// has one.
    pub desired: Option<Validated>,
    /// Every problem, in the order of the resources.
    pub problems: Vec<Problem>,
}

/// Resolves every default and judges every rule. A topic that is wrong concerns nobody but itself.
pub fn admit(resources: &Resources) -> Admitted {
    let mut problems = Vec::new();
    let name = resources.cluster.metadata.name.clone().unwrap_or_default();
    let cluster = cluster::cluster(&name, &resources.cluster.spec.kafka, &mut problems);
    let broken = !problems.is_empty();
    let sorted = topics::sort(&resources.topics, &cluster, &mut problems);
    let desired = Validated { cluster, topics: sorted.topics, leaving: sorted.leaving };
    Admitted { desired: (!broken).then_some(desired), problems }
}

/// The same where all or nothing is wanted, as of one file.
///
/// # Errors
/// Every problem that was found, in the order of the resources.
pub fn validate(resources: &Resources) -> Result<Validated, Vec<Problem>> {
    match admit(resources) {
        Admitted { desired: Some(desired), problems } if problems.is_empty() => Ok(desired),
        Admitted { problems, .. } => Err(problems),
    }
}
