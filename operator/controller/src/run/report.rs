//! Writes status: only the subresource, only what changed, and no time that moves by itself.

use std::sync::Arc;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use klamm_operator_api::conditions::{self, Condition, ConditionStatus, ConditionType, Reason, Verdict};
use klamm_operator_api::status::{ListenerAddress, ListenerStatus, NodePoolStatus, NodeStatus, QuorumStatus};
use klamm_operator_api::{
    API_VERSION, CLUSTER_LABEL, KafkaCluster, KafkaClusterStatus, KafkaTopic, KafkaTopicStatus,
};
use klamm_operator_manifests::{bootstrap, names};
use klamm_operator_plan::observed::NodeState;
use klamm_operator_plan::status::Failure;
use klamm_operator_plan::{Plan, Subject, status};
use kube::Resource;
use kube::api::{Patch, PatchParams};
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::api::{ApiError, MANAGER, bounded, namespaced};
use super::cache::{self, Written};
use super::context::{Context, now};
use super::key::Key;
use super::pods;
use super::round::Round;

/// How many statuses are written at the same time.
const AT_ONCE: usize = 8;

impl Round<'_> {
    /// Writes the status of the cluster if it changed; whether it is ready.
    pub async fn report_cluster(&self, plan: &Plan) -> Result<bool, ApiError> {
        let verdicts = self.verdicts(plan);
        let is_ready = |v: &Verdict| v.type_ == ConditionType::Ready && v.status == ConditionStatus::True;
        let ready = verdicts.iter().any(is_ready);
        let old = self.resource.status.clone().unwrap_or_default();
        let mut next = self.cluster_status(plan);
        next.conditions.clone_from(&old.conditions);
        let generation = self.resource.metadata.generation;
        conditions::update(&mut next.conditions, verdicts, generation, &now());
        if next != old {
            write_cluster(self.context, self.resource, &next).await?;
        }
        Ok(ready)
    }

    fn verdicts(&self, plan: &Plan) -> Vec<Verdict> {
        let mut troubles = self.troubles();
        let mut failures = self.failures.clone();
        if let Some((reason, message)) = troubles.first().cloned() {
            failures.entry(self.desired.cluster.subject()).or_insert(Failure { reason, message });
        }
        let mut verdicts = status::cluster(&self.desired, &self.observed, plan, &failures);
        let troubles: Vec<String> = troubles.drain(..).map(|(_, message)| message).collect();
        for verdict in &mut verdicts {
            if verdict.type_ == ConditionType::Ready && verdict.status != ConditionStatus::True {
                verdict.message = [vec![verdict.message.clone()], troubles.clone()].concat().join("; ");
            }
        }
        verdicts
    }

    /// What keeps pods from getting on and does not pass by itself.
    fn troubles(&self) -> Vec<(Reason, String)> {
        let now = Timestamp::now();
        let overdue = |pod: &Pod| Some((Reason::NodesUnavailable, pods::overdue(pod, now)?));
        let of_pods = self.gathered.pods.values();
        of_pods.filter_map(|pod| overdue(pod).or_else(|| pods::trouble(pod, now))).collect()
    }

    fn cluster_status(&self, plan: &Plan) -> KafkaClusterStatus {
        let founding = self.gathered.founding.as_ref();
        let nodes: Vec<NodeStatus> = self.node_statuses();
        let ready = nodes.iter().filter(|node| node.state == NodeState::Ready.as_str()).count();
        let (count, ready) = (nodes.len() as i32, ready as i32);
        KafkaClusterStatus {
            observed_generation: self.resource.metadata.generation,
            cluster_id: founding.map(|founding| founding.cluster_id.clone()),
            conditions: Vec::new(),
            listeners: self.listener_statuses(),
            replicas: count,
            ready_replicas: ready,
            label_selector: Some(format!("{CLUSTER_LABEL}={}", self.key.name)),
            node_pools: vec![NodePoolStatus {
                name: names::POOL.into(),
                replicas: count,
                ready,
                node_ids: nodes.iter().map(|node| node.id).collect(),
            }],
            nodes,
            quorum: founding
                .map(|founding| QuorumStatus { voters: founding.voters.iter().copied().collect() }),
            operations: status::operations(&self.desired, &self.observed, plan),
        }
    }

    fn node_statuses(&self) -> Vec<NodeStatus> {
        let rack = |id: &i32| {
            let labels = self.gathered.pods.get(id)?.metadata.labels.as_ref()?;
            labels.get(&self.cluster.rack_label).cloned()
        };
        let status = |(id, node): (&i32, &klamm_operator_plan::observed::ObservedNode)| NodeStatus {
            id: *id,
            roles: node.roles.names().into_iter().map(str::to_owned).collect(),
            state: node.state.as_str().to_owned(),
            rack: rack(id),
        };
        self.observed.nodes.iter().map(status).collect()
    }

    fn listener_statuses(&self) -> Vec<ListenerStatus> {
        let pods = self.gathered.pod_values();
        let all = bootstrap::bootstrap(&self.cluster, &self.places, self.gathered.surroundings(&pods));
        let address = |address: &klamm_operator_plan::observed::HostPort| ListenerAddress {
            host: address.host.clone(),
            port: address.port.into(),
        };
        all.into_iter()
            .map(|one| ListenerStatus {
                bootstrap_servers: one.servers(),
                addresses: one.addresses.iter().map(address).collect(),
                name: one.listener,
            })
            .collect()
    }

    /// Writes the status of every topic that changed.
    pub async fn report_topics(&self, plan: &Plan) -> Result<(), ApiError> {
        let present = self.topics.present.iter().filter_map(|(name, resource)| {
            Some((resource.clone(), self.topic_status(name, resource, plan)?))
        });
        let leaving = self.desired.leaving.iter().filter_map(|(name, topic)| {
            let resource = self.topics.leaving.get(name).filter(|_| !plan.released.contains(name))?;
            let verdict = status::leaving(name, topic, plan, &self.failures);
            Some((resource.clone(), with(resource, status_of(resource), verdict)))
        });
        write_topics(self.context, present.chain(leaving).collect()).await
    }

    fn topic_status(
        &self,
        name: &str,
        resource: &Written<KafkaTopic>,
        plan: &Plan,
    ) -> Option<KafkaTopicStatus> {
        let subject = Subject::Topic(name.to_owned());
        let mut next = status_of(resource);
        let desired = self.desired.topics.values().find(|topic| topic.resource == name);
        let verdict = match (desired, self.topics.failures.get(&subject)) {
            (_, Some(failure)) => not_ready(failure.reason, failure.message.clone()),
            (Some(desired), None) => status::topic(desired, plan, &self.failures),
            (None, None) => return None,
        };
        if let Ok(topic) = &resource.0 {
            next.topic_name = Some(topic.topic_name().to_owned());
        }
        let is = desired.and_then(|topic| self.observed.topics.as_ref()?.get(&topic.name));
        if let Some(is) = is {
            next.topic_id = Some(is.id.clone());
            next.partitions = Some(is.partition_count());
            next.replicas = Some(is.replication_factor());
        }
        Some(with(resource, next, verdict))
    }
}

/// Says that a cluster cannot be carried out at all.
///
/// # Errors
/// If Kubernetes refuses or does not answer.
pub async fn refuse_cluster(
    context: &Context,
    resource: &Written<KafkaCluster>,
    message: &str,
) -> Result<(), ApiError> {
    let old = resource.0.as_ref().ok().and_then(|cluster| cluster.status.clone()).unwrap_or_default();
    let mut next = KafkaClusterStatus { observed_generation: resource.meta().generation, ..old.clone() };
    let stalled = ConditionStatus::True;
    let verdicts = vec![
        not_ready(Reason::InvalidSpec, message.to_owned()),
        Verdict { type_: ConditionType::Reconciling, ..not_ready(Reason::InvalidSpec, String::new()) },
        Verdict {
            type_: ConditionType::Stalled,
            status: stalled,
            ..not_ready(Reason::InvalidSpec, message.to_owned())
        },
    ];
    conditions::update(&mut next.conditions, verdicts, resource.meta().generation, &now());
    if next == old {
        return Ok(());
    }
    write_cluster(context, resource, &next).await
}

/// Says of topics that their cluster is not there.
///
/// # Errors
/// If Kubernetes refuses or does not answer.
pub async fn report_orphans(
    context: &Context,
    cluster: &Key,
    topics: &[Arc<Written<KafkaTopic>>],
) -> Result<(), ApiError> {
    let message = match cluster.name.as_str() {
        "" => format!("which cluster? Set spec.clusterRef.name, or the label {CLUSTER_LABEL}"),
        name => format!(
            "there is no KafkaCluster {name} in namespace {}: create it, or set spec.clusterRef.name",
            cluster.namespace
        ),
    };
    let stays = topics.iter().filter(|topic| topic.meta().deletion_timestamp.is_none());
    let verdict = not_ready(Reason::ClusterMissing, message);
    let status =
        |topic: &Arc<Written<KafkaTopic>>| (topic.clone(), with(topic, status_of(topic), verdict.clone()));
    write_topics(context, stays.map(status).collect()).await
}

fn not_ready(reason: Reason, message: String) -> Verdict {
    Verdict { type_: ConditionType::Ready, status: ConditionStatus::False, reason, message }
}

fn status_of(topic: &Written<KafkaTopic>) -> KafkaTopicStatus {
    topic.0.as_ref().ok().and_then(|topic| topic.status.clone()).unwrap_or_default()
}

fn with(topic: &Written<KafkaTopic>, mut status: KafkaTopicStatus, verdict: Verdict) -> KafkaTopicStatus {
    let generation = topic.meta().generation;
    status.observed_generation = generation;
    let mut conditions: Vec<Condition> = std::mem::take(&mut status.conditions);
    conditions::update(&mut conditions, vec![verdict], generation, &now());
    status.conditions = conditions;
    status
}

async fn write_cluster(
    context: &Context,
    resource: &impl Resource<DynamicType = ()>,
    status: &KafkaClusterStatus,
) -> Result<(), ApiError> {
    let answer = write::<KafkaCluster>(context, &Key::of(resource), status).await?;
    if let Some(answer) = answer {
        context.cache.lock().clusters.put(answer);
    }
    Ok(())
}

async fn write_topics(
    context: &Context,
    statuses: Vec<(Arc<Written<KafkaTopic>>, KafkaTopicStatus)>,
) -> Result<(), ApiError> {
    let changed = statuses.into_iter().filter(|(topic, next)| status_of(topic) != *next);
    let write = |(topic, next): (Arc<Written<KafkaTopic>>, KafkaTopicStatus)| async move {
        let answer = write::<KafkaTopic>(context, &Key::of(&*topic), &next).await?;
        if let Some(answer) = answer {
            context.cache.lock().topics.put(answer);
        }
        Ok::<(), ApiError>(())
    };
    let mut writes = stream::iter(changed.map(write)).buffer_unordered(AT_ONCE);
    let mut outcome = Ok(());
    while let Some(result) = writes.next().await {
        outcome = outcome.and(result);
    }
    outcome
}

/// Applies a status; none if the object has gone in between. An object that cannot be read has a status all the same.
async fn write<K>(
    context: &Context,
    key: &Key,
    status: &impl Serialize,
) -> Result<Option<DeserializeGuard<K>>, ApiError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let kind = K::kind(&());
    let patch = json!({
        "apiVersion": API_VERSION, "kind": kind, "metadata": {"name": key.name}, "status": status,
    });
    let api = namespaced::<DeserializeGuard<K>>(&context.client, &key.namespace);
    let what = format!("apply status of {kind} {key}");
    let parameters = PatchParams::apply(MANAGER).force();
    match bounded(what, api.patch_status(&key.name, &parameters, &Patch::Apply(patch))).await {
        Ok(mut answer) => {
            cache::strip(&mut answer);
            Ok(Some(answer))
        }
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
