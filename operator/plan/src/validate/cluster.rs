//! The rules of a cluster: its name, nodes, controllers, storage and amounts.

use klamm_operator_api::cluster::{KafkaSpec, name_problem};
use klamm_operator_api::quantity::ResourceRequirements;
use klamm_operator_api::storage::{DEFAULT_SIZE, Storage, StorageType};

use super::{config, listeners};
use crate::desired::{DesiredCluster, DesiredStorage, Roles};
use crate::quantity;
use crate::resources::{Problem, Subject};

/// The most controllers that a cluster has where `spec.kafka.controllers` is not given.
const DEFAULT_CONTROLLERS: i32 = 3;
/// More nodes than this are not a wish but a slip.
const MAX_NODES: i32 = 1000;

/// The cluster with every default resolved.
pub fn cluster(name: &str, spec: &KafkaSpec, problems: &mut Vec<Problem>) -> DesiredCluster {
    let subject = Subject::Cluster(name.to_owned());
    if let Some(message) = name_problem(name) {
        problems.push(Problem::new(&subject, &["metadata", "name"], message));
    }
    if !(1..=MAX_NODES).contains(&spec.replicas) {
        let message = format!("{} nodes cannot be: set it to 1 at least, {MAX_NODES} at most", spec.replicas);
        problems.push(Problem::new(&subject, &["spec", "kafka", "replicas"], message));
    }
    let controllers = controllers(&subject, spec, problems);
    amounts(&subject, spec.resources.as_ref(), problems);
    let ids = 0..spec.replicas.clamp(0, MAX_NODES);
    DesiredCluster {
        name: name.to_owned(),
        nodes: ids.map(|id| (id, Roles { broker: true, controller: id < controllers })).collect(),
        listeners: listeners::listeners(&subject, spec.listeners.as_deref(), problems),
        storage: storage(&subject, spec.storage.as_ref(), problems),
        config: config::of_brokers(&subject, &spec.config, problems),
    }
}

/// How many of the nodes are controllers.
fn controllers(subject: &Subject, spec: &KafkaSpec, problems: &mut Vec<Problem>) -> i32 {
    let (path, replicas) = (["spec", "kafka", "controllers"], spec.replicas);
    let count = spec.controllers.unwrap_or_else(|| replicas.min(DEFAULT_CONTROLLERS));
    let message = match spec.controllers {
        None if count % 2 == 0 => {
            let path = ["spec", "kafka", "replicas"];
            let message = format!(
                "{replicas} nodes would make {count} controllers, and neither may fail: \
                 set replicas to 3, or controllers to 1"
            );
            problems.push(Problem::new(subject, &path, message));
            return count;
        }
        Some(count) if count % 2 == 0 => format!(
            "{count} controllers survive no more failures than {}: set an odd number, 1, 3 or 5",
            count.saturating_sub(1)
        ),
        Some(count) if count > replicas => format!(
            "{count} controllers need {count} nodes, and there are {replicas}: \
             raise replicas to {count}, or lower controllers to an odd number that is not above {replicas}"
        ),
        Some(count) if count < 0 => format!("{count} controllers cannot be: set an odd number, 1, 3 or 5"),
        _ => return count,
    };
    problems.push(Problem::new(subject, &path, message));
    count
}

fn storage(subject: &Subject, storage: Option<&Storage>, problems: &mut Vec<Problem>) -> DesiredStorage {
    let mut report = |field: &str, message: String| {
        problems.push(Problem::new(subject, &["spec", "kafka", "storage", field], message));
    };
    let size = storage.and_then(|storage| storage.size.as_deref()).unwrap_or(DEFAULT_SIZE);
    let bytes = quantity::bytes(size).unwrap_or(0);
    if bytes == 0 {
        report("size", format!("{size:?} is not an amount of space: write for example 100Gi"));
    }
    let kind = storage.map(|storage| storage.type_).unwrap_or_default();
    let class = storage.and_then(|storage| storage.class.clone());
    let of_claims = class.is_some() || storage.is_some_and(|storage| storage.delete_claim.is_some());
    if kind == StorageType::Ephemeral && of_claims {
        let message =
            "ephemeral storage has no claim: take class and deleteClaim out, or set it to persistent-claim";
        report("type", message.into());
    }
    DesiredStorage { kind, bytes, class }
}

fn amounts(subject: &Subject, resources: Option<&ResourceRequirements>, problems: &mut Vec<Problem>) {
    let Some(resources) = resources else { return };
    for (field, amounts) in [("requests", &resources.requests), ("limits", &resources.limits)] {
        for (name, amount) in amounts {
            let amount = amount.to_string();
            if !quantity::is_amount(&amount) {
                let message = format!("{amount:?} is no amount: write for example 500m or 1Gi");
                problems.push(Problem::new(subject, &["spec", "kafka", "resources", field, name], message));
            }
        }
    }
}
