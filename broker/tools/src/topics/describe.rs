//! `kafka-topics --describe`: a line a topic, and a line a partition.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use klamm_wire::Str;
use klamm_wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use klamm_wire::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};

use super::{Cli, chosen};
use crate::client::{Client, check, uuid_text};

/// `ConfigResource.Type.TOPIC`.
const TOPIC: i8 = 2;
/// `ConfigSource.DYNAMIC_TOPIC_CONFIG`: what was set for the topic itself.
const SET_FOR_TOPIC: i8 = 1;

pub(super) fn run(cli: &Cli, client: &mut Client) -> Result<()> {
    let topics = chosen(cli, client)?;
    if let Some(name) = &cli.topic
        && topics.is_empty()
    {
        if cli.if_exists {
            return Ok(());
        }
        bail!("Topic '{name}' does not exist as expected");
    }
    let only_some = cli.under_replicated_partitions || cli.unavailable_partitions;
    let configs = if only_some { BTreeMap::new() } else { configs(client, &topics)? };
    for topic in &topics {
        if !only_some {
            println!("{}", topic_line(topic, configs.get(name(topic)).map_or("", String::as_str)));
        }
        let mut partitions: Vec<_> = topic.partitions.iter().filter(|p| wanted(cli, p)).collect();
        partitions.sort_by_key(|partition| partition.partition_index);
        for partition in partitions {
            println!("{}", partition_line(name(topic), partition));
        }
    }
    Ok(())
}

fn name(topic: &MetadataResponseTopic) -> &str {
    topic.name.as_deref().unwrap_or_default()
}

fn wanted(cli: &Cli, partition: &MetadataResponsePartition) -> bool {
    (!cli.under_replicated_partitions || partition.isr_nodes.len() < partition.replica_nodes.len())
        && (!cli.unavailable_partitions || partition.leader_id < 0)
}

/// What was set for each topic, as `name=value,…`.
fn configs(client: &mut Client, topics: &[MetadataResponseTopic]) -> Result<BTreeMap<String, String>> {
    let resource = |topic| DescribeConfigsResource {
        resource_type: TOPIC,
        resource_name: Str::copy_from(name(topic)),
        configuration_keys: None,
        ..DescribeConfigsResource::default()
    };
    let request = DescribeConfigsRequest {
        resources: topics.iter().map(resource).collect(),
        ..DescribeConfigsRequest::default()
    };
    let mut found = BTreeMap::new();
    for result in client.call(&request)?.results {
        check(result.error_code, result.error_message.as_deref())?;
        let set = result.configs.iter().filter(|config| config.config_source == SET_FOR_TOPIC);
        let texts: Vec<String> =
            set.map(|c| format!("{}={}", c.name, c.value.as_deref().unwrap_or_default())).collect();
        found.insert(result.resource_name.to_string(), texts.join(","));
    }
    Ok(found)
}

fn topic_line(topic: &MetadataResponseTopic, configs: &str) -> String {
    let replicas = topic.partitions.first().map_or(0, |partition| partition.replica_nodes.len());
    format!(
        "Topic: {}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {replicas}\tConfigs: {configs}",
        name(topic),
        uuid_text(topic.topic_id),
        topic.partitions.len(),
    )
}

fn partition_line(topic: &str, partition: &MetadataResponsePartition) -> String {
    let leader = if partition.leader_id < 0 { "none".to_owned() } else { partition.leader_id.to_string() };
    format!(
        "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}",
        partition.partition_index,
        ids(&partition.replica_nodes),
        ids(&partition.isr_nodes),
    )
}

fn ids(ids: &[i32]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_that_scripts_cut_at_tabs() {
        let partition = MetadataResponsePartition {
            partition_index: 2,
            leader_id: 3,
            replica_nodes: vec![3, 1],
            isr_nodes: vec![3],
            ..MetadataResponsePartition::default()
        };
        let topic = MetadataResponseTopic {
            name: Some("orders".into()),
            partitions: vec![partition.clone()],
            ..MetadataResponseTopic::default()
        };
        assert_eq!(
            topic_line(&topic, "retention.ms=1"),
            "Topic: orders\tTopicId: AAAAAAAAAAAAAAAAAAAAAA\tPartitionCount: 1\tReplicationFactor: 2\tConfigs: retention.ms=1"
        );
        assert_eq!(
            partition_line("orders", &partition),
            "\tTopic: orders\tPartition: 2\tLeader: 3\tReplicas: 3,1\tIsr: 3"
        );
        let lost = MetadataResponsePartition { leader_id: -1, ..partition };
        assert!(partition_line("orders", &lost).contains("Leader: none"));
    }
}
