//! A model of an executor: carries out actions on what is observed.

// Each test file uses what it needs of this.
#![allow(dead_code)]
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use klamm_operator_api::cluster::{KafkaClusterSpec, KafkaSpec};
use klamm_operator_api::config::ConfigValue;
use klamm_operator_api::topic::ClusterRef;
use klamm_operator_api::{KafkaCluster, KafkaTopic, KafkaTopicSpec};
use klamm_operator_plan::desired::Roles;
use klamm_operator_plan::observed::{
    Address, Grant, HostPort, NodeState, ObservedNode, ObservedPartition, ObservedTopic, Place, Properties,
    Refusal,
};
use klamm_operator_plan::{Action, Observed, Resources, Validated, plan, validate};

pub fn cluster(replicas: i32, controllers: Option<i32>, config: &[(&str, &str)]) -> KafkaCluster {
    let kafka = KafkaSpec {
        replicas,
        controllers,
        config: config.iter().map(|(k, v)| ((*k).to_owned(), ConfigValue::from(*v))).collect(),
        ..KafkaSpec::default()
    };
    KafkaCluster::new("c", KafkaClusterSpec { kafka })
}

pub fn topic(name: &str, partitions: i32, replicas: i32, config: &[(&str, Option<&str>)]) -> KafkaTopic {
    let spec = KafkaTopicSpec {
        cluster_ref: Some(ClusterRef { name: "c".into() }),
        partitions: Some(partitions),
        replicas: Some(replicas),
        config: config.iter().map(|(k, v)| ((*k).to_owned(), v.map(ConfigValue::from))).collect(),
        ..KafkaTopicSpec::default()
    };
    KafkaTopic::new(name, spec)
}

pub fn resources(cluster: KafkaCluster, topics: Vec<KafkaTopic>) -> Resources {
    Resources { cluster, topics }
}

pub fn place(node: i32) -> Place {
    let at = |port: u16| HostPort { host: format!("node-{node}"), port };
    let address = |port: u16| Address { bind: at(port), advertised: at(port) };
    Place {
        listeners: BTreeMap::from([("plaintext".to_owned(), address(9092))]),
        controller: address(9090),
        http: at(9404),
        data_dir: format!("/data/{node}"),
    }
}

pub fn valid(resources: Resources) -> Validated {
    validate(&resources).unwrap()
}

pub fn problems(resources: Resources) -> Vec<String> {
    validate(&resources).unwrap_err().iter().map(ToString::to_string).collect()
}

pub fn converged(desired: &Validated) -> Observed {
    let mut observed = Observed::default();
    loop {
        let planned = plan(desired, &observed);
        if planned.actions.is_empty() {
            return observed;
        }
        planned.actions.iter().for_each(|action| apply(action, &mut observed));
    }
}

pub fn names(actions: &[Action]) -> Vec<&'static str> {
    actions.iter().map(Action::name).collect()
}

/// A moment after the epoch.
pub fn at<T: serde::de::DeserializeOwned>(second: i64) -> T {
    serde_json::from_value(format!("1970-01-01T00:00:{second:02}Z").into()).unwrap()
}

/// Carries out one action; nodes that start are ready at once.
pub fn apply(action: &Action, observed: &mut Observed) {
    match action.clone() {
        Action::FoundQuorum { voters } => {
            observed.cluster_id = Some("id".into());
            observed.voters = Some(voters);
        }
        Action::ReserveAddresses { node } => drop(observed.places.insert(node, place(node))),
        Action::CreateNode { node, roles, properties } => {
            let running = Some(properties.clone());
            observed.nodes.insert(
                node,
                ObservedNode {
                    roles,
                    stored: properties,
                    running,
                    state: NodeState::Ready,
                    outdated: Default::default(),
                },
            );
            observed.topics.get_or_insert_default();
        }
        Action::UpdateNodeConfig { node, properties } => {
            observed.nodes.get_mut(&node).unwrap().stored = properties;
        }
        Action::StartNode { node } => start(node, observed),
        Action::RequestDisruption { node, .. } => ask(node, observed),
        Action::RestartNode { node, .. } => {
            let serves = observed.nodes[&node].state == NodeState::Ready;
            let granted = observed.disruption.as_mut().filter(|grant| grant.node == node);
            assert!(granted.is_some() || !serves, "node {node} was taken away without leave");
            if let Some(grant) = granted {
                (grant.restored, grant.unused) = (true, false);
            }
            start(node, observed);
        }
        Action::EndDisruption { node } => {
            let grant = observed.disruption.take().unwrap();
            assert_eq!(grant.node, node);
        }
        Action::DeleteTopic { topic, id } => {
            let gone = observed.topics.as_mut().unwrap().remove(&topic).unwrap();
            assert_eq!(gone.id, id, "another topic of that name must stay");
        }
        Action::CreateTopic { topic, partitions, replicas, config } => {
            let made = partitioned(partitions.unwrap_or(1), replicas.unwrap_or(1));
            let made = ObservedTopic { id: "id".into(), partitions: made, config };
            let before = observed.topics.as_mut().unwrap().insert(topic, made);
            assert!(before.is_none(), "a topic that exists must not be created");
        }
        Action::GrowTopic { topic, from, to } => {
            let topic = observed.topics.as_mut().unwrap().get_mut(&topic).unwrap();
            assert_eq!(topic.partition_count(), from);
            assert!(to > from, "partitions must not shrink");
            topic.partitions = partitioned(to, topic.replication_factor());
        }
        Action::AlterTopicConfig { topic, set, reset } => {
            let topic = observed.topics.as_mut().unwrap().get_mut(&topic).unwrap();
            topic.config.retain(|key, _| !reset.contains(key));
            topic.config.extend(set);
        }
    }
}

fn ready(roles: Roles, stored: Properties, running: Option<Properties>) -> ObservedNode {
    ObservedNode { roles, stored, running, state: NodeState::Ready, outdated: BTreeSet::new() }
}

fn start(node: i32, observed: &mut Observed) {
    let node = observed.nodes.get_mut(&node).unwrap();
    node.running = Some(node.stored.clone());
    node.state = NodeState::Ready;
    node.outdated.clear();
    observed.topics.get_or_insert_default();
}

/// Answers as the controller does, by what is observed of partitions.
fn ask(node: i32, observed: &mut Observed) {
    let partitions = observed.topics.iter().flatten().flat_map(|(name, topic)| {
        topic.partitions.iter().enumerate().map(move |(index, partition)| (name, index, partition))
    });
    let hosted = partitions.filter(|(.., partition)| partition.replicas.contains(&node));
    let lagging = hosted.filter(|(.., partition)| partition.isr.len() < partition.replicas.len());
    let blockers: Vec<String> =
        lagging.map(|(name, index, _)| format!("{name}-{index} is not in sync")).collect();
    if blockers.is_empty() {
        assert!(observed.disruption.is_none(), "one grant is out already");
        observed.disruption = Some(Grant { node, id: 1, restored: false, unused: true });
        observed.refusals.clear();
    } else {
        observed.refusals.insert(node, Refusal { blockers, stale: false });
    }
}

pub fn partitioned(count: i32, replicas: i32) -> Vec<ObservedPartition> {
    let replicas: Vec<i32> = (0..replicas).collect();
    let one = ObservedPartition { isr: replicas.clone(), leader: replicas.first().copied(), replicas };
    vec![one; usize::try_from(count).unwrap()]
}
