//! Rows that are done, one file each, so that a run of hours can be taken up where it was left.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::row::Row;
use crate::run::Plan;
use crate::scenarios::Scenario;

/// What a row was measured with: it counts as done for nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct With {
    seed: u64,
    injections: usize,
    /// Hash of the broker's binary.
    broker: u64,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    with: With,
    row: Row,
}

/// A folder of rows.
#[derive(Debug)]
pub struct Results {
    folder: PathBuf,
    broker: u64,
}

impl Results {
    /// Rows of the broker under test in a folder.
    ///
    /// # Errors
    /// There is no broker, or no such folder can be made.
    pub fn open(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let broker = klamm_harness::broker_binary()?;
        let bytes = fs::read(&broker).with_context(|| broker.display().to_string())?;
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Ok(Self { folder, broker: hasher.finish() })
    }

    /// The row of an earlier run with the same broker, seed and number of injections.
    pub fn find(&self, plan: &Plan, scenario: &Scenario) -> Option<Row> {
        let kept: Kept = serde_json::from_slice(&fs::read(self.file(scenario.name)).ok()?).ok()?;
        (kept.with == self.with(plan, scenario)).then_some(kept.row)
    }

    /// Keeps a row.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, plan: &Plan, scenario: &Scenario, row: &Row) -> Result<()> {
        let kept = Kept { with: self.with(plan, scenario), row: row.clone() };
        Ok(fs::write(self.file(scenario.name), serde_json::to_vec_pretty(&kept)?)?)
    }

    fn with(&self, plan: &Plan, scenario: &Scenario) -> With {
        With { seed: plan.seed, injections: plan.count(scenario), broker: self.broker }
    }

    fn file(&self, scenario: &str) -> PathBuf {
        self.folder.join(format!("{scenario}.json"))
    }
}
