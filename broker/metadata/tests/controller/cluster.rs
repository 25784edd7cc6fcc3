//! A cluster in one struct: a controller, the log that its decisions make, and a clock that only tests move.

use std::collections::BTreeMap;

use klamm_metadata::controller::{Command, Controller, Decision, QuorumHealth, Reply, Settings, VoterState};
use klamm_metadata::{Image, Partition, Record};
use klamm_wire::messages::alter_partition_request::{
    AlterPartitionRequest, BrokerState, PartitionData, TopicData,
};
use klamm_wire::messages::begin_disruption_request::BeginDisruptionRequest;
use klamm_wire::messages::begin_disruption_response::BeginDisruptionResponse;
use klamm_wire::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use klamm_wire::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use klamm_wire::messages::broker_registration_request::{BrokerRegistrationRequest, Listener};
use klamm_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use klamm_wire::messages::create_topics_response::CreatableTopicResult;
use klamm_wire::messages::describe_disruptions_response::DisruptionGrant;
use klamm_wire::messages::end_disruption_request::EndDisruptionRequest;
use klamm_wire::{ErrorCode, Str};
use uuid::Uuid;

pub const CLUSTER_ID: &str = "klamm-test";

pub struct Cluster {
    pub controller: Controller,
    pub image: Image,
    pub log: Vec<Vec<Record>>,
    pub now_ms: i64,
    /// What the quorum says of its voters; nobody is one unless a test says so.
    pub quorum: QuorumHealth,
    random: u64,
    incarnations: u128,
}

pub fn properties(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Cluster {
    pub fn new() -> Cluster {
        // Kafka's own defaults, so that the times in these tests are round.
        let sessions = [("broker.session.timeout.ms", "9000"), ("broker.heartbeat.interval.ms", "2000")];
        Cluster::with(Settings::new(CLUSTER_ID, properties(&sessions)))
    }

    pub fn with(settings: Settings) -> Cluster {
        let mut controller = Controller::new(settings);
        let image = Image::empty();
        controller.on_become_active(&image, None, 0);
        let (log, quorum) = (Vec::new(), QuorumHealth::default());
        Cluster { controller, image, log, now_ms: 0, quorum, random: 7, incarnations: 0 }
    }

    /// Brokers 0 to `count - 1`, unfenced.
    pub fn of(count: i32) -> Cluster {
        let mut cluster = Cluster::new();
        for id in 0..count {
            cluster.start(id);
        }
        cluster
    }

    pub fn run(&mut self, command: Command) -> Reply {
        let decision = self.decide(command);
        self.append(decision.records);
        decision.reply
    }

    pub fn decide(&mut self, command: Command) -> Decision {
        let random = &mut self.random;
        let mut rng = move || {
            *random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            *random >> 7
        };
        self.controller.handle(&self.image, command, self.now_ms, self.image.offset() + 1, &mut rng)
    }

    pub fn append(&mut self, records: Vec<Record>) {
        if !records.is_empty() {
            self.image.apply(self.image.offset() + 1, 1, &records);
            self.log.push(records);
        }
    }

    /// Lets time pass up to a moment and does what is due then.
    pub fn advance_to(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        for decision in self.controller.tick(&self.image, now_ms) {
            self.append(decision.records);
        }
    }

    pub fn new_controller(&mut self) {
        self.controller.on_become_active(&self.image, None, self.now_ms);
    }

    pub fn registration(&mut self, id: i32, previous_epoch: i64) -> BrokerRegistrationRequest {
        self.incarnations += 1;
        BrokerRegistrationRequest {
            broker_id: id,
            cluster_id: Str::from(CLUSTER_ID),
            incarnation_id: Uuid::from_u128(self.incarnations),
            listeners: vec![listener(9_000 + u16::try_from(id).unwrap())],
            previous_broker_epoch: previous_epoch,
            ..BrokerRegistrationRequest::default()
        }
    }

    pub fn try_register(&mut self, request: BrokerRegistrationRequest) -> Result<i64, i16> {
        match self.run(Command::RegisterBroker(request)) {
            Reply::RegisterBroker(reply) if reply.error_code == 0 => Ok(reply.broker_epoch),
            Reply::RegisterBroker(reply) => Err(reply.error_code),
            other => panic!("{other:?}"),
        }
    }

    pub fn register(&mut self, id: i32, previous_epoch: i64) -> i64 {
        let request = self.registration(id, previous_epoch);
        self.try_register(request).unwrap()
    }

    /// Registers after a stop that was not clean, and unfences.
    pub fn start(&mut self, id: i32) {
        self.register(id, -1);
        assert!(!self.heartbeat(id).is_fenced);
    }

    /// Registers after a clean stop, and unfences.
    pub fn start_cleanly(&mut self, id: i32) {
        let previous = self.epoch(id);
        self.register(id, previous);
        assert!(!self.heartbeat(id).is_fenced);
    }

    pub fn epoch(&self, id: i32) -> i64 {
        self.image.broker(id).map_or(-1, |broker| broker.epoch)
    }

    pub fn heartbeat(&mut self, id: i32) -> BrokerHeartbeatResponse {
        self.heartbeat_with(id, |_| {})
    }

    pub fn heartbeat_with(
        &mut self,
        id: i32,
        adjust: impl FnOnce(&mut BrokerHeartbeatRequest),
    ) -> BrokerHeartbeatResponse {
        let mut request = BrokerHeartbeatRequest {
            broker_id: id,
            broker_epoch: self.epoch(id),
            current_metadata_offset: self.image.offset(),
            ..BrokerHeartbeatRequest::default()
        };
        adjust(&mut request);
        match self.run(Command::BrokerHeartbeat(request)) {
            Reply::BrokerHeartbeat(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    pub fn kill(&mut self, id: i32) {
        let epoch = self.epoch(id);
        assert_eq!(self.run(Command::BrokerGone { id, epoch }), Reply::None);
    }

    pub fn voter(&mut self, id: i32, state: VoterState) {
        self.quorum.0.insert(id, state);
    }

    /// Asks in the name of `operator` for leave to stop a node for ten seconds.
    pub fn begin(&mut self, node: i32) -> BeginDisruptionResponse {
        self.begin_with(node, |_| {})
    }

    pub fn begin_with(
        &mut self,
        node_id: i32,
        adjust: impl FnOnce(&mut BeginDisruptionRequest),
    ) -> BeginDisruptionResponse {
        let (holder, reason) = ("operator".into(), "config changed".into());
        let mut request =
            BeginDisruptionRequest { node_id, holder, reason, duration_ms: 10_000, ..Default::default() };
        adjust(&mut request);
        match self.run(Command::BeginDisruption(request, self.quorum.clone())) {
            Reply::BeginDisruption(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    pub fn end(&mut self, node_id: i32, grant_id: i64) {
        let request = EndDisruptionRequest { node_id, grant_id, ..Default::default() };
        match self.run(Command::EndDisruption(request)) {
            Reply::EndDisruption(reply) => assert_eq!(reply.error_code, 0),
            other => panic!("{other:?}"),
        }
    }

    pub fn grants(&mut self) -> Vec<DisruptionGrant> {
        match self.run(Command::DescribeDisruptions(self.quorum.clone())) {
            Reply::DescribeDisruptions(reply) => reply.grants,
            other => panic!("{other:?}"),
        }
    }

    /// One partition `t-0` on these replicas, with these overrides.
    pub fn topic_on(&mut self, replicas: &[i32], configs: &[(&str, &str)]) {
        self.topic_called("t", replicas, configs);
    }

    pub fn topic_called(&mut self, name: &str, replicas: &[i32], configs: &[(&str, &str)]) {
        let topic = CreatableTopic {
            assignments: vec![CreatableReplicaAssignment {
                partition_index: 0,
                broker_ids: replicas.to_vec(),
                ..CreatableReplicaAssignment::default()
            }],
            ..creatable(name, -1, -1, configs)
        };
        assert_eq!(self.create(topic).error_code, 0);
    }

    pub fn create(&mut self, topic: CreatableTopic) -> CreatableTopicResult {
        self.create_all(vec![topic], false).remove(0)
    }

    pub fn create_all(
        &mut self,
        topics: Vec<CreatableTopic>,
        validate_only: bool,
    ) -> Vec<CreatableTopicResult> {
        let request = CreateTopicsRequest { topics, validate_only, ..CreateTopicsRequest::default() };
        match self.run(Command::CreateTopics(request)) {
            Reply::CreateTopics(reply) => reply.topics,
            other => panic!("{other:?}"),
        }
    }

    pub fn partition(&self) -> &Partition {
        self.image.partition("t", 0).unwrap()
    }

    /// AlterPartition for `t-0` as its leader would send it; returns the partition's error code.
    pub fn alter_isr(&mut self, isr: &[i32]) -> i16 {
        self.alter_isr_with(isr, |_, _| {})
    }

    pub fn alter_isr_with(
        &mut self,
        isr: &[i32],
        adjust: impl FnOnce(&mut AlterPartitionRequest, &mut PartitionData),
    ) -> i16 {
        let partition = self.partition().clone();
        let member = |id: &i32| BrokerState {
            broker_id: *id,
            broker_epoch: self.epoch(*id),
            ..BrokerState::default()
        };
        let mut proposal = PartitionData {
            partition_index: 0,
            leader_epoch: partition.leader_epoch,
            new_isr_with_epochs: isr.iter().map(member).collect(),
            partition_epoch: partition.partition_epoch,
            ..PartitionData::default()
        };
        let mut request = AlterPartitionRequest {
            broker_id: partition.leader,
            broker_epoch: self.epoch(partition.leader),
            ..AlterPartitionRequest::default()
        };
        adjust(&mut request, &mut proposal);
        let topic_id = self.image.topic("t").unwrap().id;
        request.topics = vec![TopicData { topic_id, partitions: vec![proposal], ..TopicData::default() }];
        match self.run(Command::AlterPartition(request)) {
            Reply::AlterPartition(reply) if reply.error_code != 0 => reply.error_code,
            Reply::AlterPartition(reply) => reply.topics[0].partitions[0].error_code,
            other => panic!("{other:?}"),
        }
    }
}

pub fn listener(port: u16) -> Listener {
    Listener { name: "PLAINTEXT".into(), host: "127.0.0.1".into(), port, ..Listener::default() }
}

pub fn creatable(
    name: &str,
    num_partitions: i32,
    replication_factor: i16,
    configs: &[(&str, &str)],
) -> CreatableTopic {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: Str::copy_from(name),
        value: Some(Str::copy_from(value)),
        ..CreatableTopicConfig::default()
    };
    CreatableTopic {
        name: Str::copy_from(name),
        num_partitions,
        replication_factor,
        configs: configs.iter().map(config).collect(),
        ..CreatableTopic::default()
    }
}

pub fn code(error: ErrorCode) -> i16 {
    error.code()
}
