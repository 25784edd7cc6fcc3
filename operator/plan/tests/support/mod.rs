//! A model of an executor: carries out actions on what is observed.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use klamm_operator_api::cluster::{KafkaClusterSpec, KafkaSpec};
use klamm_operator_api::config::ConfigValue;
use klamm_operator_api::topic::ClusterRef;
use klamm_operator_api::{KafkaCluster, KafkaTopic, KafkaTopicSpec};
use klamm_operator_plan::observed::{
    Address, HostPort, NodeState, ObservedNode, ObservedPartition, ObservedTopic, Place,
};
use klamm_operator_plan::{Action, Observed, Resources};

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
            observed
                .nodes
                .insert(node, ObservedNode { roles, stored: properties, running, state: NodeState::Ready });
            observed.topics.get_or_insert_default();
        }
        Action::UpdateNodeConfig { node, properties } => {
            observed.nodes.get_mut(&node).unwrap().stored = properties;
        }
        Action::StartNode { node } | Action::RestartNode { node, .. } => {
            let node = observed.nodes.get_mut(&node).unwrap();
            node.running = Some(node.stored.clone());
            node.state = NodeState::Ready;
            observed.topics.get_or_insert_default();
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

pub fn partitioned(count: i32, replicas: i32) -> Vec<ObservedPartition> {
    let replicas: Vec<i32> = (0..replicas).collect();
    let one = ObservedPartition { isr: replicas.clone(), leader: replicas.first().copied(), replicas };
    vec![one; usize::try_from(count).unwrap()]
}
