//! Founds a cluster: gives it an id and remembers its voters, once in its life.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use klamm_operator_api::{CLUSTER_LABEL, KafkaCluster};
use klamm_operator_manifests::Founding;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::DeserializeGuard;
use serde_json::json;
use tracing::info;

use super::api::{ApiError, bounded, namespaced};
use super::gather;
use super::round::Round;
use crate::kafka_id;

impl Round<'_> {
    /// Writes what the cluster is founded with into its status, before anything else is made. Two operators cannot both
    /// succeed, as the write is bound to the version that was read.
    pub async fn found(&mut self, voters: &BTreeSet<i32>) -> Result<(), ApiError> {
        let claims = namespaced::<PersistentVolumeClaim>(&self.context.client, &self.key.namespace);
        let ours = ListParams::default().labels(&format!("{CLUSTER_LABEL}={}", self.key.name));
        let left = bounded(format!("list claims of {}", self.key), claims.list(&ours)).await?;
        let left: Vec<_> = left.items.into_iter().map(Arc::new).collect();
        // A cache that has not seen the claims of an earlier life must not give their data a second identity.
        let founding = gather::founding(self.resource, &left)
            .unwrap_or_else(|| Founding { cluster_id: kafka_id::new_cluster_id(), voters: voters.clone() });
        info!(cluster = %self.key, id = founding.cluster_id, "founding");
        self.remember(&founding).await
    }

    /// Writes founding facts into the status.
    pub async fn remember(&mut self, founding: &Founding) -> Result<(), ApiError> {
        let api = namespaced::<KafkaCluster>(&self.context.client, &self.key.namespace);
        let patch = json!({
            "metadata": {"resourceVersion": self.resource.metadata.resource_version},
            "status": {"clusterId": founding.cluster_id, "quorum": {"voters": founding.voters}},
        });
        let what = format!("patch status of KafkaCluster {}", self.key);
        let patch = Patch::Merge(patch);
        let parameters =
            PatchParams { field_manager: Some(super::api::MANAGER.into()), ..Default::default() };
        let mut answer = bounded(what, api.patch_status(&self.key.name, &parameters, &patch)).await?;
        super::cache::strip(&mut answer);
        self.context.cache.lock().clusters.put(DeserializeGuard(Ok(answer)));
        self.progressed = true;
        Ok(())
    }
}
