//! Requests that the harness' client has no words for.

use anyhow::{Context, Result, ensure};
use klamm_harness::Client;
use klamm_wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use klamm_wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use klamm_wire::{ErrorCode, Str};

/// Kafka's number for the configuration of a topic.
const TOPIC_RESOURCE: i8 = 2;
/// Kafka's number for a value that was set on the topic itself.
const SET_ON_TOPIC: i8 = 1;

/// The value of a topic's configuration, and whether it was set on the topic.
///
/// # Errors
/// No broker answers, or knows neither topic nor name.
pub fn topic_config(client: &mut Client, topic: &str, name: &str) -> Result<(String, bool)> {
    let resource = DescribeConfigsResource {
        resource_type: TOPIC_RESOURCE,
        resource_name: Str::copy_from(topic),
        configuration_keys: Some(vec![Str::copy_from(name)]),
        ..Default::default()
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let answer = client.call(4, &request)?;
    let found = answer.results.first().context("an answer for the topic")?;
    let code = ErrorCode::from_code(found.error_code);
    ensure!(code.is_none(), "{topic}: {}", code.name());
    let config = found.configs.first().with_context(|| format!("no {name} of {topic}"))?;
    Ok((config.value.as_deref().unwrap_or_default().to_owned(), config.config_source == SET_ON_TOPIC))
}

/// Deletes a topic.
///
/// # Errors
/// The cluster refuses.
pub fn delete_topic(client: &mut Client, topic: &str) -> Result<()> {
    let state = DeleteTopicState { name: Some(Str::copy_from(topic)), ..Default::default() };
    let request = DeleteTopicsRequest { topics: vec![state], timeout_ms: 20_000, ..Default::default() };
    let answer = client.call(6, &request)?;
    let code = ErrorCode::from_code(answer.responses.first().context("an answer")?.error_code);
    ensure!(code.is_none(), "deleting {topic}: {}", code.name());
    Ok(())
}
