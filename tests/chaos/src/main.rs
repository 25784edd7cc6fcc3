//! `klamm-chaos`: faults under real broker processes while real clients go on, and a report of what held.

mod bed;
mod broken;
mod clock;
mod conductor;
mod forgetful;
mod gaps;
mod history;
mod jail;
mod kafka;
mod properties;
mod report;
mod results;
mod row;
mod run;
mod scenarios;
mod shell;
mod wire;
mod workload;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use crate::broken::{Broken, PROOFS};
use crate::results::Results;
use crate::row::Row;
use crate::run::Plan;
use crate::scenarios::Scenario;
use crate::workload::ClassPath;

/// Inject faults into clusters of klamm-broker and check what clients see.
#[derive(Clone, Debug, Parser)]
struct Cli {
    /// Run only scenarios whose name contains this.
    #[arg(long)]
    scenario: Option<String>,
    /// The seed of every choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Injections of each scenario, instead of its own number.
    #[arg(long)]
    injections: Option<usize>,
    /// As many injections as the figures need, which takes hours, instead of the slice that CI runs.
    #[arg(long)]
    whole: bool,
    /// Hold the figures against their bars, too: what a debug build measures says little.
    #[arg(long)]
    figures_count: bool,
    /// Break something on purpose: the run must fail.
    #[arg(long)]
    broken: Option<Broken>,
    /// Class path of the clients' classes and libraries.
    #[arg(long)]
    class_path: String,
    /// Folder for data and for what is kept of a failure; emptied at the start.
    #[arg(long)]
    scratch: PathBuf,
    /// Write the report here.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Keep each scenario's row in this folder; rows that an earlier run left there with the same broker, seed and number of
    /// injections are part of the report.
    #[arg(long)]
    results: Option<PathBuf>,
    /// Do not run again what the folder of results has a row of.
    #[arg(long, requires = "results")]
    resume: bool,
    /// Scenarios at a time, of those without a figure that others beside it would spoil.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

fn main() -> Result<ExitCode> {
    if let Some(task) = jail::task() {
        conductor::play(&task)?;
        return Ok(ExitCode::SUCCESS);
    }
    let cli = Cli::parse();
    ensure!(cli.jobs > 0, "--jobs is at least 1");
    if cli.scratch.exists() {
        std::fs::remove_dir_all(&cli.scratch)?;
    }
    std::fs::create_dir_all(&cli.scratch)?;
    let plan = Plan {
        seed: cli.seed,
        whole: cli.whole,
        injections: cli.injections,
        broken: cli.broken,
        class_path: ClassPath(cli.class_path.clone()),
        scratch: cli.scratch.canonicalize().context("the scratch folder")?,
    };
    eprintln!("seed {}", plan.seed);
    let held = run(&cli, &plan)?;
    // Without a choice of scenarios, the suite also shows that it can fail.
    let mut proven = true;
    for proof in PROOFS.iter().filter(|_| cli.scenario.is_none()) {
        proven &= is_noticed(&plan, proof)?;
    }
    Ok(if held && proven { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs what was chosen; whether all of it held.
fn run(cli: &Cli, plan: &Plan) -> Result<bool> {
    let is_chosen = |s: &&Scenario| match &cli.scenario {
        Some(name) => s.name.contains(name.as_str()),
        None => cli.whole || s.slice > 0,
    };
    let mut chosen: Vec<&Scenario> = scenarios::ALL.iter().filter(is_chosen).collect();
    ensure!(!chosen.is_empty(), "no scenario has such a name");
    let results = cli.results.clone().map(Results::open).transpose()?;
    let mut held = true;
    if let Some(results) = results.as_ref().filter(|_| cli.resume) {
        chosen.retain(|scenario| {
            let earlier = results.find(plan, scenario);
            let held_then = earlier.as_ref().map(|row| show(row, cli.figures_count));
            held &= held_then.unwrap_or(true);
            earlier.is_none()
        });
    }
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    let write = |rows: &BTreeMap<&str, Row>| {
        let Some(path) = &cli.report else { return Ok(()) };
        let earlier = |one: &Scenario| results.as_ref().and_then(|results| results.find(plan, one));
        let row_of = |one: &Scenario| rows.get(one.name).cloned().or_else(|| earlier(one));
        report::write(path, plan.seed, &scenarios::ALL.iter().filter_map(row_of).collect::<Vec<_>>())
    };
    write(&rows)?;
    conductor::run(plan, &chosen, cli.jobs, |scenario, row| {
        held &= show(&row, cli.figures_count);
        if let Some(results) = &results {
            results.keep(plan, scenario, &row)?;
        }
        rows.insert(scenario.name, row);
        // Written again after each: an hour's work is there even if the last scenario never ends.
        write(&rows)
    })?;
    Ok(held)
}

/// Whether a scenario names a property that does not hold in a set-up that is broken on purpose.
fn is_noticed(plan: &Plan, (broken, name, injections): &(Broken, &str, usize)) -> Result<bool> {
    let plan = Plan { broken: Some(*broken), injections: Some(*injections), ..plan.clone() };
    let Some(scenario) = scenarios::named(name) else { bail!("no scenario is called {name}") };
    let mut problems = Vec::new();
    conductor::run(&plan, &[scenario], 1, |_, row| {
        problems.extend(row.problems);
        Ok(())
    })?;
    let noticed = problems.iter().find(|problem| problem.starts_with('P'));
    match noticed {
        Some(what) => println!("ok   {name} notices {broken:?}: {what}"),
        None => println!("FAIL {name} does not notice {broken:?}"),
    }
    Ok(noticed.is_some())
}

/// Prints a row; whether it holds.
fn show(row: &Row, figures_count: bool) -> bool {
    let complaints = row.complaints(figures_count);
    println!(
        "{} {}: {}/{} injections, p50/p99/max {} ms (bar: {}), healed in {} ms, {} acknowledged",
        if complaints.is_empty() { "ok  " } else { "FAIL" },
        row.scenario,
        row.injected,
        row.wanted,
        row.figures(),
        row.bar,
        row::figures(&row.convergence),
        row.acknowledged,
    );
    for line in row.notes.iter().chain(&complaints) {
        println!("     {line}");
    }
    complaints.is_empty()
}
