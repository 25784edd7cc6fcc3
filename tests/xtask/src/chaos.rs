//! `cargo xtask chaos`: builds what is needed and injects faults into real clusters.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell::{self, cargo, step};
use crate::{clients, packages, workspace};

#[derive(clap::Args)]
pub struct Args {
    /// Everything, which takes more than an hour: the release build, held against the figures too; writes docs/reliability.md
    #[arg(long)]
    report: bool,
    /// The release build, which is what figures are for; --report takes it anyway
    #[arg(long)]
    release: bool,
    /// Run only scenarios whose name contains this
    #[arg(long)]
    scenario: Option<String>,
    /// The seed of every choice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Injections of each scenario, instead of its own number
    #[arg(long)]
    injections: Option<usize>,
    /// Go on with the report where an earlier run of the same broker was left
    #[arg(long, requires = "report")]
    resume: bool,
    /// Scenarios at a time, of those without a figure that others beside it would spoil; 3 with --report
    #[arg(long)]
    jobs: Option<usize>,
}

/// Runs the suite.
///
/// # Errors
/// A build fails, or a scenario found something or was inconclusive.
pub fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    std::env::set_current_dir(&root)?;
    packages::ensure(&[packages::IP, packages::JAVAC])?;
    step("the clients under test");
    clients::install_one("java")?;
    let target = workspace::target()?;
    let library = clients::installed()?.join("java/lib/*");
    let classes = target.join("chaos-classes");
    compile(&root.join("tests/chaos/client"), &library, &classes)?;
    step("binaries");
    let release = args.release || args.report;
    // One after the other: together they would share features, and the broker would be another than the one that is used.
    for package in ["klamm-broker", "klamm-chaos"] {
        shell::run(cargo().args(["build", "--package", package]).args(release.then_some("--release")))?;
    }
    let built = target.join(if release { "release" } else { "debug" });
    step("faults");
    let mut chaos = Command::new(built.join("klamm-chaos"));
    chaos.env("KLAMM_BROKER_BIN", built.join("klamm-broker"));
    chaos.arg("--class-path").arg(format!("{}:{}", classes.display(), library.display()));
    chaos.arg("--scratch").arg(target.join("chaos"));
    chaos.args(["--seed", &args.seed.to_string()]);
    chaos.args(args.scenario.iter().flat_map(|name| ["--scenario", name]));
    chaos.args(args.injections.map(|n| format!("--injections={n}")));
    if release {
        chaos.arg("--figures-count");
    }
    chaos.args(args.jobs.or_else(|| args.report.then_some(3)).map(|jobs| format!("--jobs={jobs}")));
    if args.report {
        chaos.arg("--whole").arg("--report").arg(root.join("docs/reliability.md"));
        chaos.arg("--results").arg(target.join("chaos-results"));
        chaos.args(args.resume.then_some("--resume"));
    }
    shell::run(&mut chaos)
}

/// Compiles the clients against Kafka's libraries.
fn compile(sources: &Path, library: &Path, into: &Path) -> Result<()> {
    let package = sources.join("klamm/chaos");
    let mut files = Vec::new();
    for entry in fs::read_dir(&package).with_context(|| package.display().to_string())? {
        files.push(entry?.path());
    }
    files.sort();
    let mut javac = Command::new("javac");
    javac.args(["-nowarn", "--release", "17", "-cp"]).arg(library).arg("-d").arg(into);
    shell::run(javac.args(files))
}
