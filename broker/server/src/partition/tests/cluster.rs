//! Brokers in one process, and a model of the controller that they report to.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use klamm_log::{LogDir, Owner, SimDisk};
use klamm_metadata::{Image, Record};
use klamm_replica::AlterPartitionOutcome;
use klamm_wire::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use klamm_wire::messages::config_record::ConfigRecord;
use klamm_wire::messages::fetch_request::FetchRequest;
use klamm_wire::messages::fetch_response::{
    EpochEndOffset, FetchResponse, FetchableTopicResponse, PartitionData,
};
use klamm_wire::messages::list_offsets_request::ListOffsetsRequest;
use klamm_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use klamm_wire::messages::partition_change_record::PartitionChangeRecord;
use klamm_wire::messages::partition_record::PartitionRecord;
use klamm_wire::messages::register_broker_record::RegisterBrokerRecord;
use klamm_wire::messages::remove_topic_record::RemoveTopicRecord;
use klamm_wire::messages::topic_record::TopicRecord;
use klamm_wire::{ErrorCode, Records, Str};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::lifecycle::{Standing, State};
use crate::partition::{
    AlterPartitionItem, Connector, FetchRead, Parked, Partition, PeerConnection, PeerError, Reader, Registry,
    RegistryParts,
};

/// The topic of most tests.
pub const TOPIC: Uuid = Uuid::from_u128(0x70);

/// The controller and the brokers that are up.
pub struct Cluster {
    pub disks: Vec<SimDisk>,
    core: Arc<Mutex<Core>>,
    properties: BTreeMap<String, String>,
}

struct Core {
    image: Arc<Image>,
    brokers: HashMap<i32, Running>,
}

struct Running {
    registry: Arc<Registry>,
    stop: CancellationToken,
}

impl Cluster {
    /// `count` brokers without topics.
    pub fn start(count: usize, properties: &[(&str, &str)]) -> Self {
        let core = Core { image: Arc::new(Image::empty()), brokers: HashMap::new() };
        let properties =
            properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let disks = (0..count).map(|seed| SimDisk::new(seed as u64)).collect();
        let cluster = Self { disks, core: Arc::new(Mutex::new(core)), properties };
        (0..count as i32).for_each(|id| cluster.start_broker(id));
        cluster
    }

    /// Starts a broker on its disk; it registers, is unfenced, and leads again what nobody else leads.
    pub fn start_broker(&self, id: i32) {
        let process = self.start_unregistered(id);
        self.register(id, process);
    }

    /// Starts a broker on its disk that has read the metadata, but is not registered yet.
    pub fn start_unregistered(&self, id: i32) -> (Uuid, i64) {
        let image = self.image();
        self.start_behind(id, &image)
    }

    /// Starts a broker on its disk that begins with an older image and then follows to the newest.
    pub fn start_behind(&self, id: i32, older: &Arc<Image>) -> (Uuid, i64) {
        let stop = CancellationToken::new();
        let incarnation = Uuid::new_v4();
        let epoch = self.core.lock().image.offset() + 1;
        let registry = Arc::new(self.open(id, (incarnation, epoch), stop.clone()));
        registry.apply(&Image::diff(&Image::empty(), older), older);
        let mut core = self.core.lock();
        let image = Arc::clone(&core.image);
        registry.apply(&Image::diff(older, &image), &image);
        core.brokers.insert(id, Running { registry, stop });
        (incarnation, epoch)
    }

    /// What the brokers that run are told next: everything between their image and this one.
    pub fn set_image(&self, image: &Arc<Image>) {
        let mut core = self.core.lock();
        let old = std::mem::replace(&mut core.image, Arc::clone(image));
        let delta = Image::diff(&old, image);
        core.brokers.values().for_each(|running| running.registry.apply(&delta, image));
    }

    /// The newest image.
    pub fn image(&self) -> Arc<Image> {
        Arc::clone(&self.core.lock().image)
    }

    /// Registers a process and unfences it. What the process before it led it leads in a new epoch.
    pub fn register(&self, id: i32, (incarnation_id, broker_epoch): (Uuid, i64)) {
        let image = Arc::clone(&self.core.lock().image);
        let registered = RegisterBrokerRecord {
            broker_id: id,
            incarnation_id,
            broker_epoch,
            fenced: false,
            ..RegisterBrokerRecord::default()
        };
        let mut records: Vec<Record> = vec![registered.into()];
        for topic in image.topics() {
            let led = topic.partitions.iter().filter(|(_, partition)| partition.leader == id);
            records.extend(led.map(|(partition_id, _)| {
                Record::from(PartitionChangeRecord {
                    partition_id: *partition_id,
                    topic_id: topic.id,
                    leader: id,
                    ..PartitionChangeRecord::default()
                })
            }));
        }
        self.commit(&records);
    }

    fn open(&self, id: i32, (incarnation, broker_epoch): (Uuid, i64), stop: CancellationToken) -> Registry {
        let disk = Arc::new(self.disks[id as usize].clone());
        let owner = Owner {
            cluster_id: Some("cluster"),
            node_id: id,
            new_directory_id: Uuid::from_u128(id as u128 + 1),
        };
        let dir = LogDir::open(disk.clone(), Path::new("/data"), owner).unwrap();
        let (alter_partition, proposals) = mpsc::unbounded_channel();
        tokio::spawn(control(Arc::clone(&self.core), proposals));
        let (damage, reports) = mpsc::unbounded_channel();
        tokio::spawn(relieve(Arc::clone(&self.core), id, reports));
        let (standing, receiver) =
            watch::channel(Standing { state: State::Running, broker_epoch, confirmed: None });
        // The lifecycle lives as long as the process.
        std::mem::forget(standing);
        let parts = RegistryParts {
            disk,
            dir,
            node_id: id,
            incarnation,
            properties: self.properties.clone(),
            standing: receiver,
            inter_broker_listener: "PLAINTEXT".to_owned(),
            alter_partition,
            damage,
            runtime: Handle::current(),
            stop,
        };
        let connector = Arc::new(TestPeers { core: Arc::clone(&self.core) });
        Registry::open_with(parts, Arc::new(ArcSwap::from_pointee(Image::empty())), connector).unwrap()
    }

    /// SIGKILL: the process is gone, its page cache stays. The controller has not noticed.
    pub fn kill(&self, id: i32) {
        let running = self.core.lock().brokers.remove(&id).unwrap();
        running.stop.cancel();
        self.disks[id as usize].crash();
    }

    /// Power is lost, too.
    pub fn kill_with_power_loss(&self, id: i32) {
        self.kill(id);
        self.disks[id as usize].power_loss();
    }

    /// SIGTERM.
    pub fn shut_down(&self, id: i32) {
        let running = self.core.lock().brokers.remove(&id).unwrap();
        running.stop.cancel();
        running.registry.shutdown(7);
        self.disks[id as usize].crash();
    }

    /// Creates a topic whose partitions all have these replicas, the first of them leading.
    pub fn create_topic(
        &self,
        id: Uuid,
        name: &'static str,
        partitions: i32,
        replicas: &[i32],
        configs: &[(&str, &str)],
    ) {
        let mut records: Vec<Record> =
            vec![TopicRecord { name: Str::from(name), topic_id: id, ..TopicRecord::default() }.into()];
        records.extend((0..partitions).map(|partition_id| {
            Record::from(PartitionRecord {
                partition_id,
                topic_id: id,
                replicas: replicas.to_vec(),
                isr: replicas.to_vec(),
                leader: replicas[0],
                ..PartitionRecord::default()
            })
        }));
        records.extend(configs.iter().map(|(key, value)| {
            Record::from(ConfigRecord {
                resource_type: 2,
                resource_name: Str::from(name),
                name: Str::copy_from(key),
                value: Some(Str::copy_from(value)),
                ..ConfigRecord::default()
            })
        }));
        self.commit(&records);
    }

    pub fn delete_topic(&self, id: Uuid) {
        self.commit(&[RemoveTopicRecord { topic_id: id, ..RemoveTopicRecord::default() }.into()]);
    }

    /// Makes `leader` lead partition 0 with this ISR.
    pub fn elect(&self, leader: i32, isr: &[i32]) {
        let change = PartitionChangeRecord {
            partition_id: 0,
            topic_id: TOPIC,
            leader,
            isr: Some(isr.to_vec()),
            ..PartitionChangeRecord::default()
        };
        self.commit(&[change.into()]);
    }

    /// Gives a partition to other brokers, the first of them leading.
    pub fn move_to(&self, partition_id: i32, replicas: &[i32]) {
        let change = PartitionChangeRecord {
            partition_id,
            topic_id: TOPIC,
            leader: replicas[0],
            isr: Some(replicas.to_vec()),
            replicas: Some(replicas.to_vec()),
            ..PartitionChangeRecord::default()
        };
        self.commit(&[change.into()]);
    }

    /// Changes the ISR of partition 0, with the same leader.
    pub fn set_isr(&self, isr: &[i32]) {
        let change = PartitionChangeRecord {
            partition_id: 0,
            topic_id: TOPIC,
            isr: Some(isr.to_vec()),
            ..PartitionChangeRecord::default()
        };
        self.commit(&[change.into()]);
    }

    pub fn fence(&self, id: i32) {
        let broker_epoch = self.core.lock().image.broker(id).unwrap().epoch;
        let change = BrokerRegistrationChangeRecord {
            broker_id: id,
            broker_epoch,
            fenced: 1,
            ..BrokerRegistrationChangeRecord::default()
        };
        self.commit(&[change.into()]);
    }

    pub fn commit(&self, records: &[Record]) {
        commit(&mut self.core.lock(), records);
    }

    pub fn isr(&self) -> Vec<i32> {
        let core = self.core.lock();
        let mut isr = core.image.topic_by_id(TOPIC).unwrap().partitions[&0].isr.clone();
        isr.sort_unstable();
        isr
    }

    pub fn registry(&self, broker: i32) -> Arc<Registry> {
        Arc::clone(&self.core.lock().brokers[&broker].registry)
    }

    /// Partition 0 of the topic on a broker.
    pub fn partition(&self, broker: i32) -> Arc<Partition> {
        self.registry(broker).get(&TOPIC, 0).unwrap()
    }
}

fn commit(core: &mut Core, records: &[Record]) {
    let mut image = (*core.image).clone();
    image.apply(image.offset() + 1, 1, records);
    let (old, new) = (std::mem::replace(&mut core.image, Arc::new(image.clone())), Arc::new(image));
    let delta = Image::diff(&old, &new);
    core.brokers.values().for_each(|running| running.registry.apply(&delta, &new));
}

/// Commits ISR changes that fit the image.
async fn control(core: Arc<Mutex<Core>>, mut proposals: mpsc::UnboundedReceiver<AlterPartitionItem>) {
    while let Some(item) = proposals.recv().await {
        let mut core = core.lock();
        let meta = core
            .image
            .topic_by_id(item.topic_id)
            .and_then(|topic| topic.partitions.get(&item.partition))
            .cloned();
        let fits = |meta: &Arc<klamm_metadata::Partition>| {
            meta.leader_epoch == item.leader_epoch && meta.partition_epoch == item.partition_epoch
        };
        let outcome = match meta.filter(fits) {
            None => AlterPartitionOutcome::AwaitMetadata,
            Some(meta) => {
                let isr: Vec<i32> = item.new_isr.iter().map(|(id, _)| *id).collect();
                let change = PartitionChangeRecord {
                    partition_id: item.partition,
                    topic_id: item.topic_id,
                    isr: Some(isr.clone()),
                    ..PartitionChangeRecord::default()
                };
                commit(&mut core, &[change.into()]);
                let (leader_epoch, partition_epoch) = (meta.leader_epoch, meta.partition_epoch + 1);
                AlterPartitionOutcome::Committed { leader_epoch, partition_epoch, isr }
            }
        };
        drop(item.reply.send(outcome));
    }
}

/// Takes damaged copies out of the ISR, in a new leader epoch, where somebody else is in it.
async fn relieve(
    core: Arc<Mutex<Core>>,
    broker: i32,
    mut reports: mpsc::UnboundedReceiver<crate::partition::DamageReport>,
) {
    while let Some(report) = reports.recv().await {
        let mut core = core.lock();
        let topic = core.image.topic_by_id(report.topic_id);
        let Some(meta) = topic.and_then(|topic| topic.partitions.get(&report.partition)).cloned() else {
            let _ = report.reply.send(None);
            continue;
        };
        let isr: Vec<i32> = meta.isr.iter().copied().filter(|id| *id != broker).collect();
        let answer = isr.first().copied().map(|first| {
            let leader = if meta.leader == broker { first } else { meta.leader };
            let change = PartitionChangeRecord {
                partition_id: report.partition,
                topic_id: report.topic_id,
                leader,
                isr: Some(isr.clone()),
                ..PartitionChangeRecord::default()
            };
            commit(&mut core, &[change.into()]);
            meta.leader_epoch + 1
        });
        let _ = report.reply.send(answer);
    }
}

/// Dials brokers of the same process.
struct TestPeers {
    core: Arc<Mutex<Core>>,
}

struct TestPeer {
    core: Arc<Mutex<Core>>,
    broker: i32,
    registry: Arc<Registry>,
    session: BTreeMap<(Uuid, i32), FetchRead>,
    epoch: i32,
}

impl Connector for TestPeers {
    fn connect(&self, broker: i32) -> BoxFuture<'_, Result<Box<dyn PeerConnection>, PeerError>> {
        Box::pin(async move {
            let registry = self.core.lock().brokers.get(&broker).map(|running| Arc::clone(&running.registry));
            let registry = registry.ok_or_else(|| PeerError("connection refused".to_owned()))?;
            let core = Arc::clone(&self.core);
            Ok(Box::new(TestPeer { core, broker, registry, session: BTreeMap::new(), epoch: 0 })
                as Box<dyn PeerConnection>)
        })
    }
}

impl TestPeer {
    fn check_up(&self) -> Result<(), PeerError> {
        let core = self.core.lock();
        let is_same = core
            .brokers
            .get(&self.broker)
            .is_some_and(|running| Arc::ptr_eq(&running.registry, &self.registry));
        if is_same { Ok(()) } else { Err(PeerError("connection reset".to_owned())) }
    }

    fn fold(&mut self, request: &FetchRequest) {
        assert_eq!(request.session_epoch, self.epoch, "sessions count their requests");
        self.epoch += 1;
        let reader = Reader::Follower {
            replica: request.replica_state.replica_id,
            broker_epoch: request.replica_state.replica_epoch,
        };
        for topic in &request.topics {
            for partition in &topic.partitions {
                let read = FetchRead {
                    reader,
                    fetch_offset: partition.fetch_offset,
                    log_start_offset: partition.log_start_offset,
                    current_leader_epoch: partition.current_leader_epoch,
                    last_fetched_epoch: partition.last_fetched_epoch,
                    lacks_producers: partition.lacks_producers,
                    max_bytes: 1 << 20,
                    at_least_one: true,
                };
                self.session.insert((topic.topic_id, partition.partition), read);
            }
        }
        for topic in &request.forgotten_topics_data {
            self.session.retain(|(id, index), _| *id != topic.topic_id || !topic.partitions.contains(index));
        }
    }

    fn pass(&self, parked: &Arc<Parked>) -> Vec<FetchableTopicResponse> {
        let mut topics = Vec::new();
        for ((topic_id, index), read) in &self.session {
            let data = match self.registry.get(topic_id, *index) {
                Some(partition) => answer(&partition, read, parked),
                None => Some(failed(ErrorCode::NotLeaderOrFollower)),
            };
            if let Some(data) = data {
                let partitions = vec![PartitionData { partition_index: *index, ..data }];
                topics.push(FetchableTopicResponse {
                    topic_id: *topic_id,
                    partitions,
                    ..FetchableTopicResponse::default()
                });
            }
        }
        topics
    }
}

fn failed(error: ErrorCode) -> PartitionData {
    PartitionData { error_code: error.code(), records: Records::EMPTY, ..PartitionData::default() }
}

/// `None` when there is no news.
fn answer(partition: &Arc<Partition>, read: &FetchRead, parked: &Arc<Parked>) -> Option<PartitionData> {
    let fetched = match partition.fetch(read, Some(parked)) {
        Ok(fetched) if fetched.would_block => partition.fetch_blocking(read).unwrap(),
        Ok(fetched) => fetched,
        Err(refused) => return Some(failed(refused.code)),
    };
    let (high_watermark, log_start_offset) = (fetched.high_watermark, fetched.log_start_offset);
    let base = PartitionData {
        high_watermark,
        log_start_offset,
        producers: fetched.producers,
        records: Records::EMPTY,
        ..PartitionData::default()
    };
    match fetched.diverging {
        Some(end) => {
            let diverging_epoch =
                EpochEndOffset { epoch: end.epoch, end_offset: end.end_offset, ..EpochEndOffset::default() };
            Some(PartitionData { diverging_epoch, ..base })
        }
        None if fetched.bytes == 0
            && log_start_offset <= read.log_start_offset
            && base.producers.is_none() =>
        {
            None
        }
        None => {
            let read = klamm_log::LogRead { chunks: fetched.chunks, next_offset: 0 };
            Some(PartitionData { records: Records::Bytes(read.to_bytes().unwrap()), ..base })
        }
    }
}

impl PeerConnection for TestPeer {
    fn fetch<'a>(&'a mut self, request: &'a FetchRequest) -> BoxFuture<'a, Result<FetchResponse, PeerError>> {
        Box::pin(async move {
            self.check_up()?;
            self.fold(request);
            let wait = std::time::Duration::from_millis(request.max_wait_ms as u64);
            let parked = Parked::new();
            let mut responses = self.pass(&parked);
            if responses.is_empty() {
                parked.wait(wait).await;
                self.check_up()?;
                responses = self.pass(&Parked::new());
            }
            // What moved besides records is told like an incremental session does.
            for (topic_id, index) in self.session.keys() {
                let is_told = responses
                    .iter()
                    .any(|t| t.topic_id == *topic_id && t.partitions[0].partition_index == *index);
                if let Some(partition) = self.registry.get(topic_id, *index).filter(|_| !is_told) {
                    let data = PartitionData {
                        partition_index: *index,
                        high_watermark: partition.high_watermark(),
                        log_start_offset: partition.log_start_offset(),
                        records: Records::EMPTY,
                        ..PartitionData::default()
                    };
                    responses.push(FetchableTopicResponse {
                        topic_id: *topic_id,
                        partitions: vec![data],
                        ..FetchableTopicResponse::default()
                    });
                }
            }
            Ok(FetchResponse { session_id: 5, responses, ..FetchResponse::default() })
        })
    }

    fn list_offsets<'a>(
        &'a mut self,
        request: &'a ListOffsetsRequest,
    ) -> BoxFuture<'a, Result<ListOffsetsResponse, PeerError>> {
        Box::pin(async move {
            self.check_up()?;
            let topic = &request.topics[0];
            let asked = &topic.partitions[0];
            let id = self.core.lock().image.topic(&topic.name).unwrap().id;
            let found = self.registry.get(&id, asked.partition_index).unwrap();
            let found = found.list_offset(asked.timestamp, -1, true).unwrap();
            let partition = ListOffsetsPartitionResponse {
                partition_index: asked.partition_index,
                offset: found.offset,
                ..ListOffsetsPartitionResponse::default()
            };
            let topic = ListOffsetsTopicResponse {
                partitions: vec![partition],
                ..ListOffsetsTopicResponse::default()
            };
            Ok(ListOffsetsResponse { topics: vec![topic], ..ListOffsetsResponse::default() })
        })
    }
}
