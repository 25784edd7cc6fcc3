//! Asks what topics there are and how they are.

use std::collections::BTreeMap;

use klamm_operator_plan::observed::{HostPort, ObservedPartition, ObservedTopic};
use klamm_wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use klamm_wire::messages::describe_configs_response::DescribeConfigsResult;
use klamm_wire::messages::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use klamm_wire::messages::metadata_request::MetadataRequest;
use klamm_wire::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use klamm_wire::{ErrorCode, Str};

use super::{Admin, AdminError};
use crate::kafka_id;

/// ConfigResource.Type.TOPIC.
pub(super) const TOPIC_RESOURCE: i8 = 2;
/// ConfigSource.DYNAMIC_TOPIC_CONFIG: set on the topic itself.
const SET_ON_TOPIC: i8 = 1;
const METADATA_TOPIC: &str = "__cluster_metadata";

impl Admin {
    /// Every topic, with the configuration of those that are `managed`.
    ///
    /// # Errors
    /// If no broker answers, or one answers with an error.
    pub async fn topics(
        &mut self,
        at: &[HostPort],
        managed: &[&str],
    ) -> Result<BTreeMap<String, ObservedTopic>, AdminError> {
        let everything =
            MetadataRequest { topics: None, allow_auto_topic_creation: false, ..Default::default() };
        let answer = self.call(at, &everything).await?;
        AdminError::of(answer.error_code, None)?;
        let mut topics: BTreeMap<String, ObservedTopic> = answer.topics.iter().filter_map(topic).collect();
        let present: Vec<&str> = managed.iter().copied().filter(|name| topics.contains_key(*name)).collect();
        for (name, config) in self.topic_configs(at, &present).await? {
            if let Some(topic) = topics.get_mut(&name) {
                topic.config = config;
            }
        }
        Ok(topics)
    }

    /// What is set on these topics themselves.
    async fn topic_configs(
        &mut self,
        at: &[HostPort],
        names: &[&str],
    ) -> Result<BTreeMap<String, BTreeMap<String, String>>, AdminError> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let resource = |name: &&str| DescribeConfigsResource {
            resource_type: TOPIC_RESOURCE,
            resource_name: Str::copy_from(name),
            configuration_keys: None,
            ..Default::default()
        };
        let request =
            DescribeConfigsRequest { resources: names.iter().map(resource).collect(), ..Default::default() };
        let answer = self.call(at, &request).await?;
        let mut configs = BTreeMap::new();
        for result in &answer.results {
            match AdminError::of(result.error_code, result.error_message.as_deref()) {
                Ok(()) => drop(configs.insert(result.resource_name.to_string(), set_on_topic(result))),
                // It was deleted in between.
                Err(error) if error.is(ErrorCode::UnknownTopicOrPartition) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(configs)
    }

    /// The active controller, if the quorum has one.
    ///
    /// # Errors
    /// If no broker answers, or one answers with an error.
    pub async fn active_controller(&mut self, at: &[HostPort]) -> Result<Option<i32>, AdminError> {
        let partitions = vec![PartitionData { partition_index: 0, ..Default::default() }];
        let topic = TopicData { topic_name: METADATA_TOPIC.into(), partitions, ..Default::default() };
        let answer =
            self.call(at, &DescribeQuorumRequest { topics: vec![topic], ..Default::default() }).await?;
        AdminError::of(answer.error_code, answer.error_message.as_deref())?;
        let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
        Ok(partition.map(|partition| partition.leader_id).filter(|leader| *leader >= 0))
    }
}

fn topic(answer: &MetadataResponseTopic) -> Option<(String, ObservedTopic)> {
    let name = answer.name.as_ref()?.to_string();
    let mut partitions: Vec<&MetadataResponsePartition> = answer.partitions.iter().collect();
    partitions.sort_by_key(|partition| partition.partition_index);
    let partitions = partitions.into_iter().map(partition).collect();
    let id = kafka_id::text(answer.topic_id);
    (answer.error_code == 0).then_some((name, ObservedTopic { id, partitions, config: BTreeMap::new() }))
}

fn partition(answer: &MetadataResponsePartition) -> ObservedPartition {
    ObservedPartition {
        replicas: answer.replica_nodes.clone(),
        isr: answer.isr_nodes.clone(),
        leader: Some(answer.leader_id).filter(|leader| *leader >= 0),
    }
}

fn set_on_topic(result: &DescribeConfigsResult) -> BTreeMap<String, String> {
    let own = result.configs.iter().filter(|config| config.config_source == SET_ON_TOPIC);
    own.filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string()))).collect()
}
