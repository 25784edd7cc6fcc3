//! What administrators ask for: other replicas, other settings, an end of topics.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use klamm_wire::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use klamm_wire::messages::delete_topics_request::DeleteTopicsRequest;
use klamm_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use klamm_wire::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use klamm_wire::messages::list_partition_reassignments_response::OngoingPartitionReassignment;
use klamm_wire::{ErrorCode, Str};

use crate::client::Client;
use crate::wait::until;

/// `ConfigResource.Type` of a topic.
const TOPIC: i8 = 2;
/// `ConfigResource.Type` of a broker.
const BROKER: i8 = 4;

impl Client {
    /// Asks for other replicas of a partition, or cancels what was asked for; returns what the controller says.
    ///
    /// # Errors
    /// No broker answers.
    pub fn reassign(&mut self, topic: &str, partition: i32, replicas: Option<&[i32]>) -> Result<ErrorCode> {
        let partition = ReassignablePartition {
            partition_index: partition,
            replicas: replicas.map(<[i32]>::to_vec),
            ..Default::default()
        };
        let topic = ReassignableTopic {
            name: Str::copy_from(topic),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = AlterPartitionReassignmentsRequest { topics: vec![topic], ..Default::default() };
        let answer = self.call(1, &request)?;
        let one = answer.responses.first().and_then(|topic| topic.partitions.first());
        Ok(ErrorCode::from_code(one.map_or(answer.error_code, |one| one.error_code)))
    }

    /// What is being reassigned now, by topic.
    ///
    /// # Errors
    /// No broker answers, or with an error.
    pub fn reassignments(&mut self) -> Result<Vec<(String, OngoingPartitionReassignment)>> {
        let request = ListPartitionReassignmentsRequest { topics: None, ..Default::default() };
        let answer = self.call(0, &request)?;
        let code = ErrorCode::from_code(answer.error_code);
        ensure!(code.is_none(), "listing reassignments: {}", code.name());
        let rows = answer.topics.into_iter().flat_map(|topic| {
            let name = topic.name.to_string();
            topic.partitions.into_iter().map(move |partition| (name.clone(), partition))
        });
        Ok(rows.collect())
    }

    /// Waits until nothing is being reassigned.
    ///
    /// # Errors
    /// Something is for longer than `limit`.
    pub fn wait_reassigned(&mut self, limit: Duration) -> Result<()> {
        until(limit, "all reassignments are complete", || {
            let left = self.reassignments()?;
            ensure!(left.is_empty(), "under way: {left:?}");
            Ok(Some(()))
        })
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// No broker answers, or the controller refuses.
    pub fn delete_topic(&mut self, name: &str) -> Result<()> {
        let request = DeleteTopicsRequest {
            topic_names: vec![Str::copy_from(name)],
            timeout_ms: 20_000,
            ..Default::default()
        };
        let answer = self.call(5, &request)?;
        let one = answer.responses.first().context("an answer for the topic")?;
        let code = ErrorCode::from_code(one.error_code);
        ensure!(code.is_none(), "deleting {name}: {}", code.name());
        Ok(())
    }

    /// Sets keys of a topic, or deletes those without a value.
    ///
    /// # Errors
    /// No broker answers, or the controller refuses.
    pub fn configure_topic(&mut self, name: &str, configs: &[(&str, Option<&str>)]) -> Result<()> {
        self.configure(TOPIC, name, configs)
    }

    /// Sets keys of a broker, or deletes those without a value.
    ///
    /// # Errors
    /// No broker answers, or the controller refuses.
    pub fn configure_broker(&mut self, id: i32, configs: &[(&str, Option<&str>)]) -> Result<()> {
        self.configure(BROKER, &id.to_string(), configs)
    }

    fn configure(&mut self, kind: i8, name: &str, configs: &[(&str, Option<&str>)]) -> Result<()> {
        let config = |(key, value): &(&str, Option<&str>)| AlterableConfig {
            name: Str::copy_from(key),
            config_operation: i8::from(value.is_none()),
            value: value.map(Str::copy_from),
            ..Default::default()
        };
        let resource = AlterConfigsResource {
            resource_type: kind,
            resource_name: Str::copy_from(name),
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
        let answer = self.call(1, &request)?;
        let one = answer.responses.first().context("an answer for the resource")?;
        let code = ErrorCode::from_code(one.error_code);
        ensure!(code.is_none(), "configuring {name}: {} {:?}", code.name(), one.error_message);
        Ok(())
    }
}
