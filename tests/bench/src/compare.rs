//! The comparison: both brokers through the same parts, in turn within each.

use std::time::Duration;

use anyhow::Result;

use crate::latency::{self, Pace};
use crate::matrix::{Choice, Client, Matrix, NEVER, Step, steps};
use crate::outage::{self, Victim};
use crate::peers::{Cluster, Kind, Site};
use crate::report::{Figure, Results, rows};
use crate::{machine, sink, table};

/// `flush.messages`, its label, rate and length of the end-to-end runs: rates that a single disk can keep up with.
const LATENCIES: [(&str, &str, Pace); 2] =
    [(NEVER, "max", Pace { rate: 1_000, seconds: 15 }), ("1", "1", Pace { rate: 100, seconds: 20 })];
/// Outages of Klamm are measured so often, and the worst counts. Kafka's are long enough for one each.
const KLAMM_RUNS: usize = 3;

/// A part of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Exec to first acknowledged produce.
    Startup,
    /// SIGKILL of a leader to next acknowledged produce.
    Failover,
    /// End to end at a fixed rate.
    Latency,
    /// Throughput and CPU with Kafka's tools.
    Java,
    /// Throughput and CPU with the native generator.
    Native,
}

/// What to run.
pub struct Comparison {
    /// Programs and data directory.
    pub site: Site,
    /// Share of the full data volume of each cell.
    pub scale: f64,
    /// How often each cell is measured on each broker; the cell is all rounds together.
    pub rounds: usize,
    /// Parts to run.
    pub parts: Vec<Part>,
    /// Brokers to run.
    pub kinds: Vec<Kind>,
    /// Steps of the cells to run.
    pub choice: Choice,
}

impl Comparison {
    /// Runs everything; returns the whole text to print.
    pub fn run(&self) -> Result<String> {
        let mut out = machine::describe();
        if self.wants(Part::Native) {
            out.push_str(&self.ceilings()?);
        }
        let mut sides: Vec<Side> = self.kinds.iter().map(|kind| Side::new(*kind)).collect();
        for side in &mut sides {
            self.outages(side)?;
        }
        if [Part::Latency, Part::Java, Part::Native].iter().any(|p| self.wants(*p)) {
            self.single_nodes(&mut sides)?;
        }
        let mut of = |kind| sides.iter_mut().find(|s| s.kind == kind).map(|s| std::mem::take(&mut s.results));
        let (kafka, klamm) = (of(Kind::Kafka).unwrap_or_default(), of(Kind::Klamm).unwrap_or_default());
        out.push_str(&format!("- Load average at the end: {}\n\n", machine::load_average()));
        out.push_str(&table::markdown(&rows(&kafka, &klamm)));
        Ok(out)
    }

    fn wants(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    fn ceilings(&self) -> Result<String> {
        let mut out = String::new();
        for record in [100, 1024, 65_536] {
            let (produced, consumed) = sink::ceiling(record, Duration::from_secs(1))?;
            out.push_str(&format!(
                "- Native generator against a sink that keeps nothing, {record} B: produces {:.0} MB/s, consumes {:.0} MB/s\n",
                produced.mb_per_second(),
                consumed.mb_per_second()
            ));
            let cpu = sink::sendfile_cpu_per_gb(record, Duration::from_secs(2), &self.site.scratch)?;
            out.push_str(&format!(
                "- A program that does nothing but sendfile from the page cache to the native consumer, {record} B: {cpu:.2} s/GB of CPU\n"
            ));
        }
        eprint!("{out}");
        Ok(out)
    }

    fn outages(&self, side: &mut Side) -> Result<()> {
        let (kind, results) = (side.kind, &mut side.results);
        if self.wants(Part::Startup) {
            for (nodes, bar) in [(1, 200.0), (3, 1_500.0)] {
                let name = format!("exec to first acknowledged produce, {nodes} node(s)");
                results
                    .figures
                    .push(self.worst(kind, name, bar, || outage::first_produce(kind, nodes, &self.site))?);
            }
        }
        if self.wants(Part::Failover) {
            let victims = [
                (Victim::Leader, "SIGKILL of a leader of three to the next acknowledged produce"),
                (Victim::LeaderAndController, "the same, the leader being the active controller too"),
            ];
            for (victim, name) in victims {
                results.figures.push(
                    self.worst(kind, name.to_owned(), 1_000.0, || {
                        outage::failover(kind, victim, &self.site)
                    })?,
                );
            }
        }
        Ok(())
    }

    fn worst(
        &self,
        kind: Kind,
        name: String,
        bar: f64,
        action: impl Fn() -> Result<Duration>,
    ) -> Result<Figure> {
        let runs = if kind == Kind::Klamm { KLAMM_RUNS } else { 1 };
        let mut worst = Duration::ZERO;
        for _ in 0..runs {
            let took = action()?;
            eprintln!("{}, {name}: {took:.3?}", kind.name());
            worst = worst.max(took);
        }
        Ok(Figure { name, unit: "ms", value: worst.as_secs_f64() * 1e3, bar: Some(bar) })
    }

    fn single_nodes(&self, sides: &mut [Side]) -> Result<()> {
        let mut clusters = Vec::new();
        for side in sides.iter_mut() {
            let mut cluster = Cluster::start(side.kind, 1, &self.site)?;
            cluster.wait_ready(Duration::from_secs(60))?;
            std::thread::sleep(Duration::from_secs(5));
            side.memory("memory (RSS), idle", cluster.rss_mib()?, 20.0);
            clusters.push(cluster);
        }
        let matrix = |cluster| Matrix { cluster, programs: &self.site.programs, scale: self.scale };
        let nodes: Vec<Matrix<'_>> = clusters.iter().map(matrix).collect();
        nodes.iter().try_for_each(Matrix::warm_up)?;
        for (part, client) in [(Part::Java, Client::Java), (Part::Native, Client::Native)] {
            if self.wants(part) {
                let mut chosen = steps().into_iter().filter(|step| self.choice.takes(step));
                chosen.try_for_each(|step| self.alternate(client, &step, &nodes, sides))?;
            }
        }
        for (side, cluster) in sides.iter_mut().zip(&clusters) {
            side.memory("memory (RSS), loaded (its peak)", cluster.peak_rss_mib()?, 128.0);
            if self.wants(Part::Latency) {
                side.results.figures.extend(latencies(cluster)?);
            }
        }
        Ok(())
    }

    /// One step on each broker, in every round the other first.
    fn alternate(&self, client: Client, step: &Step, nodes: &[Matrix<'_>], sides: &mut [Side]) -> Result<()> {
        for round in 0..self.rounds {
            let mut order: Vec<usize> = (0..nodes.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for (node, side) in order.into_iter().filter_map(|i| Some((nodes.get(i)?, i))) {
                let cells = node.run(client, step)?;
                if let Some(side) = sides.get_mut(side) {
                    cells.into_iter().for_each(|cell| side.results.add(cell));
                }
            }
        }
        Ok(())
    }
}

/// One of the two that are compared.
struct Side {
    kind: Kind,
    results: Results,
}

impl Side {
    fn new(kind: Kind) -> Self {
        Self { kind, results: Results::default() }
    }

    fn memory(&mut self, name: &str, value: f64, bar: f64) {
        eprintln!("{}, {name}: {value:.1} MiB", self.kind.name());
        self.results.figures.push(Figure { name: name.to_owned(), unit: "MiB", value, bar: Some(bar) });
    }
}

fn latencies(cluster: &Cluster) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (flush, label, pace) in LATENCIES {
        let sorted = latency::end_to_end(cluster, flush, pace)?;
        for (name, q) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let Some(value) = latency::quantile(&sorted, q) else { continue };
            let name = format!("end to end at {}/s, flush.messages={label}, {name}", pace.rate);
            eprintln!("{}, {name}: {value:.2} ms", cluster.kind.name());
            figures.push(Figure { name, unit: "ms", value, bar: None });
        }
    }
    Ok(figures)
}
