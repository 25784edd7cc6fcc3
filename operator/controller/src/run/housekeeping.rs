//! What else belongs to a cluster: claims that grow or change hands, and what nothing uses any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service};
use klamm_operator_api::conditions::Reason;
use klamm_operator_manifests::{claims, config_map, services};
use klamm_operator_plan::quantity;
use klamm_operator_plan::status::Failure;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::Value;
use tracing::{info, warn};

use super::api::{ApiError, MANAGER, bounded, namespaced};
use super::cache;
use super::destructive::{self, Denied};
use super::key::Key;
use super::round::Round;

impl Round<'_> {
    /// Puts claims right and clears away what is left over. None of it holds anything else up.
    pub async fn keep_house(&mut self) {
        for claim in self.gathered.claims.values().cloned().collect::<Vec<_>>() {
            if let Some(patch) = claims::growth(&claim, &self.cluster) {
                self.grow(&claim, patch).await;
            }
            self.refuse_shrinking(&claim);
            let goes_along = self.goes_along();
            if let Some(patch) = claims::ownership(&claim, &self.cluster, goes_along) {
                let changed = destructive::change_owners(&self.context.client, &claim, patch).await;
                self.note_claim(changed, "ChangeClaimOwner", &claim);
            }
        }
        if self.progressed || !self.gathered.set_is_settled {
            return;
        }
        self.remove_config_maps().await;
        self.remove_services().await;
    }

    /// A claim of an earlier life may be larger than what is asked for now.
    fn refuse_shrinking(&mut self, claim: &PersistentVolumeClaim) {
        let asked =
            claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
        let Some(asked) = asked.map(|asked| &asked.0) else { return };
        if quantity::bytes(asked).is_some_and(|has| has > self.desired.cluster.storage.bytes) {
            let message = format!(
                "claim {} has {asked} and keeps it, as volumes never shrink: set spec.kafka.storage.size back to {asked}",
                claim.name_any()
            );
            let failure = Failure { reason: Reason::StorageChangeRefused, message };
            self.failures.entry(self.desired.cluster.subject()).or_insert(failure);
        }
    }

    fn goes_along(&self) -> bool {
        let storage = self.resource.spec.kafka.storage.as_ref();
        storage.is_some_and(|storage| storage.delete_claim == Some(true))
    }

    async fn grow(&mut self, claim: &PersistentVolumeClaim, patch: Value) {
        let (key, parameters) = (Key::of(claim), PatchParams::default());
        let parameters = PatchParams { field_manager: Some(MANAGER.into()), ..parameters };
        let api = namespaced::<PersistentVolumeClaim>(&self.context.client, &key.namespace);
        let what = format!("grow PersistentVolumeClaim {key}");
        let remembered = format!("grow {key} {patch}");
        if self.memory.told.contains(&remembered) {
            // It was refused, and will be until somebody changes something: the claim, its class or the size.
            return self.cannot_grow(&claim.name_any(), None);
        }
        match bounded(what, api.patch(&key.name, &parameters, &Patch::Merge(patch))).await {
            Err(error) if matches!(error.code(), Some(400 | 403 | 422)) => {
                self.memory.told.insert(remembered);
                self.cannot_grow(&claim.name_any(), Some(&error));
            }
            result => self.note_claim(result.map_err(Denied::from), "GrowClaim", claim),
        }
    }

    /// Says in the status that a claim stays as it is; an event tells it once.
    fn cannot_grow(&mut self, claim: &str, error: Option<&ApiError>) {
        let message = format!(
            "claim {claim} cannot grow: set spec.kafka.storage.size back, or let its StorageClass allow it \
             (allowVolumeExpansion)"
        );
        if let Some(error) = error {
            warn!(cluster = %self.key, "{error}");
            self.context.events.failed(self.resource, "GrowClaim", "ClaimCannotGrow", &message);
        }
        let failure = Failure { reason: Reason::VolumeNotExpandable, message };
        self.failures.insert(self.desired.cluster.subject(), failure);
    }

    fn note_claim(
        &mut self,
        result: Result<PersistentVolumeClaim, Denied>,
        step: &str,
        claim: &PersistentVolumeClaim,
    ) {
        match result {
            Ok(mut changed) => {
                cache::strip(&mut changed);
                self.context.cache.lock().claims.put(changed);
                self.context.metrics.acted(step, 1);
                self.context.events.done(self.resource, step, format!("{step}: {}", claim.name_any()));
            }
            Err(denied) => info!(cluster = %self.key, "{step} of {} waits: {denied}", claim.name_any()),
        }
    }

    async fn remove_config_maps(&mut self) {
        let Some(set) = self.gathered.set.clone() else { return };
        let maps: Vec<Arc<ConfigMap>> = self.gathered.config_maps.clone();
        let pods = self.gathered.pod_values();
        let unused = config_map::unused(maps.iter().map(|map| &**map), &pods, [&*set]);
        let candidates: Vec<&ConfigMap> = maps
            .iter()
            .map(|map| &**map)
            .filter(|map| unused.contains(&map.name_any().as_str()) && self.owns(*map))
            .collect();
        if candidates.is_empty() {
            return;
        }
        match destructive::remove_config_maps(&self.context.client, self.key, &set, &candidates).await {
            Ok(0) => {}
            Ok(count) => self.context.metrics.acted("RemoveConfigMap", count as u64),
            Err(denied) => info!(cluster = %self.key, "removal of ConfigMaps waits: {denied}"),
        }
    }

    /// Services of listeners and nodes that are not there any more.
    async fn remove_services(&mut self) {
        let ids: BTreeSet<i32> =
            self.gathered.ids().into_iter().chain(self.desired.cluster.nodes.keys().copied()).collect();
        let wanted = services::services(&self.cluster, &ids);
        let wanted: BTreeSet<String> = [wanted.headless, wanted.bootstrap]
            .into_iter()
            .chain(wanted.external)
            .map(|service| service.name_any())
            .collect();
        let surplus = |service: &&Service| !wanted.contains(&service.name_any()) && self.owns(*service);
        let surplus: Vec<Service> = self.gathered.services.iter().filter(surplus).cloned().collect();
        for service in surplus {
            match destructive::remove_service(&self.context.client, &service).await {
                Ok(()) => self.context.metrics.acted("RemoveService", 1),
                Err(denied) => info!(cluster = %self.key, "removal of a Service waits: {denied}"),
            }
        }
    }

    /// Whether an object was made for this very resource.
    fn owns(&self, object: &impl kube::Resource) -> bool {
        let owners = object.meta().owner_references.iter().flatten();
        owners.into_iter().any(|owner| owner.uid == self.cluster.uid)
    }
}
