//! AlterConfigs, and what it shares with its incremental sister: checks, records, and what follows from new values.

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::ErrorCode;
use klamm_wire::messages::alter_configs_request::{AlterConfigsRequest, AlterConfigsResource};
use klamm_wire::messages::alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse};

use super::draft::Draft;
use super::election;
use super::error::{ApiError, code_and_message};
use super::topics::repeated;
use crate::ConfigResource;
use crate::config::{self, ConfigError, Update, names};
use crate::image::snapshot::config_record;

/// Longest string of the Kafka protocol, in bytes.
const MAX_VALUE: usize = 32_767;

/// Decides AlterConfigs (33): the values given replace all there were.
pub(super) fn alter(draft: &mut Draft<'_>, request: &AlterConfigsRequest) -> AlterConfigsResponse {
    let duplicates = repeated(request.resources.iter().map(|r| (r.resource_type, &*r.resource_name)));
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let result = if duplicates.contains(&(resource.resource_type, &*resource.resource_name)) {
            Err(named_twice(&resource.resource_name))
        } else {
            replace(draft, resource)
        };
        let (error_code, error_message) = code_and_message(result);
        responses.push(AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..AlterConfigsResourceResponse::default()
        });
    }
    if request.validate_only {
        draft.discard();
    }
    AlterConfigsResponse { responses, ..AlterConfigsResponse::default() }
}

pub(super) fn named_twice(resource: &str) -> ApiError {
    ApiError::invalid_request(format!("Resource '{resource}' is named more than once."))
}

fn replace(draft: &mut Draft<'_>, request: &AlterConfigsResource) -> Result<(), ApiError> {
    let resource = existing_resource(draft, request.resource_type, &request.resource_name)?;
    let mut values = BTreeMap::new();
    for entry in &request.configs {
        let value = entry.value.as_deref().ok_or_else(|| without_value(&entry.name))?;
        if values.insert(entry.name.to_string(), value.to_owned()).is_some() {
            return Err(key_twice(&entry.name));
        }
    }
    set(draft, &resource, values)
}

pub(super) fn without_value(name: &str) -> ApiError {
    ApiError::invalid_request(format!("Configuration {name} needs a value."))
}

pub(super) fn key_twice(name: &str) -> ApiError {
    ApiError::invalid_request(format!("Configuration {name} is named more than once."))
}

/// The resource of a request, if it exists and is of a kind that has configurations here.
pub(super) fn existing_resource(draft: &Draft<'_>, kind: i8, name: &str) -> Result<ConfigResource, ApiError> {
    let resource = ConfigResource::from_parts(kind, name);
    match &resource {
        ConfigResource::Topic(topic) if draft.image().topic(topic).is_none() => {
            Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, format!("Topic '{topic}' does not exist.")))
        }
        ConfigResource::Broker(id) if draft.image().broker(*id).is_none() => {
            Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, format!("Broker {id} is not registered.")))
        }
        ConfigResource::Other(ConfigResource::BROKER, name) => {
            Err(ApiError::invalid_request(format!("'{name}' is not a broker id.")))
        }
        ConfigResource::Other(kind, name) => {
            let message = format!("Resource '{name}' is of type {kind}, which has no configurations here.");
            Err(ApiError::invalid_request(message))
        }
        _ => Ok(resource),
    }
}

/// Makes `values` all that the resource has, and revisits the partitions that new rules concern.
pub(super) fn set(
    draft: &mut Draft<'_>,
    resource: &ConfigResource,
    values: BTreeMap<String, String>,
) -> Result<(), ApiError> {
    check_lengths(&values)?;
    check(draft, resource, &values)?;
    let old = draft.image().config(resource).clone();
    let keys: BTreeSet<&String> = old.keys().chain(values.keys()).collect();
    let changed: Vec<&String> = keys.into_iter().filter(|key| old.get(*key) != values.get(*key)).collect();
    for key in &changed {
        draft.push(config_record(resource, key, values.get(*key).map(String::as_str)));
    }
    let rules = [names::MIN_INSYNC_REPLICAS, names::UNCLEAN_LEADER_ELECTION_ENABLE];
    if changed.iter().any(|key| rules.contains(&key.as_str())) {
        revisit(draft, resource);
    }
    Ok(())
}

/// A value must fit a string of the protocol, which a list that grows may outgrow.
fn check_lengths(values: &BTreeMap<String, String>) -> Result<(), ApiError> {
    match values.iter().find(|(_, value)| value.len() > MAX_VALUE) {
        Some((name, value)) => {
            let message = format!(
                "Configuration {name} would have {} bytes, at most {MAX_VALUE} are possible.",
                value.len()
            );
            Err(ApiError::new(ErrorCode::InvalidConfig, message))
        }
        None => Ok(()),
    }
}

/// A topic's values must fit together. Of a broker's only those that change are checked, for a key may have been
/// dynamic once.
fn check(
    draft: &Draft<'_>,
    resource: &ConfigResource,
    values: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    if matches!(resource, ConfigResource::Topic(_)) {
        return Ok(config::validate_topic_configs(values)?);
    }
    let old = draft.image().config(resource);
    let for_all = *resource == ConfigResource::ClusterDefault;
    let mut changed = values.iter().filter(|(key, value)| old.get(*key) != Some(value));
    changed.try_for_each(|(key, value)| check_dynamic(key, value, for_all))
}

fn check_dynamic(name: &str, value: &str, for_all: bool) -> Result<(), ApiError> {
    let unknown = || ConfigError::UnknownBrokerConfig(name.to_owned());
    let spec = config::broker_config(name).ok_or_else(unknown)?;
    let refuse = |reason: &str| {
        Err(ApiError::new(ErrorCode::InvalidConfig, format!("Configuration {name} {reason}.")))
    };
    match spec.update {
        Update::ReadOnly => refuse("can only be changed in the properties file of a broker"),
        Update::PerBroker if for_all => refuse("can only be set for one broker at a time"),
        _ => Ok(spec.validate(value)?),
    }
}

/// Topics decide about leaders by their own values or by the cluster default; a single broker's do not matter.
fn revisit(draft: &mut Draft<'_>, resource: &ConfigResource) {
    let topics = match resource {
        ConfigResource::Topic(name) => draft.image().topic(name).cloned().into_iter().collect(),
        ConfigResource::ClusterDefault => draft.topics(),
        _ => Vec::new(),
    };
    for topic in topics {
        election::revisit(draft, &topic, |partition| !partition.has_leader() || !partition.elr.is_empty());
    }
}
