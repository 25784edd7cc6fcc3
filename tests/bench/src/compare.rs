//! The comparison: each broker in turn through the same parts.

use std::time::Duration;

use anyhow::Result;

use crate::latency::{self, Pace};
use crate::matrix::{Client, Matrix, NEVER};
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
    /// Parts to run.
    pub parts: Vec<Part>,
    /// Brokers to run.
    pub kinds: Vec<Kind>,
}

impl Comparison {
    /// Runs everything; returns the whole text to print.
    pub fn run(&self) -> Result<String> {
        let mut out = machine::describe();
        if self.wants(Part::Native) {
            out.push_str(&self.ceilings()?);
        }
        let kafka = self.measure(Kind::Kafka)?;
        let klamm = self.measure(Kind::Klamm)?;
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
        }
        eprint!("{out}");
        Ok(out)
    }

    fn measure(&self, kind: Kind) -> Result<Results> {
        let mut results = Results::default();
        if !self.kinds.contains(&kind) {
            return Ok(results);
        }
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
        if [Part::Latency, Part::Java, Part::Native].iter().any(|p| self.wants(*p)) {
            self.single_node(kind, &mut results)?;
        }
        Ok(results)
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

    fn single_node(&self, kind: Kind, results: &mut Results) -> Result<()> {
        let mut cluster = Cluster::start(kind, 1, &self.site)?;
        cluster.wait_ready(Duration::from_secs(60))?;
        std::thread::sleep(Duration::from_secs(5));
        let mut memory = |name: &str, value: f64, bar: f64| {
            eprintln!("{}, {name}: {value:.1} MiB", kind.name());
            results.figures.push(Figure { name: name.to_owned(), unit: "MiB", value, bar: Some(bar) });
        };
        memory("memory (RSS), idle", cluster.rss_mib()?, 20.0);
        let matrix = Matrix { cluster: &cluster, programs: &self.site.programs, scale: self.scale };
        matrix.warm_up()?;
        let mut cells = Vec::new();
        for (part, client) in [(Part::Java, Client::Java), (Part::Native, Client::Native)] {
            if self.wants(part) {
                cells.extend(matrix.run(client)?);
            }
        }
        memory("memory (RSS), loaded (its peak)", cluster.peak_rss_mib()?, 128.0);
        if self.wants(Part::Latency) {
            results.figures.extend(latencies(&cluster)?);
        }
        results.cells = cells;
        Ok(())
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
