//! One look at a cluster: gather, validate, plan, execute, report. Nothing is carried over from the look before that could
//! not be lost.

use std::sync::Arc;
use std::time::Duration;

use klamm_operator_api::conditions::Reason;
use klamm_operator_api::{KafkaCluster, KafkaTopic};
use klamm_operator_plan::observed::HostPort;
use klamm_operator_plan::status::Failure;
use klamm_operator_plan::{Action, Observed, Plan, Validated, plan};
use kube::Resource;
use kube::core::DeserializeGuard;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::api::ApiError;
use super::cache::Written;
use super::context::Context;
use super::gather::Gathered;
use super::key::Key;
use super::memory::Memory;
use super::round::Round;
use super::settle::settle;
use super::{leaving, report, resolve};

/// The next look after something was done, while something moves, and at rest. Watches make them come earlier.
const AT_ONCE: Duration = Duration::from_millis(50);
const BUSY: Duration = Duration::from_secs(1);
const AT_REST: Duration = Duration::from_secs(10);

/// Looks at a cluster; when to look again, if nothing happens before.
///
/// # Errors
/// If Kubernetes refuses or does not answer.
pub async fn look(context: &Context, key: &Key, memory: &mut Memory) -> Result<Option<Duration>, ApiError> {
    let (cluster, topics) = {
        let cache = context.cache.lock();
        if !cache.is_synced(&key.namespace) {
            return Ok(Some(BUSY));
        }
        (cache.clusters.get(key).map(|row| row.object.clone()), cache.topics_of(key))
    };
    match cluster.as_deref() {
        Some(written) if written.meta().deletion_timestamp.is_none() => match &written.0 {
            Ok(resource) => Box::pin(look_at(context, key, resource, &topics, memory)).await,
            Err(error) => refuse(context, key, written, &error.to_string()).await,
        },
        gone_or_going => {
            context.metrics.steady(key, None);
            leaving::release_all(context, &topics).await?;
            if gone_or_going.is_none() {
                report::report_orphans(context, key, &topics).await?;
            }
            Ok(None)
        }
    }
}

async fn look_at(
    context: &Context,
    key: &Key,
    resource: &KafkaCluster,
    topics: &[Arc<Written<KafkaTopic>>],
    memory: &mut Memory,
) -> Result<Option<Duration>, ApiError> {
    if memory.uid != resource.metadata.uid {
        *memory = Memory { uid: resource.metadata.uid.clone(), ..Memory::new((context.connect)()) };
    }
    let settled = settle(resource, topics).and_then(|(desired, topics)| {
        let cluster = resolve::cluster(resource, &desired.cluster, &context.settings)?;
        Ok((desired, topics, cluster))
    });
    let (desired, topics, cluster) = match settled {
        Ok(settled) => settled,
        Err(problem) => {
            let written = DeserializeGuard(Ok(resource.clone()));
            return refuse(context, key, &written, &problem).await;
        }
    };
    if cluster.listeners.iter().any(|listener| listener.exposure.external().is_some()) {
        context.machines_needed.notify_one();
    }
    let known = Gathered::of(&context.cache.lock(), key, resource);
    memory.brokers.expect(known.founding.as_ref().map(|founding| founding.cluster_id.as_str()));
    let at = known.reachable(&cluster);
    ask(memory, &at, &desired, &cluster.uid).await;
    let gathered = Gathered::of(&context.cache.lock(), key, resource);
    let places = gathered.places(&cluster, &desired.cluster);
    let observed = observe(&gathered, &cluster, &places, memory);
    let failures = topics.failures.clone();
    let round = Round {
        context,
        key,
        resource,
        desired,
        cluster,
        gathered,
        places,
        observed,
        at,
        topics,
        memory,
        failures,
        progressed: false,
    };
    carry_out(round).await
}

/// Plans, executes and reports.
async fn carry_out(mut round: Round<'_>) -> Result<Option<Duration>, ApiError> {
    let plan = plan(&round.desired, &round.observed);
    round.memory.attempts.keep_only(&plan.actions, round.observed.topics.is_some());
    debug!(cluster = %round.key, actions = ?plan.actions, held = ?plan.held, "planned");
    let executed = round.execute(&plan).await;
    if let Err(error) = &executed
        && matches!(error.code(), Some(400 | 403 | 404 | 422))
        && !error.is_farewell()
    {
        let failure = Failure { reason: Reason::ApplyRefused, message: error.to_string() };
        round.failures.insert(round.desired.cluster.subject(), failure);
    }
    round.failures.extend(round.memory.attempts.failures());
    let ready = round.report_cluster(&plan).await?;
    round.report_topics(&plan).await?;
    executed?;
    let steady = ready && !round.progressed && round.rests(&plan);
    round.context.metrics.steady(round.key, Some(steady));
    Ok(Some(round.pace(&plan, steady)))
}

impl Round<'_> {
    async fn execute(&mut self, plan: &Plan) -> Result<(), ApiError> {
        for action in &plan.actions {
            if let Action::FoundQuorum { voters } = action {
                self.found(voters).await?;
                self.acted(action);
                return Ok(());
            }
        }
        self.keep_founding().await?;
        if let Err(error) = self.renew(plan).await {
            debug!(cluster = %self.key, "a grant is not renewed: {error}");
        }
        self.apply_nodes(plan).await?;
        self.disrupt(plan).await;
        self.bind_topics().await?;
        self.change_topics(plan).await;
        self.leave(plan).await?;
        self.keep_house().await;
        Ok(())
    }

    /// Facts that were found on claims belong into the status, before anything is made from them.
    async fn keep_founding(&mut self) -> Result<(), ApiError> {
        let known = self.resource.status.as_ref().is_some_and(|status| status.quorum.is_some());
        match self.gathered.founding.clone() {
            Some(founding) if !known => self.remember(&founding).await,
            _ => Ok(()),
        }
    }

    /// Counts and tells a step that was carried out.
    pub fn acted(&mut self, action: &Action) {
        self.progressed = true;
        info!(cluster = %self.key, "{action}");
        self.context.metrics.acted(action.name(), 1);
        self.context.events.done(self.resource, action.name(), action.to_string());
    }

    /// Whether nothing is left to do that could be done.
    fn rests(&self, plan: &Plan) -> bool {
        let failed = |action: &Action| self.memory.attempts.has_failed(action);
        plan.actions.iter().all(failed) && plan.held.iter().all(|held| held.needs_a_person())
    }

    fn pace(&mut self, plan: &Plan, steady: bool) -> Duration {
        if self.progressed {
            return AT_ONCE;
        }
        let waits = plan.held.iter().any(|held| !held.needs_a_person()) || !plan.actions.is_empty();
        let moving = self.observed.disruption.is_some() || waits;
        self.memory.ask |= moving;
        if steady || !moving { AT_REST } else { BUSY }
    }
}

/// Asks the brokers if there is a reason to.
async fn ask(memory: &mut Memory, at: &[HostPort], desired: &Validated, holder: &str) {
    if at.is_empty() {
        memory.seen = None;
        memory.asked = None;
        return;
    }
    if !memory.is_curious(Instant::now()) {
        return;
    }
    let managed: Vec<String> = desired.topics.keys().cloned().collect();
    memory.asked = Some(Instant::now());
    match memory.brokers.look(at, &managed).await {
        Ok(seen) => {
            memory.ask = seen.grants.iter().flatten().any(|grant| grant.holder == holder);
            memory.seen = Some(seen);
        }
        Err(error) => {
            debug!("{error}");
            memory.ask = true;
            memory.seen = None;
        }
    }
}

fn observe(
    gathered: &Gathered,
    cluster: &klamm_operator_manifests::Cluster,
    places: &klamm_operator_manifests::Places,
    memory: &mut Memory,
) -> Observed {
    let seen = memory.seen.as_ref();
    let grants = seen.and_then(|seen| seen.grants.as_ref()).into_iter().flatten();
    let mut ours = grants.filter(|grant| grant.holder == cluster.uid);
    Observed {
        cluster_id: gathered.founding.as_ref().map(|founding| founding.cluster_id.clone()),
        voters: gathered.founding.as_ref().map(|founding| founding.voters.clone()),
        places: places.places.clone(),
        pending: places.pending.iter().map(ToString::to_string).collect(),
        nodes: gathered.nodes(cluster),
        active_controller: seen.and_then(|seen| seen.active_controller),
        topics: seen.map(|seen| seen.topics.clone()),
        disruption: ours.next().map(|grant| grant.observed(memory.unused)),
        refusals: memory.refusals(Instant::now()),
    }
}

/// Nothing is touched for a resource that contradicts itself; only its status says so.
async fn refuse(
    context: &Context,
    key: &Key,
    resource: &Written<KafkaCluster>,
    message: &str,
) -> Result<Option<Duration>, ApiError> {
    warn!(cluster = %key, "refused: {message}");
    context.metrics.steady(key, Some(false));
    report::refuse_cluster(context, resource, message).await?;
    Ok(None)
}
