//! Throughput and CPU cells: sizes x acks x flush policy produced, in memory and cold consumed, by both clients.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::admin::{Topic, create_ready_topic, delete_topic};
use crate::consume::{self, Passes};
use crate::load::{CONNECTIONS, Limit, Shape, Throughput};
use crate::peers::{Cluster, Programs};
use crate::process::{Reserve, make_cold, settle};
use crate::{java, produce};

/// Record bytes of a warm-up, whatever the scale: the JVM's compiler counts calls, not shares.
const WARM_UP: u64 = 300_000_000;
/// Memory that is set free while a cell that produces runs.
const RESERVED: u64 = 1 << 30;
/// Partitions of the benched topics.
const PARTITIONS: i32 = 6;
/// Kafka's "never by count".
pub const NEVER: &str = "9223372036854775807";
/// Bytes of a record, and how many record bytes the topic to consume has.
const SIZES: [(usize, f64); 3] = [(100, 600e6), (1024, 1200e6), (65_536, 1600e6)];

/// Who drives the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Kafka's perf tools.
    Java,
    /// The native generator.
    Native,
}

impl Client {
    /// As it reads in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Java => "Java",
            Self::Native => "native",
        }
    }
}

/// A throughput cell's measurement.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What was done, the same text for both brokers.
    pub name: String,
    /// Who did it.
    pub client: Client,
    /// Rate.
    pub rate: Throughput,
    /// CPU time of the broker.
    pub cpu: Duration,
}

impl Cell {
    /// CPU seconds of the broker for a gigabyte (10^9) of record bytes.
    pub fn cpu_per_gb(&self) -> f64 {
        self.cpu.as_secs_f64() / (self.rate.bytes as f64 / 1e9)
    }

    /// Adds what another round of the same cell measured.
    pub fn add(&mut self, round: &Self) {
        self.rate.add(&round.rate);
        self.cpu += round.cpu;
    }
}

/// What is run on one broker before the other has its turn: few seconds, so that both see the machine in the same state.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Produce to a new topic.
    Produce {
        /// Bytes of a record, of a batch, and acks.
        shape: Shape,
        /// `flush.messages`.
        flush: &'static str,
        /// The same for people.
        label: &'static str,
    },
    /// Fill a topic and read it, from memory and from cold files.
    Consume {
        /// Bytes of a record.
        record: usize,
        /// Record bytes in all, at full scale.
        volume: f64,
    },
}

/// What a step does to its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Action {
    /// It fills it.
    Produce,
    /// It reads it.
    Consume,
}

/// Which steps are wanted; by default all.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Choice {
    /// Only cells of records of so many bytes.
    #[arg(long, value_delimiter = ',')]
    records: Vec<usize>,
    /// Only cells that do this.
    #[arg(long)]
    action: Option<Action>,
}

impl Choice {
    /// Whether a step is wanted.
    pub fn takes(&self, step: &Step) -> bool {
        let (record, action) = match step {
            Step::Produce { shape, .. } => (shape.record, Action::Produce),
            Step::Consume { record, .. } => (*record, Action::Consume),
        };
        (self.records.is_empty() || self.records.contains(&record))
            && self.action.is_none_or(|only| only == action)
    }
}

/// Every step, in the order of the table.
pub fn steps() -> Vec<Step> {
    let mut steps = Vec::new();
    for (record, volume) in SIZES {
        for (flush, label) in [(NEVER, "max"), ("1", "1")] {
            steps.extend([1, -1].map(|acks| Step::Produce {
                shape: Shape::as_java(record, acks),
                flush,
                label,
            }));
        }
        steps.push(Step::Consume { record, volume });
    }
    steps
}

/// The cells of one running node.
pub struct Matrix<'a> {
    /// The node.
    pub cluster: &'a Cluster,
    /// Kafka's tools.
    pub programs: &'a Programs,
    /// Share of the full data volume of each cell.
    pub scale: f64,
}

impl Matrix<'_> {
    /// Load that is not measured, by the same tools, so that the JVM's compiler has seen the code of the cells.
    pub fn warm_up(&self) -> Result<()> {
        let bootstrap = self.cluster.bootstrap();
        for (index, acks) in [1, -1].into_iter().enumerate() {
            let topic = format!("warm-up-{index}");
            self.create(&topic, NEVER)?;
            let shape = Shape::as_java(1024, acks);
            let done = java::produce(self.programs, &bootstrap, &topic, &shape, WARM_UP)?;
            java::consume(self.programs, &bootstrap, &topic, shape.record, done.records)?;
            delete_topic(&bootstrap, &topic)?;
        }
        settle(self.cluster.data())
    }

    /// The cells of one step.
    pub fn run(&self, client: Client, step: &Step) -> Result<Vec<Cell>> {
        match step {
            Step::Produce { shape, flush, label } => {
                Ok(vec![self.produce_cell(client, shape, flush, label)?])
            }
            Step::Consume { record, volume } => self.consume_cells(client, *record, *volume),
        }
    }

    fn create(&self, topic: &str, flush: &str) -> Result<()> {
        let configs = [("flush.messages", flush), ("retention.ms", "-1"), ("file.delete.delay.ms", "1000")];
        let topic = Topic { name: topic, partitions: PARTITIONS, replicas: 1, configs: &configs };
        create_ready_topic(&self.cluster.bootstrap(), &topic)
    }

    fn produce_cell(&self, client: Client, shape: &Shape, flush: &str, label: &str) -> Result<Cell> {
        let bootstrap = self.cluster.bootstrap();
        let acks = if shape.acks < 0 { "all" } else { "1" };
        let topic = format!("produce-{}-{}-{acks}-{label}", client.name(), shape.record);
        self.create(&topic, flush)?;
        let bytes = (java_volume(shape.record, flush) * self.scale) as u64;
        let name = format!("produce {} B, acks={acks}, flush.messages={label}", shape.record);
        let reserve = Reserve::new(self.cluster.data(), RESERVED)?;
        let cell = self.measure(client, name, || match client {
            Client::Java => java::produce(self.programs, &bootstrap, &topic, shape, bytes),
            Client::Native => produce::produce(&bootstrap, &topic, shape, CONNECTIONS, self.native_limit()),
        })?;
        drop(reserve);
        delete_topic(&bootstrap, &topic)?;
        settle(self.cluster.data())?;
        Ok(cell)
    }

    /// Reads a topic that the native generator filled: the same batches on both brokers for both clients.
    fn consume_cells(&self, client: Client, record: usize, volume: f64) -> Result<Vec<Cell>> {
        let bootstrap = self.cluster.bootstrap();
        let topic = format!("consume-{}-{record}", client.name());
        self.create(&topic, NEVER)?;
        let limit = Limit::bytes((volume * self.scale) as u64);
        let filled = produce::produce(&bootstrap, &topic, &Shape::as_java(record, -1), CONNECTIONS, limit)?;
        let read = || match client {
            Client::Java => java::consume(self.programs, &bootstrap, &topic, record, filled.records),
            Client::Native => consume::consume(&bootstrap, &topic, record, CONNECTIONS, Passes::Once),
        };
        let tail =
            self.measure(client, format!("consume {record} B, tail (in memory)"), || self.repeat(read))?;
        let cold = self.measure(client, format!("consume {record} B, cold files"), || {
            self.repeat(|| {
                make_cold(self.cluster.data())?;
                read()
            })
        })?;
        delete_topic(&bootstrap, &topic)?;
        Ok(vec![tail, cold])
    }

    /// Repeats a short action until it took as long as a native cell; what lies between its own times is not counted.
    fn repeat(&self, action: impl Fn() -> Result<Throughput>) -> Result<Throughput> {
        let mut sum = Throughput::default();
        while sum.seconds < self.native_limit().time.as_secs_f64() {
            sum.add(&action()?);
        }
        Ok(sum)
    }

    /// The native client runs for a time instead of a volume, because its rate is not known beforehand.
    fn native_limit(&self) -> Limit {
        Limit { bytes: (3e9 * self.scale) as u64, time: Duration::from_secs_f64(4.0 * self.scale.min(1.0)) }
    }

    fn measure(
        &self,
        client: Client,
        name: String,
        action: impl FnOnce() -> Result<Throughput>,
    ) -> Result<Cell> {
        let before = self.cluster.cpu()?;
        let measured = action();
        let rate = measured.with_context(|| format!("{} {name}: {}", client.name(), self.cluster.logs()))?;
        let cpu = self.cluster.cpu()?.saturating_sub(before);
        let cell = Cell { name, client, rate, cpu };
        eprintln!(
            "{}, {} {}: {:.1} MB/s, {:.0} records/s, {:.2} CPU-s/GB ({:.1} s)",
            self.cluster.kind.name(),
            client.name(),
            cell.name,
            cell.rate.mb_per_second(),
            cell.rate.records_per_second(),
            cell.cpu_per_gb(),
            cell.rate.seconds
        );
        Ok(cell)
    }
}

/// Record bytes that keep a Java client busy for some seconds on two cores.
fn java_volume(record: usize, flush: &str) -> f64 {
    match (record, flush == NEVER) {
        (..1024, true) => 200e6,
        (..1024, false) => 60e6,
        (1024..65_536, true) => 700e6,
        (1024..65_536, false) => 100e6,
        (_, true) => 900e6,
        (_, false) => 200e6,
    }
}
