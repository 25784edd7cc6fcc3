//! A small client that follows leaders: enough to produce, read back and administrate in tests.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::{Bytes, BytesMut};
use klamm_records::{BatchBuilder, Record, batches};
use klamm_wire::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use klamm_wire::messages::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use klamm_wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use klamm_wire::messages::init_producer_id_request::InitProducerIdRequest;
use klamm_wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use klamm_wire::messages::metadata_request::MetadataRequest;
use klamm_wire::messages::metadata_response::{MetadataResponse, MetadataResponsePartition};
use klamm_wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use klamm_wire::{ErrorCode, Records, Request, Str};

use crate::connection::Connection;

const METADATA_VERSION: i16 = 12;
const PRODUCE_VERSION: i16 = 9;
/// The last version that only leaders answer: what a follower has may be less than what is committed.
const FETCH_VERSION: i16 = 10;
const LIST_OFFSETS_VERSION: i16 = 7;
/// How long a single request may take.
const REQUEST: Duration = Duration::from_secs(10);
/// How long a call goes on after errors that may pass.
const RETRIES: Duration = Duration::from_secs(30);

/// Why a batch was not acknowledged.
#[derive(Debug)]
pub enum ProduceError {
    /// The broker said no.
    Refused(ErrorCode),
    /// The connection broke or no answer came: the batch may have been stored or not.
    Unknown(anyhow::Error),
}

impl std::fmt::Display for ProduceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(code) => write!(f, "refused: {} ({})", code.name(), code.message()),
            Self::Unknown(error) => write!(f, "outcome unknown: {error:#}"),
        }
    }
}

impl std::error::Error for ProduceError {}

/// A client with one connection a broker.
#[derive(Debug)]
pub struct Client {
    bootstrap: Vec<String>,
    connections: HashMap<String, Connection>,
    leaders: HashMap<(String, i32), String>,
    timeout: Duration,
}

impl Client {
    /// A client that will ask the given comma-separated addresses for the cluster.
    pub fn new(bootstrap: &str) -> Self {
        let bootstrap = bootstrap.split(',').map(str::to_owned).collect();
        Self { bootstrap, connections: HashMap::new(), leaders: HashMap::new(), timeout: REQUEST }
    }

    /// Gives up on a connection or a request after this long, where machines may vanish without a word.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Calls the broker at an address; a connection that broke is dropped and dialled again next time.
    ///
    /// # Errors
    /// No connection or no answer.
    pub fn call_at<R: Request>(&mut self, address: &str, version: i16, request: &R) -> Result<R::Response> {
        if !self.connections.contains_key(address) {
            self.connections.insert(address.to_owned(), Connection::open(address, self.timeout)?);
        }
        let connection = self.connections.get_mut(address).context("just inserted")?;
        let answer = connection.call(version, request);
        if answer.is_err() {
            self.connections.remove(address);
        }
        answer
    }

    /// Calls any broker that answers, the one that answered last first.
    ///
    /// # Errors
    /// None does.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        let mut last = anyhow!("no bootstrap address");
        for address in self.bootstrap.clone() {
            match self.call_at(&address, version, request) {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error.context(address),
            }
            self.bootstrap.rotate_left(1);
        }
        Err(last)
    }

    /// Brokers and topics as one broker sees them now.
    ///
    /// # Errors
    /// No broker answers.
    pub fn topology(&mut self) -> Result<Topology> {
        Ok(Topology(self.call(METADATA_VERSION, &everything())?))
    }

    fn topology_at(&mut self, address: &str) -> Result<Topology> {
        Ok(Topology(self.call_at(address, METADATA_VERSION, &everything())?))
    }

    /// Creates a topic with the broker's default replication factor, and waits until every broker that answers knows a leader of
    /// every partition: whoever is asked next knows the topic.
    ///
    /// # Errors
    /// The broker refuses, or no leaders in time.
    pub fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<()> {
        let code = self.try_create_topic(name, partitions, configs)?;
        ensure!(code.is_none(), "creating {name}: {}", code.name());
        crate::wait::until(RETRIES, &format!("{name} has leaders"), || {
            let topology = self.topology()?;
            let views = topology.addresses().into_iter().filter_map(|at| self.topology_at(&at).ok());
            for view in std::iter::once(topology).chain(views.collect::<Vec<_>>()) {
                (0..partitions).try_for_each(|p| view.leader(name, p).map(drop))?;
            }
            Ok(Some(()))
        })
    }

    /// Asks for a topic and returns what the broker says.
    ///
    /// # Errors
    /// No broker answers.
    pub fn try_create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<ErrorCode> {
        let config = |(key, value): &(&str, &str)| CreatableTopicConfig {
            name: Str::copy_from(key),
            value: Some(Str::copy_from(value)),
            ..Default::default()
        };
        let topic = CreatableTopic {
            name: Str::copy_from(name),
            num_partitions: partitions,
            replication_factor: -1,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, ..Default::default() };
        let answer = self.call(7, &request)?;
        let topic = answer.topics.first().context("an answer for the topic")?;
        Ok(ErrorCode::from_code(topic.error_code))
    }

    /// The node that leads the metadata quorum.
    ///
    /// # Errors
    /// No broker knows one.
    pub fn quorum_leader(&mut self) -> Result<i32> {
        let partition = PartitionData { partition_index: 0, ..Default::default() };
        let topic = TopicData {
            topic_name: Str::from("__cluster_metadata"),
            partitions: vec![partition],
            ..Default::default()
        };
        let answer = self.call(1, &DescribeQuorumRequest { topics: vec![topic], ..Default::default() })?;
        let partition = answer.topics.first().and_then(|t| t.partitions.first());
        let code = ErrorCode::from_code(partition.map_or(answer.error_code, |p| p.error_code));
        ensure!(code.is_none(), "describing the quorum: {}", code.name());
        Ok(partition.context("the quorum's partition")?.leader_id)
    }

    fn leader_address(&mut self, topic: &str, partition: i32) -> Result<String> {
        let key = (topic.to_owned(), partition);
        if let Some(address) = self.leaders.get(&key) {
            return Ok(address.clone());
        }
        let address = self.topology()?.leader_address(topic, partition)?;
        self.leaders.insert(key, address.clone());
        Ok(address)
    }

    /// A producer id and epoch for idempotent batches.
    ///
    /// # Errors
    /// None is given in time.
    pub fn producer_id(&mut self) -> Result<(i64, i16)> {
        crate::wait::until(RETRIES, "a producer id", || {
            let request = InitProducerIdRequest {
                transactional_id: None,
                transaction_timeout_ms: 60_000,
                ..Default::default()
            };
            let answer = self.call(4, &request)?;
            let code = ErrorCode::from_code(answer.error_code);
            ensure!(code.is_none(), "{}", code.name());
            Ok(Some((answer.producer_id, answer.producer_epoch)))
        })
    }

    /// Sends one batch to the partition's leader as it is, once; returns the offset of its first record.
    ///
    /// # Errors
    /// See [`ProduceError`].
    pub fn produce_batch(
        &mut self,
        topic: &str,
        partition: i32,
        acks: i16,
        batch: Bytes,
    ) -> Result<i64, ProduceError> {
        let address = self.leader_address(topic, partition).map_err(ProduceError::Unknown)?;
        let data = PartitionProduceData { index: partition, records: Some(batch), ..Default::default() };
        let topic_data = TopicProduceData {
            name: Str::copy_from(topic),
            partition_data: vec![data],
            ..Default::default()
        };
        let request =
            ProduceRequest { acks, timeout_ms: 5_000, topic_data: vec![topic_data], ..Default::default() };
        let answer = self.call_at(&address, PRODUCE_VERSION, &request);
        let result = answer.map_err(ProduceError::Unknown).and_then(|answer| {
            let one = answer.responses.first().and_then(|t| t.partition_responses.first());
            let one = one.context("an answer for the partition").map_err(ProduceError::Unknown)?;
            match ErrorCode::from_code(one.error_code) {
                ErrorCode::None => Ok(one.base_offset),
                code => Err(ProduceError::Refused(code)),
            }
        });
        if result.is_err() {
            self.leaders.remove(&(topic.to_owned(), partition));
        }
        result
    }

    /// Produces values without keys with acks=all, again after errors that may pass; returns the first offset.
    ///
    /// # Errors
    /// A final refusal, or none acknowledged in time.
    pub fn produce(&mut self, topic: &str, partition: i32, values: &[&str]) -> Result<i64> {
        let batch = batch(values, None)?.freeze();
        let start = Instant::now();
        loop {
            match self.produce_batch(topic, partition, -1, batch.clone()) {
                Ok(offset) => return Ok(offset),
                Err(ProduceError::Refused(code)) if !code.is_retriable() => {
                    bail!("producing to {topic}-{partition}: {}", code.name())
                }
                Err(error) if start.elapsed() > RETRIES => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Everything in a partition from an offset up to its high watermark.
    ///
    /// # Errors
    /// The leader refuses for longer than errors may pass, or a batch is damaged.
    pub fn read_from(&mut self, topic: &str, partition: i32, from: i64) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        let mut next = from;
        let start = Instant::now();
        loop {
            match self.fetch(topic, partition, next) {
                Ok((bytes, high_watermark)) => {
                    for batch in batches(bytes) {
                        let batch = batch?;
                        batch.verify_crc()?;
                        for record in batch.records(64 << 20)? {
                            let record = record?;
                            if record.offset >= next {
                                next = record.offset + 1;
                                records.push(record);
                            }
                        }
                    }
                    if next >= high_watermark {
                        return Ok(records);
                    }
                }
                Err(error) if start.elapsed() > RETRIES => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Everything in a partition.
    ///
    /// # Errors
    /// See [`Client::read_from`].
    pub fn read_all(&mut self, topic: &str, partition: i32) -> Result<Vec<Record>> {
        let start = self.offset_at(topic, partition, -2)?;
        self.read_from(topic, partition, start)
    }

    fn fetch(&mut self, topic: &str, partition: i32, from: i64) -> Result<(Bytes, i64)> {
        let address = self.leader_address(topic, partition)?;
        let fetched = self.fetch_at(&address, topic, partition, from);
        if fetched.is_err() {
            self.leaders.remove(&(topic.to_owned(), partition));
        }
        fetched
    }

    /// One fetch from one broker: the batches, and the high watermark.
    ///
    /// # Errors
    /// No answer, or an error code, by its name.
    pub fn fetch_at(
        &mut self,
        address: &str,
        topic: &str,
        partition: i32,
        from: i64,
    ) -> Result<(Bytes, i64)> {
        let wanted = FetchPartition {
            partition,
            fetch_offset: from,
            partition_max_bytes: 4 << 20,
            ..Default::default()
        };
        let topic =
            FetchTopic { topic: Str::copy_from(topic), partitions: vec![wanted], ..Default::default() };
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: 16 << 20,
            topics: vec![topic],
            ..Default::default()
        };
        let answer = self.call_at(address, FETCH_VERSION, &request)?;
        let one = answer.responses.first().and_then(|t| t.partitions.first());
        let code = ErrorCode::from_code(one.map_or(answer.error_code, |p| p.error_code));
        ensure!(code.is_none(), "{}", code.name());
        let one = one.context("an answer for the partition")?;
        match &one.records {
            Records::Bytes(bytes) => Ok((bytes.clone(), one.high_watermark)),
            other => bail!("records of a fetch are {other:?}"),
        }
    }

    /// The offset at a timestamp; -1 asks for the end, -2 for the start.
    ///
    /// # Errors
    /// The leader refuses for longer than errors may pass.
    pub fn offset_at(&mut self, topic: &str, partition: i32, timestamp: i64) -> Result<i64> {
        let what = format!("the offset of {topic}-{partition} at {timestamp}");
        crate::wait::until(RETRIES, &what, || {
            self.leaders.remove(&(topic.to_owned(), partition));
            let address = self.leader_address(topic, partition)?;
            let wanted = ListOffsetsPartition { partition_index: partition, timestamp, ..Default::default() };
            let asked = ListOffsetsTopic {
                name: Str::copy_from(topic),
                partitions: vec![wanted],
                ..Default::default()
            };
            let request = ListOffsetsRequest { replica_id: -1, topics: vec![asked], ..Default::default() };
            let answer = self.call_at(&address, LIST_OFFSETS_VERSION, &request)?;
            let one = answer.topics.first().and_then(|t| t.partitions.first()).context("an answer")?;
            let code = ErrorCode::from_code(one.error_code);
            ensure!(code.is_none(), "{}", code.name());
            Ok(Some(one.offset))
        })
    }
}

/// A batch of values without keys, optionally of an idempotent producer (id, epoch, first sequence).
pub(crate) fn batch(values: &[&str], producer: Option<(i64, i16, i32)>) -> Result<BytesMut> {
    let mut builder = BatchBuilder::new(0);
    if let Some((id, epoch, sequence)) = producer {
        builder = builder.producer(id, epoch, sequence);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    for value in values {
        builder.push(i64::try_from(now.as_millis())?, None, Some(value.as_bytes()), &[])?;
    }
    Ok(builder.finish()?)
}

fn everything() -> MetadataRequest {
    MetadataRequest { topics: None, allow_auto_topic_creation: false, ..Default::default() }
}

/// Brokers, topics, leaders and ISRs at one moment.
#[derive(Clone, Debug)]
pub struct Topology(MetadataResponse);

impl Topology {
    fn partition(&self, topic: &str, partition: i32) -> Result<&MetadataResponsePartition> {
        let found = self.0.topics.iter().find(|t| t.name.as_deref() == Some(topic));
        let partitions = &found.with_context(|| format!("no topic {topic}"))?.partitions;
        let found = partitions.iter().find(|p| p.partition_index == partition);
        found.with_context(|| format!("no partition {topic}-{partition}"))
    }

    /// The leader of a partition.
    ///
    /// # Errors
    /// There is none.
    pub fn leader(&self, topic: &str, partition: i32) -> Result<i32> {
        let leader = self.partition(topic, partition)?.leader_id;
        ensure!(leader >= 0, "{topic}-{partition} has no leader");
        Ok(leader)
    }

    /// The leader epoch of a partition.
    ///
    /// # Errors
    /// No such partition.
    pub fn leader_epoch(&self, topic: &str, partition: i32) -> Result<i32> {
        Ok(self.partition(topic, partition)?.leader_epoch)
    }

    /// The in-sync replicas of a partition.
    ///
    /// # Errors
    /// No such partition.
    pub fn isr(&self, topic: &str, partition: i32) -> Result<Vec<i32>> {
        Ok(self.partition(topic, partition)?.isr_nodes.clone())
    }

    /// The replicas of a partition, the preferred leader first.
    ///
    /// # Errors
    /// No such partition.
    pub fn replicas(&self, topic: &str, partition: i32) -> Result<Vec<i32>> {
        Ok(self.partition(topic, partition)?.replica_nodes.clone())
    }

    /// Ids of the live brokers.
    pub fn brokers(&self) -> Vec<i32> {
        self.0.brokers.iter().map(|b| b.node_id).collect()
    }

    /// Names of all topics.
    pub fn topics(&self) -> Vec<String> {
        self.0.topics.iter().filter_map(|t| t.name.as_deref().map(str::to_owned)).collect()
    }

    fn addresses(&self) -> Vec<String> {
        self.0.brokers.iter().map(|broker| format!("{}:{}", broker.host, broker.port)).collect()
    }

    fn leader_address(&self, topic: &str, partition: i32) -> Result<String> {
        let leader = self.leader(topic, partition)?;
        let broker = self.0.brokers.iter().find(|b| b.node_id == leader);
        let broker = broker.with_context(|| format!("leader {leader} is not among the brokers"))?;
        Ok(format!("{}:{}", broker.host, broker.port))
    }
}
