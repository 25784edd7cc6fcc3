//! Creates topics on behalf of clients: automatic creation, and the offsets topic.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use klamm_metadata::{Image, Topic};
use klamm_wire::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use klamm_wire::{ErrorCode, Message, Str};
use tokio::sync::{Mutex, watch};
use tracing::{info, warn};

use crate::controller::channel::Channel;
use crate::group::OFFSETS_TOPIC;

/// How long a client waits for a topic that it makes the broker create.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long after a change of the metadata its publication is looked for again.
const PUBLICATION: Duration = Duration::from_millis(5);

/// Shape of the offsets topic (`offsets.topic.*`).
#[derive(Clone, Debug)]
pub struct OffsetsTopic {
    /// `offsets.topic.num.partitions`.
    pub partitions: i32,
    /// `offsets.topic.replication.factor`.
    pub replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub segment_bytes: i32,
}

/// Asks the active controller for topics, one request at a time.
pub struct TopicCreator {
    offsets_topic: OffsetsTopic,
    image: Arc<ArcSwap<Image>>,
    changes: watch::Receiver<Arc<Image>>,
    channel: Mutex<Channel>,
}

impl TopicCreator {
    /// A creator that watches `changes` for what it asked for.
    pub fn new(
        offsets_topic: OffsetsTopic,
        image: Arc<ArcSwap<Image>>,
        changes: watch::Receiver<Arc<Image>>,
        channel: Channel,
    ) -> Self {
        Self { offsets_topic, image, changes, channel: Mutex::new(channel) }
    }

    /// Creates topics that do not exist; returns those that were refused and why.
    pub async fn create(&self, names: Vec<Str>) -> Vec<(Str, ErrorCode)> {
        let mut channel = self.channel.lock().await;
        let missing: Vec<Str> = names.into_iter().filter(|n| self.image.load().topic(n).is_none()).collect();
        if missing.is_empty() {
            return Vec::new();
        }
        let topics: Vec<_> = missing.iter().map(|name| self.topic(name)).collect();
        let timeout_ms = i32::try_from(TIMEOUT.as_millis()).unwrap_or(i32::MAX);
        let request = CreateTopicsRequest { topics, timeout_ms, ..CreateTopicsRequest::default() };
        let error_of = |r: &klamm_wire::messages::create_topics_response::CreateTopicsResponse| {
            r.topics.first().map_or(0, |t| t.error_code)
        };
        match channel.call(CreateTopicsRequest::MAX, &request, error_of, TIMEOUT).await {
            Ok(response) => {
                let refused = refusals(response.topics);
                self.wait_for(|image| {
                    let is_refused = |name: &Str| refused.iter().any(|(other, _)| other == name);
                    missing
                        .iter()
                        .all(|name| is_refused(name) || image.topic(name).is_some_and(|t| is_led(t)))
                })
                .await;
                refused
            }
            Err(error) => {
                warn!(%error, "topics not created");
                missing.into_iter().map(|name| (name, ErrorCode::LeaderNotAvailable)).collect()
            }
        }
    }

    /// Creates one topic and waits, within bounds, until each of its partitions has a leader.
    pub async fn create_and_wait(&self, name: Str) {
        let refused = self.create(vec![name.clone()]).await;
        if refused.iter().any(|(_, error)| *error != ErrorCode::TopicAlreadyExists) {
            return;
        }
        self.wait_for(|image| image.topic(&name).is_some_and(|t| is_led(t))).await;
    }

    /// Waits, within bounds, until this node's image satisfies the condition; otherwise the client asks again.
    async fn wait_for(&self, condition: impl Fn(&Image) -> bool) {
        let until = tokio::time::Instant::now() + TIMEOUT;
        let mut changes = self.changes.clone();
        while !condition(&self.image.load()) {
            // The image is published to readers a moment after it changes.
            let pause = tokio::time::timeout(PUBLICATION, changes.changed());
            if pause.await.is_ok_and(|changed| changed.is_err()) || tokio::time::Instant::now() > until {
                return;
            }
        }
    }

    fn topic(&self, name: &Str) -> CreatableTopic {
        let mut topic = CreatableTopic {
            name: name.clone(),
            num_partitions: -1,
            replication_factor: -1,
            ..CreatableTopic::default()
        };
        if **name == *OFFSETS_TOPIC {
            let shape = &self.offsets_topic;
            topic.num_partitions = shape.partitions;
            topic.replication_factor = shape.replication_factor;
            let segment_bytes = shape.segment_bytes.to_string();
            let configs = [
                ("cleanup.policy", "compact"),
                ("compression.type", "producer"),
                ("segment.bytes", &segment_bytes),
            ];
            topic.configs = configs
                .into_iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name: Str::copy_from(name),
                    value: Some(Str::copy_from(value)),
                    ..CreatableTopicConfig::default()
                })
                .collect();
        }
        topic
    }
}

fn is_led(topic: &Topic) -> bool {
    topic.partitions.values().all(|p| p.has_leader())
}

fn refusals(
    results: Vec<klamm_wire::messages::create_topics_response::CreatableTopicResult>,
) -> Vec<(Str, ErrorCode)> {
    let mut refused = Vec::new();
    for result in results {
        let error = ErrorCode::from_code(result.error_code);
        match error {
            ErrorCode::None => info!(topic = %result.name, "topic created for a client"),
            ErrorCode::TopicAlreadyExists => {}
            _ => {
                let reason = result.error_message.unwrap_or_default();
                warn!(topic = %result.name, %error, %reason, "topic not created for a client");
                refused.push((result.name, error));
            }
        }
    }
    refused
}
