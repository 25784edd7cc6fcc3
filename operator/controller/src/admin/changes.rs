//! Changes topics. Every change may be repeated: what is already done counts as done.

use std::collections::{BTreeMap, BTreeSet};

use klamm_operator_plan::observed::HostPort;
use klamm_wire::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use klamm_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use klamm_wire::{ErrorCode, Str};

use super::topics::TOPIC_RESOURCE;
use super::{Admin, AdminError};

/// How long a broker may take to carry a change out, in milliseconds.
pub(super) const TIMEOUT_MS: i32 = 4_000;
/// AlterConfigOp.OpType.
const SET: i8 = 0;
const DELETE: i8 = 1;
/// "As the brokers are configured", for partitions and replicas alike.
const BROKER_DEFAULT: i32 = -1;

/// A topic to create.
#[derive(Debug)]
pub struct NewTopic<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many partitions; `None` is the brokers' default.
    pub partitions: Option<i32>,
    /// How many copies of each; `None` is the brokers' default.
    pub replicas: Option<i32>,
    /// Its configuration.
    pub config: &'a BTreeMap<String, String>,
}

impl Admin {
    /// Creates topics in one request. The results are those of the single topics, by name.
    ///
    /// # Errors
    /// If no broker answers.
    pub async fn create_topics(
        &mut self,
        at: &[HostPort],
        topics: &[NewTopic<'_>],
    ) -> Result<BTreeMap<String, Result<(), AdminError>>, AdminError> {
        let topics = topics.iter().map(creatable).collect();
        let request = CreateTopicsRequest { topics, timeout_ms: TIMEOUT_MS, ..Default::default() };
        let answer = self.call(at, &request).await?;
        let result = |topic: &klamm_wire::messages::create_topics_response::CreatableTopicResult| {
            let created = AdminError::of(topic.error_code, topic.error_message.as_deref());
            let exists = |error: &AdminError| error.is(ErrorCode::TopicAlreadyExists);
            (
                topic.name.to_string(),
                created.or_else(|error| if exists(&error) { Ok(()) } else { Err(error) }),
            )
        };
        Ok(answer.topics.iter().map(result).collect())
    }
}

fn creatable(topic: &NewTopic<'_>) -> CreatableTopic {
    let config = |(name, value): (&String, &String)| CreatableTopicConfig {
        name: Str::copy_from(name),
        value: Some(Str::copy_from(value)),
        ..Default::default()
    };
    let replicas = topic.replicas.unwrap_or(BROKER_DEFAULT);
    CreatableTopic {
        name: Str::copy_from(topic.name),
        num_partitions: topic.partitions.unwrap_or(BROKER_DEFAULT),
        replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
        configs: topic.config.iter().map(config).collect(),
        ..Default::default()
    }
}

/// What to set on a topic and what goes back to its default.
pub(super) fn resource(
    topic: &str,
    set: &BTreeMap<String, String>,
    reset: &BTreeSet<String>,
) -> AlterConfigsResource {
    let set = set.iter().map(|(key, value)| operation(key, SET, Some(value)));
    let reset = reset.iter().map(|key| operation(key, DELETE, None));
    AlterConfigsResource {
        resource_type: TOPIC_RESOURCE,
        resource_name: Str::copy_from(topic),
        configs: set.chain(reset).collect(),
        ..Default::default()
    }
}

fn operation(name: &str, config_operation: i8, value: Option<&str>) -> AlterableConfig {
    AlterableConfig {
        name: Str::copy_from(name),
        config_operation,
        value: value.map(Str::copy_from),
        ..Default::default()
    }
}
