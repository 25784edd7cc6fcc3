//! The claims of a cluster: how much they should hold, and whose they are.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use klamm_operator_plan::quantity;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Storage};
use crate::labels;

/// The merge patch that lets a claim grow to what the cluster asks for; none if it asks for as much already, for no
/// claims, or for less, which no volume can become.
pub fn growth(claim: &PersistentVolumeClaim, cluster: &Cluster) -> Option<Value> {
    let Storage::Claim { size, .. } = &cluster.storage else { return None };
    let asked = &claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")?.0;
    let grows = quantity::bytes(size)? > quantity::bytes(asked)?;
    grows.then(|| json!({ "spec": { "resources": { "requests": { "storage": size } } } }))
}

/// The merge patch that lets a claim go with the cluster, or keeps it from doing so; none if it is so already.
pub fn ownership(claim: &PersistentVolumeClaim, cluster: &Cluster, goes_along: bool) -> Option<Value> {
    let mut owners = claim.metadata.owner_references.clone().unwrap_or_default();
    let owned = owners.iter().any(|owner| owner.uid == cluster.uid);
    if owned == goes_along {
        return None;
    }
    if goes_along {
        owners.push(labels::owner(cluster));
    } else {
        owners.retain(|owner| owner.uid != cluster.uid);
    }
    Some(json!({ "metadata": { "ownerReferences": owners } }))
}
