//! Changes of many topics in one request each, with a result for every topic.

use std::collections::{BTreeMap, BTreeSet};

use klamm_operator_plan::observed::HostPort;
use klamm_wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use klamm_wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use klamm_wire::messages::incremental_alter_configs_request::IncrementalAlterConfigsRequest;
use klamm_wire::{ErrorCode, Str};

use super::changes::{TIMEOUT_MS, resource};
use super::{Admin, AdminError};

/// The result for each topic that the cluster mentions.
pub type Results = BTreeMap<String, Result<(), AdminError>>;

/// What to set on a topic, and what goes back to its default.
pub type Configuration = (BTreeMap<String, String>, BTreeSet<String>);

impl Admin {
    /// Adds partitions to topics until each has as many as it should.
    ///
    /// # Errors
    /// If no broker answers.
    pub async fn grow_topics(
        &mut self,
        at: &[HostPort],
        topics: &BTreeMap<&str, i32>,
    ) -> Result<Results, AdminError> {
        let topic = |(name, count): (&&str, &i32)| CreatePartitionsTopic {
            name: Str::copy_from(name),
            count: *count,
            assignments: None,
            ..Default::default()
        };
        let topics = topics.iter().map(topic).collect();
        let request = CreatePartitionsRequest { topics, timeout_ms: TIMEOUT_MS, ..Default::default() };
        let answer = self.call(at, &request).await?;
        let result = answer.results.iter().map(|result| {
            let outcome = AdminError::of(result.error_code, result.error_message.as_deref());
            (result.name.to_string(), outcome)
        });
        Ok(result.collect())
    }

    /// Sets and resets configuration of topics, leaving the rest alone.
    ///
    /// # Errors
    /// If no broker answers.
    pub async fn alter_topic_configs(
        &mut self,
        at: &[HostPort],
        topics: &BTreeMap<&str, Configuration>,
    ) -> Result<Results, AdminError> {
        let resources = topics.iter().map(|(topic, (set, reset))| resource(topic, set, reset)).collect();
        let request = IncrementalAlterConfigsRequest { resources, ..Default::default() };
        let answer = self.call(at, &request).await?;
        let result = answer.responses.iter().map(|result| {
            let outcome = AdminError::of(result.error_code, result.error_message.as_deref());
            (result.resource_name.to_string(), outcome)
        });
        Ok(result.collect())
    }

    /// Deletes topics and their records. A topic that is not there counts as deleted.
    ///
    /// # Errors
    /// If no broker answers.
    pub async fn delete_topics(&mut self, at: &[HostPort], names: &[String]) -> Result<Results, AdminError> {
        let topic =
            |name: &String| DeleteTopicState { name: Some(Str::copy_from(name)), ..Default::default() };
        let request = DeleteTopicsRequest {
            topics: names.iter().map(topic).collect(),
            topic_names: names.iter().map(|name| Str::copy_from(name)).collect(),
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        let answer = self.call(at, &request).await?;
        let result = answer.responses.iter().filter_map(|result| {
            let outcome = AdminError::of(result.error_code, result.error_message.as_deref());
            let gone = |error: &AdminError| error.is(ErrorCode::UnknownTopicOrPartition);
            let outcome = outcome.or_else(|error| if gone(&error) { Ok(()) } else { Err(error) });
            Some((result.name.as_ref()?.to_string(), outcome))
        });
        Ok(result.collect())
    }
}
