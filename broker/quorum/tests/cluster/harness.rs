//! A cluster of voters with a network that can be cut and disks that can fail.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use klamm_log::{Disk, SimDisk};
use klamm_metadata::{Image, Record};
use klamm_quorum::{
    Applied, Parcel, Peer, ProposeError, Quorum, QuorumConfig, QuorumError, QuorumStatus, Transport,
    TransportError,
};
use klamm_wire::Str;
use klamm_wire::messages::topic_record::TopicRecord;
use parking_lot::Mutex;
use tokio::time::timeout;
use uuid::Uuid;

use crate::link::Link;

/// Longer than anything that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The metadata directory on each disk in memory.
pub const DIR: &str = "/data/__cluster_metadata-0";

/// The network: who runs, and who is cut off.
#[derive(Default)]
struct Net {
    running: Mutex<BTreeMap<i32, Quorum>>,
    isolated: Mutex<BTreeSet<i32>>,
    /// Voters of a version that says nothing of its founding.
    silent: Mutex<BTreeSet<i32>>,
    /// What every call goes over; none for calls that take no time.
    link: Mutex<Option<Arc<Link>>>,
}

impl Net {
    fn is_cut(&self, from: i32, to: i32) -> bool {
        let isolated = self.isolated.lock();
        isolated.contains(&from) || isolated.contains(&to)
    }

    /// What is left of a parcel on the way between these two: an older version neither says nor understands more.
    fn clip(&self, parcel: Parcel, between: [i32; 2]) -> Parcel {
        let silent = self.silent.lock();
        let founding = parcel.founding.filter(|_| between.iter().all(|id| !silent.contains(id)));
        Parcel { founding, ..parcel }
    }

    async fn deliver(&self, from: i32, to: i32, api: i16, request: Parcel) -> Result<Parcel, TransportError> {
        if self.is_cut(from, to) {
            // Packets vanish: nobody answers, and the caller's timeout ends it.
            std::future::pending::<()>().await;
        }
        let (runs, target) = {
            let running = self.running.lock();
            (running.contains_key(&from), running.get(&to).cloned())
        };
        match target.filter(|_| runs) {
            Some(target) => target
                .handle_rpc(api, self.clip(request, [from, to]))
                .await
                .map(|answer| self.clip(answer, [from, to]))
                .map_err(|error| TransportError::Failed(error.to_string())),
            None => Err(TransportError::Unreachable("connection refused".to_owned())),
        }
    }
}

/// One voter's way into the [`Net`].
struct Wire {
    from: i32,
    net: Arc<Net>,
}

impl Transport for Wire {
    async fn call(
        &self,
        peer: Peer,
        api: i16,
        request: Parcel,
        _timeout: Duration,
    ) -> Result<Parcel, TransportError> {
        let Some(link) = self.net.link.lock().clone() else {
            return self.net.deliver(self.from, peer.id, api, request).await;
        };
        let (net, from) = (Arc::clone(&self.net), self.from);
        let route = (from, peer.id, api);
        link.connect(route).await;
        let on_its_way = Arc::clone(&link);
        // What has been sent arrives, whether or not somebody still waits for the answer.
        let call = tokio::spawn(async move {
            on_its_way.travel().await;
            let answer = net.deliver(from, peer.id, api, request).await;
            on_its_way.travel().await;
            answer
        });
        let answer = call.await.expect("it is delivered");
        link.release(route);
        answer
    }
}

/// Voters 1 to n.
pub struct Cluster {
    net: Arc<Net>,
    pub disks: BTreeMap<i32, SimDisk>,
    /// Ids of the data directories; a disk that replaces another brings a new one.
    directories: BTreeMap<i32, Uuid>,
    /// The voters that the quorum is founded with.
    voters: Vec<Peer>,
    adjust: fn(&mut QuorumConfig),
}

impl Cluster {
    /// `size` voters with fresh disks, not started.
    pub fn new(size: i32, adjust: fn(&mut QuorumConfig)) -> Cluster {
        let voters: Vec<Peer> = (1..=size).map(peer).collect();
        let (disks, directories) = Default::default();
        let mut cluster = Cluster { net: Arc::default(), disks, directories, voters, adjust };
        (1..=size).for_each(|id| cluster.give_new_disk(id));
        cluster
    }

    /// An empty disk for a node, in the place of the one that it has.
    pub fn give_new_disk(&mut self, id: i32) {
        let number = 1 + self.directories.get(&id).map_or(0, |before| before.as_u128() >> 64);
        self.disks.insert(id, SimDisk::new(id as u64 + 100 * number as u64));
        self.directories.insert(id, Uuid::from_u128((number << 64) | id as u128));
    }

    /// An empty disk for a node, whose data directory has the id of the one before.
    pub fn empty_disk(&mut self, id: i32) {
        let directory = self.directory(id);
        self.give_new_disk(id);
        self.directories.insert(id, directory);
    }

    /// Puts a disk that a node had before in the place of the one that it has.
    pub fn give_back(&mut self, id: i32, (disk, directory): (SimDisk, Uuid)) {
        self.disks.insert(id, disk);
        self.directories.insert(id, directory);
    }

    pub fn directory(&self, id: i32) -> Uuid {
        self.directories[&id]
    }

    /// `size` voters with fresh disks, all started.
    pub async fn started(size: i32) -> Cluster {
        let cluster = Cluster::new(size, |_| {});
        cluster.start_all().await;
        cluster
    }

    pub async fn start_all(&self) {
        for voter in &self.voters {
            self.start(voter.id).await;
        }
    }

    pub async fn start(&self, id: i32) -> Quorum {
        self.try_start(id).await.expect("the voter starts")
    }

    pub async fn try_start(&self, id: i32) -> Result<Quorum, QuorumError> {
        let disk = self.disks[&id].clone();
        self.try_start_on(id, Arc::new(disk), PathBuf::from(DIR)).await
    }

    pub async fn start_on(&self, id: i32, disk: Arc<dyn Disk>, dir: PathBuf) -> Quorum {
        self.try_start_on(id, disk, dir).await.expect("the voter starts")
    }

    pub async fn try_start_on(
        &self,
        id: i32,
        disk: Arc<dyn Disk>,
        dir: PathBuf,
    ) -> Result<Quorum, QuorumError> {
        let voters = self.voters.clone();
        let mut config = QuorumConfig::new(id, self.directory(id), "test".to_owned(), dir, voters);
        config.endpoint = peer(id);
        config.replace_after = Duration::from_secs(1);
        (self.adjust)(&mut config);
        let wire = Wire { from: id, net: self.net.clone() };
        let quorum = Quorum::start(config, disk, wire).await?;
        self.net.running.lock().insert(id, quorum.clone());
        Ok(quorum)
    }

    pub fn running(&self) -> Vec<(i32, Quorum)> {
        self.net.running.lock().iter().map(|(id, quorum)| (*id, quorum.clone())).collect()
    }

    /// From now on nobody reaches the voter and it reaches nobody; connections to it are refused.
    pub fn disconnect(&self, id: i32) -> Quorum {
        self.net.running.lock().remove(&id).expect("it runs")
    }

    pub async fn stop(&self, id: i32) {
        self.disconnect(id).shutdown().await;
    }

    pub async fn stop_all(&self) {
        for (id, _) in self.running() {
            self.stop(id).await;
        }
    }

    pub fn isolate(&self, id: i32) {
        self.net.isolated.lock().insert(id);
    }

    /// From now on every call goes over `link`.
    pub fn go_over(&self, link: &Arc<Link>) {
        *self.net.link.lock() = Some(Arc::clone(link));
    }

    /// From now on the voter is as one of a version that says nothing of its founding.
    pub fn silence(&self, id: i32) {
        self.net.silent.lock().insert(id);
    }

    pub fn heal(&self) {
        self.net.isolated.lock().clear();
    }

    /// Waits for an active leader among the voters that run and are not cut off.
    pub async fn leader(&self) -> (i32, Quorum) {
        let search = async {
            loop {
                let isolated = self.net.isolated.lock().clone();
                let active = self
                    .running()
                    .into_iter()
                    .find(|(id, quorum)| !isolated.contains(id) && quorum.status().borrow().is_active);
                match active {
                    Some(leader) => return leader,
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        timeout(PATIENCE, search).await.expect("a leader becomes active")
    }

    /// Proposes a topic to whoever leads, through changes of the leader. One that is there already does no harm.
    pub async fn propose(&self, name: &str) -> Applied {
        let applied = async {
            loop {
                match self.leader().await.1.propose(topic(name)).await {
                    Err(ProposeError::NotLeader { .. } | ProposeError::Unknown) => {
                        tokio::task::yield_now().await
                    }
                    outcome => return outcome.expect("applied"),
                }
            }
        };
        timeout(PATIENCE, applied).await.expect("answered")
    }
}

pub fn peer(id: i32) -> Peer {
    Peer { id, host: "localhost".to_owned(), port: 9000 + id as u16 }
}

/// Waits for a status.
pub async fn status_of(quorum: &Quorum, wanted: impl FnMut(&QuorumStatus) -> bool) -> QuorumStatus {
    let mut status = quorum.status();
    timeout(PATIENCE, status.wait_for(wanted)).await.expect("the status is reached").expect("it runs").clone()
}

/// Waits until the voter has applied `offset`.
pub async fn image_at(quorum: &Quorum, offset: i64) -> Arc<Image> {
    let mut image = quorum.image();
    timeout(PATIENCE, image.wait_for(|image| image.offset() >= offset))
        .await
        .expect("it is applied")
        .expect("it runs")
        .clone()
}

pub fn topic(name: &str) -> Vec<Record> {
    let topic_id = Uuid::from_u128(name.bytes().fold(1, |id, byte| id * 257 + u128::from(byte)));
    vec![TopicRecord { name: Str::copy_from(name), topic_id, ..TopicRecord::default() }.into()]
}

/// Proposes `count` topics one after another.
pub async fn propose_topics(quorum: &Quorum, prefix: &str, count: usize) -> Applied {
    let mut last = None;
    for number in 0..count {
        let proposed = timeout(PATIENCE, quorum.propose(topic(&format!("{prefix}-{number}")))).await;
        last = Some(proposed.expect("answered").expect("applied"));
    }
    last.expect("at least one")
}
