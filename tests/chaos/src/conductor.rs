//! Runs scenarios, each in namespaces of its own: one after the other where a figure is at stake, and otherwise some at a time.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::jail::{self, Inmate};
use crate::row::Row;
use crate::run::{Plan, Run};
use crate::scenarios::{self, Scenario};

/// Between two looks at what is under way.
const LOOK: Duration = Duration::from_millis(50);

/// What a program inside has to do.
#[derive(Serialize, Deserialize)]
struct Task {
    plan: Plan,
    scenario: String,
    /// Where the row goes.
    result: PathBuf,
}

/// A scenario under way.
struct Underway<'a> {
    scenario: &'a Scenario,
    inmate: Inmate,
    result: PathBuf,
    log: Option<PathBuf>,
}

/// Runs scenarios, up to `jobs` at a time after those that must be alone; `done` gets each row as it is there.
///
/// # Errors
/// Namespaces cannot be had, or `done` fails.
pub fn run(
    plan: &Plan,
    chosen: &[&Scenario],
    jobs: usize,
    mut done: impl FnMut(&Scenario, Row) -> Result<()>,
) -> Result<()> {
    let (alone, beside): (Vec<&Scenario>, Vec<&Scenario>) =
        chosen.iter().copied().partition(|scenario| scenario.alone || jobs == 1);
    for (mut waiting, jobs) in [(alone, 1), (beside, jobs)] {
        // What `pop` has first is last. Beside others the longest begin: one injection means a fault that lasts.
        waiting.reverse();
        if jobs > 1 {
            waiting.sort_by_key(|scenario| plan.count(scenario).wrapping_sub(2));
        }
        let mut underway: Vec<Underway<'_>> = Vec::new();
        while !(waiting.is_empty() && underway.is_empty()) {
            while underway.len() < jobs
                && let Some(scenario) = waiting.pop()
            {
                underway.push(Underway::start(plan, scenario, jobs > 1)?);
            }
            std::thread::sleep(LOOK);
            let mut still = Vec::new();
            for mut one in underway {
                if one.inmate.has_ended()? {
                    done(one.scenario, one.row())?;
                } else {
                    still.push(one);
                }
            }
            underway = still;
        }
    }
    Ok(())
}

impl<'a> Underway<'a> {
    fn start(plan: &Plan, scenario: &'a Scenario, is_beside: bool) -> Result<Self> {
        let broken = plan.broken.map_or_else(String::new, |broken| format!("-{broken:?}"));
        let scratch = plan.scratch.join(format!("{}{broken}", scenario.name));
        fs::create_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
        let result = scratch.join("row.json");
        let plan = Plan { scratch: scratch.clone(), ..plan.clone() };
        let task = Task { plan, scenario: scenario.name.to_owned(), result: result.clone() };
        let log = is_beside.then(|| scratch.join("progress.log"));
        let output = log.as_ref().map(File::create).transpose()?;
        eprintln!("== {}: {}", scenario.name, scenario.fault);
        if let Some(log) = &log {
            eprintln!("   its progress: {}", log.display());
        }
        let inmate = Inmate::start(&serde_json::to_string(&task)?, &scratch, output)?;
        Ok(Self { scenario, inmate, result, log })
    }

    /// What it found, once it has ended.
    fn row(&self) -> Row {
        let read = || anyhow::Ok(serde_json::from_slice(&fs::read(&self.result)?)?);
        read().unwrap_or_else(|error| {
            let Scenario { name, fault, bar, .. } = *self.scenario;
            let log = self.log.as_ref().map_or_else(String::new, |log| format!(", see {}", log.display()));
            Row {
                scenario: name.to_owned(),
                fault: fault.to_owned(),
                bar: bar.to_owned(),
                problems: vec![format!("inconclusive: it ended without a result: {error}{log}")],
                ..Row::default()
            }
        })
    }
}

/// Does a task, inside.
///
/// # Errors
/// It is none, the system refuses, or the row cannot be written.
pub fn play(task: &str) -> Result<()> {
    let Task { plan, scenario, result } = serde_json::from_str(task).context("the task")?;
    jail::settle_in()?;
    let scenario =
        scenarios::named(&scenario).with_context(|| format!("no scenario is called {scenario}"))?;
    let mut run = Run::new(&plan, scenario);
    if let Err(error) = (scenario.run)(&mut run) {
        run.row.problems.push(format!("inconclusive: {error:#}"));
    }
    Ok(fs::write(result, serde_json::to_vec(&run.row)?)?)
}
