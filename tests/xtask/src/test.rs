//! `cargo xtask test`: installs or builds what the tests need, then runs all that needs no Kubernetes.

use std::process::Command;

use anyhow::Result;

use crate::shell::{self, cargo, has, step};
use crate::{clients, tidy, workspace};

/// Tests of whole clusters and of foreign clients.
const CLUSTER_TESTS: &str = "klamm-cluster-tests";
/// Its tests break rules of the broker's crates, which no other build must be able to.
const SIMULATOR: &str = "klamm-simulator";
/// Suites with an environment and a command of their own: `cargo xtask compose` and `cargo xtask e2e`.
const ELSEWHERE: [&str; 2] = ["klamm-compose-tests", "klamm-kubernetes-tests"];

#[derive(clap::Args)]
pub struct Args {
    /// Leave out clusters of real processes and foreign clients; installs nothing but the runner
    #[arg(long)]
    quick: bool,
    /// Run only tests whose name contains this, for example kafka_python or killed_leader
    filter: Option<String>,
}

/// What needs no test to run.
fn check_sources() -> Result<()> {
    step("formatting");
    shell::run(cargo().args(["fmt", "--all", "--", "--check"]))?;
    step("layering and names");
    tidy::check()?;
    step("lints");
    lint(&["--workspace", "--all-targets"])?;
    lint(&["--package", "klamm-operator", "--no-default-features"])
}

fn lint(what: &[&str]) -> Result<()> {
    shell::run(cargo().args(["clippy", "--quiet"]).args(what).args(["--", "-D", "warnings"]))
}

/// Runs the tests.
///
/// # Errors
/// The first step that fails.
pub fn run(args: &Args) -> Result<()> {
    std::env::set_current_dir(workspace::root())?;
    if !has("cargo-nextest") {
        step("the test runner");
        shell::run(cargo().args(["install", "--locked", "cargo-nextest"]))?;
    }
    if args.filter.is_none() {
        check_sources()?;
    }
    if !args.quick {
        step("foreign clients");
        clients::install(args.filter.as_deref())?;
    }
    step("binaries");
    shell::run(cargo().args(["build", "--package", "klamm-broker", "--package", "klamm-operator"]))?;
    step("tests");
    shell::run(&mut nextest(args)?)?;
    step("simulated clusters");
    shell::run(
        cargo()
            .args(["nextest", "run", "--no-fail-fast", "--no-tests", "pass", "--package", SIMULATOR])
            .args(&args.filter),
    )?;
    if args.filter.is_none() {
        step("examples in documentation");
        shell::run(cargo().args(["test", "--workspace", "--doc", "--quiet"]))?;
    }
    step("all passed");
    Ok(())
}

fn nextest(args: &Args) -> Result<Command> {
    let broker = workspace::target()?.join("debug/klamm-broker");
    let mut command = cargo();
    command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    command.env("KLAMM_BROKER_BIN", &broker).env("KLAMM_BROKER_BINARY", &broker);
    command.env("KLAMM_CLIENTS", clients::installed()?);
    command.args(ELSEWHERE.iter().chain([&SIMULATOR]).flat_map(|suite| ["--exclude", suite]));
    if args.quick {
        command.args(["--exclude", CLUSTER_TESTS]);
    }
    command.args(&args.filter);
    Ok(command)
}
