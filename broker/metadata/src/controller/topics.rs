//! CreateTopics and DeleteTopics.

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use klamm_wire::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use klamm_wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use klamm_wire::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use klamm_wire::messages::remove_topic_record::RemoveTopicRecord;
use klamm_wire::messages::topic_record::TopicRecord;
use klamm_wire::{ErrorCode, Str};
use uuid::Uuid;

use super::draft::{Draft, Turn};
use super::error::{ApiError, code_and_message};
use super::partitions::{self, Budget};
use super::topic_names::{Collisions, validate_topic_name};
use crate::config;
use crate::image::snapshot::config_record;
use crate::{ConfigResource, Image};

/// Decides CreateTopics (19): each topic by itself, all good ones in one entry.
pub(super) fn create(turn: &mut Turn<'_>, request: &CreateTopicsRequest) -> CreateTopicsResponse {
    let duplicates = repeated(request.topics.iter().map(|topic| &*topic.name));
    let mut collisions = Collisions::of(turn.draft.image());
    let mut budget = Budget::default();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let result = if duplicates.contains(&*topic.name) {
            Err(ApiError::invalid_request(format!("Topic '{}' is named more than once.", topic.name)))
        } else {
            create_one(turn, topic, &mut collisions, &mut budget)
        };
        topics.push(result.unwrap_or_else(|error| refused(topic, error)));
    }
    if request.validate_only {
        turn.draft.discard();
    }
    CreateTopicsResponse { topics, ..CreateTopicsResponse::default() }
}

fn refused(topic: &CreatableTopic, error: ApiError) -> CreatableTopicResult {
    CreatableTopicResult {
        name: topic.name.clone(),
        error_code: error.code.code(),
        error_message: error.text(),
        ..CreatableTopicResult::default()
    }
}

fn create_one(
    turn: &mut Turn<'_>,
    topic: &CreatableTopic,
    collisions: &mut Collisions,
    budget: &mut Budget,
) -> Result<CreatableTopicResult, ApiError> {
    let name = &*topic.name;
    validate_topic_name(name).map_err(|reason| ApiError::new(ErrorCode::InvalidTopicException, reason))?;
    if turn.draft.image().topic(name).is_some() {
        return Err(ApiError::new(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    let overrides = overrides(topic)?;
    let assignments = partitions::of_new_topic(turn, topic, budget)?;
    collisions.admit(name)?;

    let topic_id = new_topic_id(turn.draft.image(), turn.rng);
    let replication_factor = assignments.first().map_or(0, Vec::len);
    turn.draft.push(TopicRecord { name: topic.name.clone(), topic_id, ..TopicRecord::default() });
    let resource = ConfigResource::Topic(name.to_owned());
    for (key, value) in &overrides {
        turn.draft.push(config_record(&resource, key, Some(value)));
    }
    let num_partitions = i32::try_from(assignments.len()).unwrap_or(i32::MAX);
    for (index, replicas) in (0..).zip(assignments) {
        partitions::add(&mut turn.draft, topic_id, index, replicas);
    }
    Ok(CreatableTopicResult {
        name: topic.name.clone(),
        topic_id,
        num_partitions,
        replication_factor: i16::try_from(replication_factor).unwrap_or(i16::MAX),
        configs: Some(described(&turn.draft, &overrides)),
        ..CreatableTopicResult::default()
    })
}

fn overrides(topic: &CreatableTopic) -> Result<BTreeMap<String, String>, ApiError> {
    let mut overrides = BTreeMap::new();
    for entry in &topic.configs {
        let Some(value) = &entry.value else {
            let message = format!("Configuration {} of topic '{}' has no value.", entry.name, topic.name);
            return Err(ApiError::new(ErrorCode::InvalidConfig, message));
        };
        overrides.insert(entry.name.to_string(), value.to_string());
    }
    config::validate_topic_configs(&overrides)?;
    Ok(overrides)
}

fn described(draft: &Draft<'_>, overrides: &BTreeMap<String, String>) -> Vec<CreatableTopicConfigs> {
    let entries = config::describe_topic(overrides, &draft.properties());
    let shown = entries.into_iter().map(|entry| CreatableTopicConfigs {
        name: Str::from(entry.name),
        value: entry.value.map(Str::from),
        read_only: entry.read_only,
        config_source: entry.source.code(),
        is_sensitive: entry.sensitive,
        ..CreatableTopicConfigs::default()
    });
    shown.collect()
}

/// A random id that is free and whose base64 form does not begin with '-', which tools would take for an option.
fn new_topic_id(image: &Image, rng: &mut dyn FnMut() -> u64) -> Uuid {
    loop {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&rng().to_be_bytes());
        bytes[8..].copy_from_slice(&rng().to_be_bytes());
        if bytes[0] >> 2 == 62 {
            bytes[0] = 0;
        }
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
        if image.topic_by_id(id).is_none() {
            return id;
        }
    }
}

/// The values that occur more than once.
pub(super) fn repeated<T: Ord + Copy>(values: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    values.filter(|value| !seen.insert(*value)).collect()
}

/// Decides DeleteTopics (20), by name or by id.
pub(super) fn delete(draft: &mut Draft<'_>, request: &DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name = request
        .topic_names
        .iter()
        .map(|name| DeleteTopicState { name: Some(name.clone()), ..DeleteTopicState::default() });
    let wanted: Vec<DeleteTopicState> = request.topics.iter().cloned().chain(by_name).collect();
    let names = repeated(wanted.iter().filter_map(|topic| topic.name.as_deref()));
    let ids = repeated(wanted.iter().map(|topic| topic.topic_id).filter(|id| !id.is_nil()));
    let mut responses = Vec::with_capacity(wanted.len());
    for topic in &wanted {
        let twice =
            topic.name.as_deref().is_some_and(|name| names.contains(name)) || ids.contains(&topic.topic_id);
        let found = if twice {
            Err(ApiError::invalid_request(format!("{} is named more than once.", describe(topic))))
        } else {
            delete_one(draft, topic)
        };
        responses.push(deletion(topic, found));
    }
    DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() }
}

fn delete_one(draft: &mut Draft<'_>, wanted: &DeleteTopicState) -> Result<(String, Uuid), ApiError> {
    if !draft.properties().flag("delete.topic.enable") {
        return Err(ApiError::new(ErrorCode::TopicDeletionDisabled, "delete.topic.enable is false."));
    }
    let image = draft.image();
    let (topic, missing) = match (&wanted.name, wanted.topic_id) {
        (Some(_), id) if !id.is_nil() => {
            return Err(ApiError::invalid_request(format!(
                "{} is named by both name and id.",
                describe(wanted)
            )));
        }
        (Some(name), _) => (image.topic(name), ErrorCode::UnknownTopicOrPartition),
        (None, id) => (image.topic_by_id(id), ErrorCode::UnknownTopicId),
    };
    let missing = || ApiError::new(missing, format!("{} does not exist.", describe(wanted)));
    let topic = topic.cloned().ok_or_else(missing)?;
    draft.push(RemoveTopicRecord { topic_id: topic.id, ..RemoveTopicRecord::default() });
    Ok((topic.name.clone(), topic.id))
}

fn describe(topic: &DeleteTopicState) -> String {
    match &topic.name {
        Some(name) => format!("Topic '{name}'"),
        None => format!("Topic with id {}", topic.topic_id),
    }
}

fn deletion(wanted: &DeleteTopicState, result: Result<(String, Uuid), ApiError>) -> DeletableTopicResult {
    let (name, topic_id) = match &result {
        Ok((name, id)) => (Some(Str::copy_from(name)), *id),
        Err(_) => (wanted.name.clone(), wanted.topic_id),
    };
    let (error_code, error_message) = code_and_message(result);
    DeletableTopicResult { name, topic_id, error_code, error_message, ..DeletableTopicResult::default() }
}
