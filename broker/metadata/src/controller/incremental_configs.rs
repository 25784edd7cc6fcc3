//! IncrementalAlterConfigs: single keys set, deleted, or their lists changed (KIP-339).

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::ErrorCode;
use klamm_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use klamm_wire::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};

use super::configs::{existing_resource, key_twice, named_twice, set, without_value};
use super::draft::Draft;
use super::error::{ApiError, code_and_message};
use super::topics::repeated;
use crate::ConfigResource;
use crate::config::{self, ConfigKind};

/// `AlterableConfig.ConfigOperation`.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Decides IncrementalAlterConfigs (44).
pub(super) fn alter(
    draft: &mut Draft<'_>,
    request: &IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let duplicates = repeated(request.resources.iter().map(|r| (r.resource_type, &*r.resource_name)));
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let result = if duplicates.contains(&(resource.resource_type, &*resource.resource_name)) {
            Err(named_twice(&resource.resource_name))
        } else {
            change(draft, resource)
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
    IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() }
}

fn change(draft: &mut Draft<'_>, request: &AlterConfigsResource) -> Result<(), ApiError> {
    let resource = existing_resource(draft, request.resource_type, &request.resource_name)?;
    let mut values = draft.image().config(&resource).clone();
    let mut seen = BTreeSet::new();
    for entry in &request.configs {
        if !seen.insert(&*entry.name) {
            return Err(key_twice(&entry.name));
        }
        change_key(draft, &resource, &mut values, entry)?;
    }
    set(draft, &resource, values)
}

fn change_key(
    draft: &Draft<'_>,
    resource: &ConfigResource,
    values: &mut BTreeMap<String, String>,
    entry: &AlterableConfig,
) -> Result<(), ApiError> {
    let name = &*entry.name;
    if entry.config_operation == DELETE {
        values.remove(name);
        return Ok(());
    }
    let given = entry.value.as_deref().ok_or_else(|| without_value(name))?;
    let value = match entry.config_operation {
        SET => given.to_owned(),
        APPEND => append(&list(draft, resource, values, name)?, given),
        SUBTRACT => subtract(&list(draft, resource, values, name)?, given),
        other => {
            return Err(ApiError::invalid_request(format!(
                "Unknown operation {other} on configuration {name}."
            )));
        }
    };
    values.insert(name.to_owned(), value);
    Ok(())
}

/// The list that is in effect, which appending and subtracting start from.
fn list(
    draft: &Draft<'_>,
    resource: &ConfigResource,
    values: &BTreeMap<String, String>,
    name: &str,
) -> Result<String, ApiError> {
    let topic = config::topic_config(name).map(|entry| entry.spec.kind);
    let kind = match resource {
        ConfigResource::Topic(_) => topic,
        _ => config::broker_config(name).map(|spec| spec.kind),
    };
    if kind.is_some_and(|kind| kind != ConfigKind::List) {
        let message =
            format!("Configuration {name} is not a list that elements could be added to or taken from.");
        return Err(ApiError::new(ErrorCode::InvalidConfig, message));
    }
    let properties = draft.properties();
    let effective = match resource {
        ConfigResource::Topic(_) => config::effective_topic_config(name, values, &properties),
        _ => config::effective_broker_config(name, &properties),
    };
    let fallback = || effective.and_then(|effective| effective.value).unwrap_or_default();
    Ok(values.get(name).cloned().unwrap_or_else(fallback))
}

fn append(list: &str, given: &str) -> String {
    let mut elements: Vec<&str> = config::list_elements(list).collect();
    for element in config::list_elements(given) {
        if !elements.contains(&element) {
            elements.push(element);
        }
    }
    elements.join(",")
}

fn subtract(list: &str, given: &str) -> String {
    let gone: BTreeSet<&str> = config::list_elements(given).collect();
    let left: Vec<&str> = config::list_elements(list).filter(|element| !gone.contains(element)).collect();
    left.join(",")
}
