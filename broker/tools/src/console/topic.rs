//! A topic as a client sees it: its partitions, their leaders, and a connection to each leader.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use klamm_wire::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use klamm_wire::{ErrorCode, Request, Str};
use uuid::Uuid;

use crate::client::{Client, PATIENCE};

/// How long a topic may be unknown: a broker hears of a new one a moment later.
const UNKNOWN: Duration = Duration::from_secs(5);
/// Pause before leaders are asked for again.
const PAUSE: Duration = Duration::from_millis(100);

/// A topic whose partitions all have a leader.
pub struct Topic {
    servers: String,
    /// Its name.
    pub name: Str,
    /// Its id.
    pub id: Uuid,
    leaders: BTreeMap<i32, i32>,
    addresses: HashMap<i32, String>,
    connections: HashMap<i32, Client>,
}

impl Topic {
    /// Looks a topic up, waiting for a moment if it has no leaders.
    ///
    /// # Errors
    /// No server answers, or there is no such topic.
    pub fn find(servers: &str, name: &str) -> Result<Self> {
        let mut topic = Self {
            servers: servers.to_owned(),
            name: Str::copy_from(name),
            id: Uuid::nil(),
            leaders: BTreeMap::new(),
            addresses: HashMap::new(),
            connections: HashMap::new(),
        };
        topic.refresh()?;
        Ok(topic)
    }

    /// Asks again who leads.
    ///
    /// # Errors
    /// No server answers, the topic is not there, or a partition has no leader for too long.
    pub fn refresh(&mut self) -> Result<()> {
        self.connections.clear();
        let mut client = Client::connect(&self.servers, PATIENCE)?;
        let start = Instant::now();
        loop {
            match self.look_up(&mut client)? {
                ErrorCode::None => return Ok(()),
                error if !error.is_retriable() || start.elapsed() >= PATIENCE => {
                    bail!("topic {}: {error}", self.name)
                }
                ErrorCode::UnknownTopicOrPartition if start.elapsed() >= UNKNOWN => {
                    bail!("there is no topic {}: create it with kafka-topics, or as a KafkaTopic", self.name)
                }
                _ => std::thread::sleep(PAUSE),
            }
        }
    }

    fn look_up(&mut self, client: &mut Client) -> Result<ErrorCode> {
        let wanted =
            MetadataRequestTopic { name: Some(self.name.clone()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest {
            topics: Some(vec![wanted]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let answer = client.call(&request)?;
        let found = answer.topics.first().context("an answer about the topic")?;
        let mut errors =
            found.partitions.iter().map(|partition| partition.error_code).chain([found.error_code]);
        if let Some(code) = errors.find(|code| ErrorCode::from_code(*code) != ErrorCode::None) {
            return Ok(ErrorCode::from_code(code));
        }
        self.id = found.topic_id;
        self.leaders = found.partitions.iter().map(|one| (one.partition_index, one.leader_id)).collect();
        self.addresses =
            answer.brokers.iter().map(|one| (one.node_id, format!("{}:{}", one.host, one.port))).collect();
        ensure!(!self.leaders.is_empty(), "topic {} has no partitions", self.name);
        Ok(ErrorCode::None)
    }

    /// The partitions, in order.
    pub fn partitions(&self) -> Vec<i32> {
        self.leaders.keys().copied().collect()
    }

    /// Asks the leader of a partition.
    ///
    /// # Errors
    /// It does not answer.
    pub fn ask<R: Request>(&mut self, partition: i32, request: &R) -> Result<R::Response> {
        let leader =
            *self.leaders.get(&partition).with_context(|| format!("there is no partition {partition}"))?;
        if !self.connections.contains_key(&leader) {
            let address =
                self.addresses.get(&leader).with_context(|| format!("broker {leader} has no address"))?;
            self.connections.insert(leader, Client::connect(address, Duration::ZERO)?);
        }
        let connection = self.connections.get_mut(&leader).context("a connection")?;
        let answer = connection.call(request);
        if answer.is_err() {
            self.connections.remove(&leader);
        }
        answer
    }
}
