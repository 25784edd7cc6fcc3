//! Finalizers of topics: only a topic that is to be deleted with its resource has one, and none outlives the cluster.

use std::sync::Arc;

use klamm_operator_api::KafkaTopic;
use klamm_operator_api::conditions::Reason;
use klamm_operator_api::topic::DeletionPolicy;
use klamm_operator_plan::status::Failure;
use klamm_operator_plan::{Action, Plan, Subject};
use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::{Resource, ResourceExt};
use serde_json::json;
use tokio::time::Instant;
use tracing::{info, warn};

use super::api::{ApiError, MANAGER, bounded, namespaced};
use super::brokers::Results;
use super::cache::{self, Written};
use super::context::Context;
use super::destructive::{self, Denied, Doomed};
use super::key::Key;
use super::round::Round;

/// The finalizer.
pub const FINALIZER: &str = "klamm.dev/topic";

impl Round<'_> {
    /// Gives finalizers to topics that need one, before their topics are made, and takes them from others.
    pub async fn bind_topics(&mut self) -> Result<(), ApiError> {
        for topic in self.topics.present.values().cloned().collect::<Vec<_>>() {
            let Ok(resource) = &topic.0 else { continue };
            let wanted = resource.deletion_policy() == DeletionPolicy::Delete;
            if wanted != is_bound(&topic) {
                set_finalizer(self.context, &topic, wanted).await?;
            }
        }
        Ok(())
    }

    /// Deletes the topics of resources that are being deleted and ask for it, and lets go what nothing waits for.
    pub async fn leave(&mut self, plan: &Plan) -> Result<(), ApiError> {
        for name in &plan.released {
            if let Some(resource) = self.topics.leaving.get(name).filter(|resource| is_bound(resource)) {
                set_finalizer(self.context, resource, false).await?;
            }
        }
        // What cannot be read asks for nothing.
        for resource in
            self.topics.leaving.values().filter(|resource| resource.0.is_err() && is_bound(resource))
        {
            set_finalizer(self.context, resource, false).await?;
        }
        let now = Instant::now().into_std();
        let due = |action: &&Action| {
            matches!(action, Action::DeleteTopic { .. }) && self.memory.attempts.is_due(action, now)
        };
        let due: Vec<&Action> = plan.actions.iter().filter(due).collect();
        let mut doomed = Vec::new();
        for action in &due {
            let Some(resource) = self.leaver(action) else { continue };
            let Ok(resource) = &resource.0 else { continue };
            match Doomed::confirm(&self.context.client, resource).await {
                Ok(confirmed) => doomed.push(confirmed),
                Err(denied) => info!(cluster = %self.key, "{action} waits: {denied}"),
            }
        }
        if !doomed.is_empty() {
            let results = destructive::delete_topics(&mut *self.memory.brokers, &self.at, doomed).await;
            self.note_deletions(&due, results);
        }
        Ok(())
    }

    /// The resource that takes its topic along.
    fn leaver(&self, action: &Action) -> Option<Arc<Written<KafkaTopic>>> {
        let (name, _) = self
            .desired
            .leaving
            .iter()
            .find(|(_, topic)| topic.delete.is_some() && action.topic() == Some(topic.name.as_str()))?;
        self.topics.leaving.get(name).cloned()
    }

    fn note_deletions(&mut self, due: &[&Action], results: Result<Results, Denied>) {
        (self.memory.ask, self.memory.asked) = (true, None);
        let mut results = match results {
            Ok(results) => results,
            Err(denied) => return info!(cluster = %self.key, "DeleteTopic waits: {denied}"),
        };
        for action in due {
            let Some(resource) = self.leaver(action) else { continue };
            let subject = Subject::Topic(resource.name_any());
            let now = Instant::now().into_std();
            match action.topic().and_then(|topic| results.remove(topic)) {
                Some(Ok(())) => {
                    self.memory.attempts.succeeded(action, subject, now);
                    self.progressed = true;
                    self.context.metrics.acted(action.name(), 1);
                    if let Ok(resource) = &resource.0 {
                        self.context.events.done(resource, action.name(), action.to_string());
                    }
                }
                Some(Err(error)) => {
                    warn!(cluster = %self.key, "{action} failed: {error}");
                    let failure = Failure { reason: Reason::KafkaError, message: error.detail() };
                    self.memory.attempts.failed(action, subject, failure, now);
                }
                None => {}
            }
        }
    }
}

/// Lets topics go whose cluster is not there.
///
/// # Errors
/// If Kubernetes refuses or does not answer.
pub async fn release_all(context: &Context, topics: &[Arc<Written<KafkaTopic>>]) -> Result<(), ApiError> {
    for topic in topics {
        let leaves = topic.meta().deletion_timestamp.is_some();
        if leaves && is_bound(topic) {
            set_finalizer(context, topic, false).await?;
        }
    }
    Ok(())
}

fn is_bound(topic: &Written<KafkaTopic>) -> bool {
    topic.finalizers().iter().any(|finalizer| finalizer == FINALIZER)
}

/// Adds or removes the finalizer. The list is replaced as a whole, so the write is bound to the version that was read.
async fn set_finalizer(context: &Context, topic: &Written<KafkaTopic>, bound: bool) -> Result<(), ApiError> {
    let mut finalizers = topic.finalizers().to_vec();
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    if bound {
        finalizers.push(FINALIZER.into());
    }
    let key = Key::of(topic);
    let meta = topic.meta();
    let patch = json!({"metadata": {
        "finalizers": finalizers, "resourceVersion": meta.resource_version, "uid": meta.uid,
    }});
    let api = namespaced::<KafkaTopic>(&context.client, &key.namespace);
    let parameters = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    let what = format!("patch finalizers of KafkaTopic {key}");
    match bounded(what, api.patch(&key.name, &parameters, &Patch::Merge(patch))).await {
        Ok(mut answer) => {
            cache::strip(&mut answer);
            context.cache.lock().topics.put(DeserializeGuard(Ok(answer)));
            Ok(())
        }
        Err(error) if error.is_missing() => Ok(()),
        Err(error) => Err(error),
    }
}
