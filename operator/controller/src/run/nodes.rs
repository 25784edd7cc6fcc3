//! Carries out what concerns nodes: one ConfigMap and one StatefulSet for all steps together, and what surrounds them.

use std::collections::{BTreeMap, BTreeSet};

use klamm_operator_manifests::{objects, services, stateful_set};
use klamm_operator_plan::observed::Properties;
use klamm_operator_plan::{Action, Plan};

use super::api::ApiError;
use super::apply::Applier;
use super::round::Round;

impl Round<'_> {
    /// Makes every object what it should be. An object that somebody has deleted or changed is put right as well.
    pub async fn apply_nodes(&mut self, plan: &Plan) -> Result<(), ApiError> {
        let mut properties = self.gathered.stored.clone();
        properties.extend(planned(plan));
        let ids: BTreeSet<i32> =
            self.gathered.ids().into_iter().chain(self.desired.cluster.nodes.keys().copied()).collect();
        self.apply_services(&ids).await?;
        let existing = self.gathered.ids();
        let complete = existing.iter().all(|id| properties.contains_key(id));
        let (Some(founding), true) = (self.gathered.founding.clone(), complete && !properties.is_empty())
        else {
            return Ok(());
        };
        let wanted = objects(&self.cluster, &founding, &properties);
        let Self { context, memory, gathered, .. } = self;
        let mut applier =
            Applier { client: &context.client, cache: &context.cache, applied: &mut memory.applied };
        let mut written = applier.ensure(|cache| &mut cache.accounts, &wanted.service_account).await?;
        written |= applier.ensure(|cache| &mut cache.config_maps, &wanted.config_map).await?;
        written |= applier.ensure(|cache| &mut cache.policies, &wanted.network_policy).await?;
        for mut set in wanted.stateful_sets {
            if let Some(live) = &gathered.set {
                stateful_set::keep_what_cannot_change(&mut set, live);
            }
            written |= applier.ensure(|cache| &mut cache.sets, &set).await?;
        }
        written |= applier.ensure(|cache| &mut cache.budgets, &wanted.budget).await?;
        self.progressed |= written;
        self.tell_nodes(plan);
        Ok(())
    }

    async fn apply_services(&mut self, ids: &BTreeSet<i32>) -> Result<(), ApiError> {
        let wanted = services::services(&self.cluster, ids);
        let Self { context, memory, .. } = self;
        let mut applier =
            Applier { client: &context.client, cache: &context.cache, applied: &mut memory.applied };
        let all = [wanted.headless, wanted.bootstrap].into_iter().chain(wanted.external);
        for service in all {
            self.progressed |= applier.ensure(|cache| &mut cache.services, &service).await?;
        }
        Ok(())
    }

    /// Says what was done for single nodes, once for each.
    fn tell_nodes(&mut self, plan: &Plan) {
        for action in &plan.actions {
            if matches!(action, Action::CreateNode { .. } | Action::UpdateNodeConfig { .. }) {
                self.acted(action);
            }
        }
    }
}

/// The properties that nodes get in this plan.
fn planned(plan: &Plan) -> BTreeMap<i32, Properties> {
    let stored = |action: &Action| match action {
        Action::CreateNode { node, properties, .. } | Action::UpdateNodeConfig { node, properties } => {
            Some((*node, properties.clone()))
        }
        _ => None,
    };
    plan.actions.iter().filter_map(stored).collect()
}
