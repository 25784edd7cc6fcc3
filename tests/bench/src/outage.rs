//! Times without service: from exec to the first acknowledgement, and after a leader's SIGKILL.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::admin::{self, Topic};
use crate::connection::Connection;
use crate::peers::{Cluster, Kind, Site};
use crate::produce::produce_one;

/// Pause of a client before it asks for metadata again: short against every figure here, and the same for both peers.
const BACKOFF: Duration = Duration::from_millis(5);
/// A client's patience with one request. Longer than any gap that a broker should answer late instead of never.
const REQUEST: Duration = Duration::from_secs(10);
/// How long anything may take here before the run fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// From exec of the first broker, on fresh disks, to the first acks=all record of a new topic acknowledged.
pub fn first_produce(kind: Kind, nodes: usize, site: &Site) -> Result<Duration> {
    let cluster = Cluster::start(kind, nodes, site)?;
    let started = cluster.started().context("no process")?;
    let replicas = i16::try_from(nodes.min(3))?;
    let deadline = started + PATIENCE;
    let bootstrap = cluster.bootstrap();
    let topic = Topic { name: "first", partitions: 1, replicas, configs: &[] };
    retry(deadline, || {
        if admin::metadata(&bootstrap, "")?.brokers.len() < nodes {
            bail!("not every broker is there yet");
        }
        admin::create_topic(&bootstrap, &topic)
    })
    .with_context(|| cluster.logs())?;
    let mut client = Client::new(&bootstrap, topic.name, 0);
    retry(deadline, || client.produce()).with_context(|| cluster.logs())?;
    Ok(started.elapsed())
}

/// Which partition leader is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// A leader that is not the active controller.
    Leader,
    /// A leader that is the active controller too, so that both must be replaced.
    LeaderAndController,
}

/// Three nodes, RF 3, min ISR 2: from the SIGKILL of a partition's leader to the next acks=all acknowledgement.
pub fn failover(kind: Kind, victim: Victim, site: &Site) -> Result<Duration> {
    let mut cluster = Cluster::start(kind, 3, site)?;
    cluster.wait_ready(PATIENCE)?;
    let bootstrap = cluster.bootstrap();
    let configs = [("min.insync.replicas", "2")];
    admin::create_ready_topic(
        &bootstrap,
        &Topic { name: "failover", partitions: 12, replicas: 3, configs: &configs },
    )?;
    let controller = admin::active_controller(&bootstrap)?;
    let (partition, leader) = choose(&bootstrap, victim, controller)?;
    let mut client = Client::new(&bootstrap, "failover", partition);
    retry(Instant::now() + PATIENCE, || client.produce())?;
    // A second of load, so that connections, sessions and the followers' fetches are as in normal service.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        client.produce()?;
    }
    let mut process =
        cluster.nodes.get_mut(usize::try_from(leader)?).and_then(Option::take).context("leader process")?;
    let killed = Instant::now();
    process.kill()?;
    retry(killed + PATIENCE, || client.produce()).with_context(|| cluster.logs())?;
    Ok(killed.elapsed())
}

/// A partition whose leader is the wanted victim.
fn choose(bootstrap: &str, victim: Victim, controller: i32) -> Result<(i32, i32)> {
    let found = admin::metadata(bootstrap, "failover")?;
    let partitions = found.topics.iter().flat_map(|t| &t.partitions);
    let wanted = |leader: i32| (leader == controller) == (victim == Victim::LeaderAndController);
    partitions
        .map(|p| (p.partition_index, p.leader_id))
        .find(|(_, leader)| wanted(*leader))
        .with_context(|| format!("none of 12 partitions fits {victim:?} (controller {controller})"))
}

/// A producer of one partition: keeps its connection, and asks for metadata again after any error.
struct Client<'a> {
    bootstrap: &'a str,
    topic: &'a str,
    partition: i32,
    leader: Option<Connection>,
}

impl<'a> Client<'a> {
    fn new(bootstrap: &'a str, topic: &'a str, partition: i32) -> Self {
        Self { bootstrap, topic, partition, leader: None }
    }

    fn produce(&mut self) -> Result<()> {
        let mut connection = match self.leader.take() {
            Some(connection) => connection,
            None => self.find_leader()?,
        };
        produce_one(&mut connection, self.topic, self.partition)?;
        self.leader = Some(connection);
        Ok(())
    }

    fn find_leader(&self) -> Result<Connection> {
        let leaders = admin::leaders(self.bootstrap, self.topic)?;
        let led = leaders.into_iter().find(|(_, partitions)| partitions.contains(&self.partition));
        let (address, _) = led.with_context(|| format!("partition {} has no leader", self.partition))?;
        let connection = Connection::open(&address)?;
        connection.set_timeout(REQUEST)?;
        Ok(connection)
    }
}

fn retry<T>(deadline: Instant, mut action: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match action() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => std::thread::sleep(BACKOFF),
        }
    }
}
