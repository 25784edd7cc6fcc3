//! What scenarios run on: the cluster that the kubeconfig names, and what several of them share.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

use crate::api::Kubernetes;
use crate::faults::Faults;
use crate::kafka::Cluster;
use crate::manifest::{EXTERNAL, reachable_cluster};
use crate::namespace::Namespace;
use crate::traffic::Traffic;

/// The name of a shared cluster.
const NAME: &str = "shared";
/// The topic that traffic goes to.
pub const TOPIC: &str = "traffic";
/// Its partitions: every broker leads two.
pub const PARTITIONS: i32 = 6;
/// The port of the bootstrap service on every node; those of the brokers follow.
const FIRST_PORT: u16 = 30_990;

/// The cluster under test.
pub struct Bed {
    /// The API server.
    pub kubernetes: Kubernetes,
    faults: Option<Faults>,
    busy: RefCell<Option<Rc<Busy>>>,
    small: RefCell<Option<Rc<Small>>>,
}

impl Bed {
    /// Connects by the environment.
    ///
    /// # Errors
    /// There is no kubeconfig.
    pub fn find() -> Result<Self> {
        let kubernetes = Kubernetes::connect()?;
        Ok(Self { kubernetes, faults: Faults::find(), busy: RefCell::default(), small: RefCell::default() })
    }

    /// Whether nodes can be cut off and processes killed here.
    pub fn has_faults(&self) -> bool {
        self.faults.is_some()
    }

    /// Faults of machines and processes.
    ///
    /// # Errors
    /// Nobody can cause them here.
    pub fn faults(&self) -> Result<&Faults> {
        self.faults.as_ref().context("nobody can cause faults on this cluster")
    }

    /// The cluster of three brokers with traffic, started by whoever needs it first.
    ///
    /// # Errors
    /// It does not start.
    pub fn busy(&self) -> Result<Rc<Busy>> {
        if let Some(busy) = &*self.busy.borrow() {
            return Ok(Rc::clone(busy));
        }
        let busy = Rc::new(Busy::start(&self.kubernetes)?);
        Ok(Rc::clone(self.busy.borrow_mut().insert(busy)))
    }

    /// The cluster of one broker, started by whoever needs it first.
    ///
    /// # Errors
    /// It does not start.
    pub fn small(&self) -> Result<Rc<Small>> {
        if let Some(small) = &*self.small.borrow() {
            return Ok(Rc::clone(small));
        }
        let small = Rc::new(Small::start(&self.kubernetes)?);
        Ok(Rc::clone(self.small.borrow_mut().insert(small)))
    }

    /// Gives the shared clusters up: a scenario that failed may have left anything behind.
    pub fn forget(&self) {
        self.busy.borrow_mut().take();
        self.small.borrow_mut().take();
    }

    /// Stops the traffic, if there is any, and reads everything once more.
    ///
    /// # Errors
    /// Something acknowledged is lost, changed or doubled.
    pub fn verify_traffic(&self) -> Result<Option<u64>> {
        let Some(busy) = self.busy.borrow_mut().take() else { return Ok(None) };
        let busy = Rc::into_inner(busy).context("a scenario still holds the cluster")?;
        busy.finish().map(Some)
    }
}

/// Three brokers, reachable from outside, with producers and readers that never stop.
pub struct Busy {
    namespace: Namespace,
    /// The producers and readers.
    pub traffic: Traffic,
    started: Instant,
}

impl Busy {
    /// Starts the cluster and its traffic in a namespace of its own.
    ///
    /// # Errors
    /// The cluster or the topic does not become ready.
    pub fn start(kubernetes: &Kubernetes) -> Result<Self> {
        let namespace = Namespace::create(kubernetes, "e2e-busy")?;
        let mut manifest = reachable_cluster(NAME, 3);
        // With ports of our choice, services that are deleted come back where clients look for them.
        let broker = |id: u16| json!({ "broker": id, "nodePort": FIRST_PORT + 1 + id });
        manifest["spec"]["kafka"]["listeners"][1]["configuration"] =
            json!({ "bootstrap": { "nodePort": FIRST_PORT }, "brokers": [broker(0), broker(1), broker(2)] });
        let cluster = Cluster::apply(&namespace, NAME, &manifest)?;
        cluster.topic(TOPIC, PARTITIONS.unsigned_abs())?;
        let traffic = Traffic::start(&cluster.bootstrap(EXTERNAL)?, TOPIC, PARTITIONS)?;
        traffic.flows(20)?;
        Ok(Self { namespace, traffic, started: Instant::now() })
    }

    /// Stops the traffic and reads everything once more; returns how many records were acknowledged.
    ///
    /// # Errors
    /// Something acknowledged is lost, changed or doubled.
    pub fn finish(self) -> Result<u64> {
        self.traffic.verify()
    }

    /// The cluster.
    pub fn cluster(&self) -> Cluster<'_> {
        Cluster { namespace: &self.namespace, name: NAME }
    }

    /// How long it has been running.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until the cluster is ready and in sync, and everything acknowledged until now is read.
    ///
    /// # Errors
    /// Not in time, or a record was refused, lost, changed or doubled.
    pub fn healed(&self) -> Result<()> {
        self.cluster().settled()?;
        self.cluster().in_sync(TOPIC, PARTITIONS)?;
        self.traffic.flows(50)
    }

    /// Says what clients noticed since a moment.
    pub fn report(&self, since: Instant) -> String {
        let gaps = self.traffic.longest_gaps_since(since);
        let longest = gaps.into_iter().max().unwrap_or_default();
        let (acknowledged, read) = self.traffic.counts();
        format!("longest pause {} ms; {acknowledged} acknowledged, {read} read", longest.as_millis())
    }
}

/// One broker, reachable from outside.
pub struct Small {
    /// Its namespace.
    pub namespace: Namespace,
}

impl Small {
    fn start(kubernetes: &Kubernetes) -> Result<Self> {
        let namespace = Namespace::create(kubernetes, "e2e-small")?;
        Cluster::apply(&namespace, NAME, &reachable_cluster(NAME, 1))?;
        Ok(Self { namespace })
    }

    /// The cluster.
    pub fn cluster(&self) -> Cluster<'_> {
        Cluster { namespace: &self.namespace, name: NAME }
    }
}
