//! DescribeConfigs (32): every key of a topic or broker with its value, source and synonyms.

use klamm_metadata::ConfigResource;
use klamm_metadata::config::{BrokerProperties, ConfigEntry, describe_broker, describe_topic};
use klamm_wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use klamm_wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use klamm_wire::{ErrorCode, Str};

use super::Context;
use crate::node::Node;

/// What the client wants to see of each key.
struct Wish {
    synonyms: bool,
    documentation: bool,
}

/// Answers from the image and this broker's properties.
pub fn describe(node: &Node, _context: &Context, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let wish = Wish { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let results =
        request.resources.into_iter().map(|resource| describe_resource(node, resource, &wish)).collect();
    DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() }
}

fn describe_resource(node: &Node, resource: DescribeConfigsResource, wish: &Wish) -> DescribeConfigsResult {
    let (kind, name) = (resource.resource_type, resource.resource_name);
    match entries(node, &ConfigResource::from_parts(kind, &name)) {
        Ok(entries) => {
            let keys = resource.configuration_keys;
            let wanted =
                |e: &ConfigEntry| keys.as_ref().is_none_or(|keys| keys.iter().any(|k| &**k == e.name));
            let configs = entries.into_iter().filter(wanted).map(|e| describe_entry(e, wish)).collect();
            DescribeConfigsResult {
                resource_type: kind,
                resource_name: name,
                configs,
                ..DescribeConfigsResult::default()
            }
        }
        Err((error, message)) => DescribeConfigsResult {
            error_code: error.code(),
            error_message: Some(Str::from(message)),
            resource_type: kind,
            resource_name: name,
            ..DescribeConfigsResult::default()
        },
    }
}

fn entries(node: &Node, resource: &ConfigResource) -> Result<Vec<ConfigEntry>, (ErrorCode, String)> {
    let image = node.image();
    let properties = |dynamic| BrokerProperties {
        fixed: &node.config.properties,
        dynamic,
        dynamic_default: image.cluster_default_config(),
    };
    match resource {
        ConfigResource::Topic(name) if image.topic(name).is_some() => {
            let dynamic = image.broker_config(node.config.node_id);
            Ok(describe_topic(image.topic_config(name), &properties(dynamic)))
        }
        ConfigResource::Topic(name) => {
            Err((ErrorCode::UnknownTopicOrPartition, format!("topic {name:?} does not exist")))
        }
        ConfigResource::Broker(id) if *id == node.config.node_id => {
            Ok(describe_broker(&properties(image.broker_config(*id))))
        }
        ConfigResource::Broker(id) => {
            let here = node.config.node_id;
            let text = format!("broker {id} must be asked itself; this is broker {here}");
            Err((ErrorCode::InvalidRequest, text))
        }
        ConfigResource::ClusterDefault => Ok(cluster_defaults(image.cluster_default_config())),
        ConfigResource::Other(kind, name) => Err((
            ErrorCode::InvalidRequest,
            format!("resources of type {kind} ({name:?}) have no configuration here"),
        )),
    }
}

/// Only what was set for all brokers: the cluster default has no values of its own.
fn cluster_defaults(set: &std::collections::BTreeMap<String, String>) -> Vec<ConfigEntry> {
    let none = std::collections::BTreeMap::new();
    let broker = BrokerProperties { fixed: &none, dynamic: &none, dynamic_default: set };
    describe_broker(&broker).into_iter().filter(|e| set.contains_key(e.name)).collect()
}

fn describe_entry(entry: ConfigEntry, wish: &Wish) -> DescribeConfigsResourceResult {
    let synonyms = entry.synonyms.into_iter().filter(|_| wish.synonyms).map(|s| DescribeConfigsSynonym {
        name: Str::from(s.name),
        value: s.value.map(Str::from),
        source: s.source.code(),
        ..DescribeConfigsSynonym::default()
    });
    DescribeConfigsResourceResult {
        name: Str::from(entry.name),
        value: entry.value.map(Str::from),
        read_only: entry.read_only,
        config_source: entry.source.code(),
        is_sensitive: entry.sensitive,
        synonyms: synonyms.collect(),
        config_type: entry.kind.code(),
        documentation: wish.documentation.then(|| Str::from(entry.documentation)),
        ..DescribeConfigsResourceResult::default()
    }
}
