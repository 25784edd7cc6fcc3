//! Runs scenarios one after another, says how each went, and keeps what a failure left behind.

mod evidence;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::bed::Bed;
use crate::operator;
use crate::scenarios::{ALL, Scenario};

/// Prints the names.
pub fn list() {
    for scenario in ALL {
        println!("{}", scenario.name);
    }
}

/// What to run, and how.
pub struct Options {
    /// Only scenarios whose name contains this, or one of these with commas between them.
    pub filter: Option<String>,
    /// Where evidence of failures goes.
    pub failures: PathBuf,
    /// When everything ends.
    pub limit: Duration,
    /// Whether the chart is installed first.
    pub install: bool,
    /// Whether a failure is not the end.
    pub keep_going: bool,
}

/// Installs the operator and runs scenarios.
///
/// # Errors
/// A scenario fails, none matches, or the limit is reached.
pub fn run(options: &Options) -> Result<()> {
    let filter = options.filter.as_deref();
    let wanted = |name: &str| filter.is_none_or(|parts| parts.split(',').any(|part| name.contains(part)));
    let chosen: Vec<&Scenario> = ALL.iter().filter(|scenario| wanted(scenario.name)).collect();
    ensure!(!chosen.is_empty(), "no scenario has {:?} in its name", filter.unwrap_or_default());
    let (started, failures) = (Instant::now(), options.failures.as_path());
    end_after(options.limit, failures.to_owned());
    let bed = Bed::find()?;
    if options.install {
        install(&bed, failures)?;
    }
    let (mut failed, mut skipped) = (Vec::new(), 0);
    for scenario in &chosen {
        if scenario.needs_testbed && !bed.has_faults() {
            println!("skip  {} (it takes a cluster of our own making)", scenario.name);
            skipped += 1;
        } else if !run_one(scenario, &bed, failures) {
            failed.push(scenario.name);
            if !options.keep_going {
                break;
            }
        }
    }
    let seconds = started.elapsed().as_secs();
    if !failed.is_empty() {
        bail!("failed after {seconds} s: {}; see {}", failed.join(", "), failures.display());
    }
    println!("{} scenarios passed in {seconds} s, {skipped} were skipped", chosen.len() - skipped);
    Ok(())
}

fn install(bed: &Bed, failures: &Path) -> Result<()> {
    let started = Instant::now();
    let installed = operator::install(&bed.kubernetes, &[]);
    if installed.is_err() {
        evidence::collect(&failures.join("install"));
    }
    installed.context("installing the chart")?;
    println!("installed ({:.1} s)", started.elapsed().as_secs_f64());
    Ok(())
}

fn run_one(scenario: &Scenario, bed: &Bed, failures: &Path) -> bool {
    let started = Instant::now();
    let outcome = (scenario.run)(bed);
    let seconds = started.elapsed().as_secs_f64();
    match outcome {
        Ok(said) if said.is_empty() => println!("ok    {} ({seconds:.1} s)", scenario.name),
        Ok(said) => println!("ok    {} ({seconds:.1} s): {said}", scenario.name),
        Err(error) => {
            println!("FAIL  {} ({seconds:.1} s): {error:#}", scenario.name);
            evidence::collect(&failures.join(scenario.name));
            bed.forget();
            return false;
        }
    }
    true
}

/// Every wait is bounded, but all of them together may take longer than anybody wants to wait.
fn end_after(limit: Duration, failures: PathBuf) {
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        println!("FAIL  not done after {} s", limit.as_secs());
        evidence::collect(&failures.join("limit"));
        std::process::exit(1);
    });
}
