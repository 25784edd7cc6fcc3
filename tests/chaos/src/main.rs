//! `klamm-chaos`: faults under real broker processes while real clients go on, and a report of what held.

mod bed;
mod broken;
mod clock;
mod forgetful;
mod gaps;
mod history;
mod jail;
mod kafka;
mod properties;
mod report;
mod row;
mod run;
mod scenarios;
mod shell;
mod wire;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use crate::broken::{Broken, PROOFS};
use crate::row::Row;
use crate::run::{Plan, Run};
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
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    if !jail::is_inside() {
        if cli.scratch.exists() {
            std::fs::remove_dir_all(&cli.scratch)?;
        }
        std::fs::create_dir_all(&cli.scratch)?;
        return jail::run(&cli.scratch);
    }
    jail::settle_in()?;
    let is_chosen = |s: &&Scenario| match &cli.scenario {
        Some(name) => s.name.contains(name.as_str()),
        None => cli.whole || s.slice > 0,
    };
    let chosen: Vec<&Scenario> = scenarios::ALL.iter().filter(is_chosen).collect();
    ensure!(!chosen.is_empty(), "no scenario has such a name");
    let plan = Plan {
        seed: cli.seed,
        whole: cli.whole,
        injections: cli.injections,
        broken: cli.broken,
        class_path: ClassPath(cli.class_path.clone()),
        scratch: cli.scratch.canonicalize().context("the scratch folder")?,
    };
    eprintln!("seed {}", plan.seed);
    let mut rows = Vec::new();
    for scenario in chosen {
        let row = play(&plan, scenario);
        show(&row, cli.figures_count);
        rows.push(row);
        // Written again after each: hours of work are there even if the last scenario never ends.
        if let Some(path) = &cli.report {
            report::write(path, plan.seed, &rows)?;
        }
    }
    let held = rows.iter().all(|row| row.complaints(cli.figures_count).is_empty());
    // Without a choice of scenarios, the suite also shows that it can fail.
    let proven = cli.scenario.is_some() || PROOFS.iter().all(|proof| is_noticed(&plan, proof));
    Ok(if held && proven { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn play(plan: &Plan, scenario: &Scenario) -> Row {
    eprintln!("== {}: {}", scenario.name, scenario.fault);
    let mut run = Run::new(plan, scenario);
    if let Err(error) = (scenario.run)(&mut run) {
        run.row.problems.push(format!("inconclusive: {error:#}"));
    }
    run.row
}

/// Whether a scenario names a property that does not hold in a set-up that is broken on purpose.
fn is_noticed(plan: &Plan, (broken, name, injections): &(Broken, &str, usize)) -> bool {
    let plan = Plan { broken: Some(*broken), injections: Some(*injections), ..plan.clone() };
    let row =
        scenarios::ALL.iter().find(|scenario| scenario.name == *name).map(|scenario| play(&plan, scenario));
    let noticed = row.iter().flat_map(|row| &row.problems).find(|problem| problem.starts_with('P'));
    match noticed {
        Some(what) => println!("ok   {name} notices {broken:?}: {what}"),
        None => println!("FAIL {name} does not notice {broken:?}"),
    }
    noticed.is_some()
}

fn show(row: &Row, figures_count: bool) {
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
}
