//! One run of one scenario: its seed, its size, and the row that it fills in.

use std::path::PathBuf;
use std::time::Duration;

use klamm_harness::ClusterSpec;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::broken::Broken;
use crate::row::Row;
use crate::scenarios::Scenario;
use crate::workload::{ClassPath, Setting};

/// What every scenario is run with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The seed of every choice.
    pub seed: u64,
    /// The whole of it, not the slice that CI runs.
    pub whole: bool,
    /// Instead of the scenario's own number of injections.
    pub injections: Option<usize>,
    /// The clients' classes and what they need.
    pub class_path: ClassPath,
    /// What is broken on purpose.
    pub broken: Option<Broken>,
    /// Where files go that are no broker's.
    pub scratch: PathBuf,
}

impl Plan {
    /// How often a scenario injects.
    pub fn count(&self, scenario: &Scenario) -> usize {
        let own = if self.whole { scenario.whole } else { scenario.slice.max(1) };
        self.injections.unwrap_or(own)
    }
}

/// A run under way.
#[derive(Debug)]
pub struct Run {
    /// What it is run with.
    pub plan: Plan,
    /// Every choice comes from here.
    pub random: StdRng,
    /// How often to inject.
    pub count: usize,
    /// What was found so far.
    pub row: Row,
    /// Whether clients reach leaders that are cut off and do not know yet that others lead. Those answer with what was the
    /// latest offset when they led, in Kafka too, as its protocol has no lease for readers: P14, and an end
    /// that goes back for a while (P13), is reported, but no violation.
    pub reaches_zombies: bool,
    /// Nobody administrates and nothing is compacted: where a figure is measured, or every byte of a disk counts.
    pub is_quiet: bool,
}

impl Run {
    /// A run of a scenario: the same seed makes the same choices.
    pub fn new(plan: &Plan, scenario: &Scenario) -> Self {
        let own = scenario.name.bytes().fold(plan.seed, |hash, byte| hash.rotate_left(5) ^ u64::from(byte));
        let count = plan.count(scenario);
        let row = Row {
            scenario: scenario.name.to_owned(),
            fault: scenario.fault.to_owned(),
            bar: scenario.bar.to_owned(),
            limit: scenario.limit,
            wanted: count,
            ..Row::default()
        };
        let (random, is_quiet) = (StdRng::seed_from_u64(own), scenario.alone);
        Self { plan: plan.clone(), random, count, row, reaches_zombies: false, is_quiet }
    }

    /// Combined nodes as every scenario has them.
    pub fn spec(&self, brokers: i32) -> ClusterSpec {
        let spec = ClusterSpec::new(brokers);
        // Compaction as often as it can be.
        let spec = spec.property("log.cleaner.backoff.ms", "500");
        match self.plan.broken {
            Some(broken) => broken.spec(spec),
            None => spec,
        }
    }

    /// Clients as a scenario wants them.
    pub fn setting(&self, setting: Setting) -> Setting {
        match self.plan.broken {
            Some(broken) => broken.setting(setting),
            None => setting,
        }
    }

    /// One of these.
    pub fn choose<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.random.random_range(0..from.len())].clone())
    }

    /// Notes an injection whose effect was observed, and its figure.
    pub fn injected(&mut self, figure: Duration) {
        self.injected_under(&[0], figure);
    }

    /// Notes an injection that concerned these partitions; what concerned none has no figure.
    pub fn injected_under(&mut self, partitions: &[i32], figure: Duration) {
        self.row.injected += 1;
        self.row.samples.extend((!partitions.is_empty()).then_some(figure));
        let (injected, count) = (self.row.injected, self.count);
        eprintln!("  {injected}/{count}: {} ms", figure.as_millis());
    }
}
