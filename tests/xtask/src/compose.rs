//! `cargo xtask compose`: compose files and single containers on a real Docker daemon.

mod daemon;

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use self::daemon::Daemon;
use crate::shell::{self, cargo, has, step};
use crate::{clients, images, packages, workspace};

/// The tests.
const TESTS: &str = "klamm-compose-tests";
/// Names of others' images that ours stands in for.
const STANDS_IN_FOR: &[&str] = &["confluentinc/cp-kafka:7.9.0", "apache/kafka:4.1.0"];

#[derive(clap::Args)]
pub struct Args {
    /// Take the binaries of the debug build, which the tests have built anyway
    #[arg(long)]
    debug_build: bool,
    /// Run only tests whose name contains this
    filter: Option<String>,
}

/// Builds what is needed, runs the tests, and stops what it started whether they pass or not.
///
/// # Errors
/// A test fails, or this machine can have no daemon.
pub fn run(args: &Args) -> Result<()> {
    packages::ensure(&[packages::COMPOSE, packages::JAVAC])?;
    if !has("cargo-nextest") {
        step("the test runner");
        shell::run(cargo().args(["install", "--locked", "cargo-nextest"]))?;
    }
    images::run(&images::Args::of("broker", args.debug_build))?;
    step("the application");
    clients::install_one("spring")?;
    step("tests");
    let root = workspace::root();
    shell::run(cargo().current_dir(&root).args(["nextest", "run", "--package", TESTS, "--no-run"]))?;
    let folder = workspace::target()?.join("compose");
    let daemon = Daemon::start(&folder)?;
    let archive = images::folder()?.join("broker.tar");
    shell::run(daemon.command("docker").arg("load").arg("--input").arg(archive))?;
    for name in STANDS_IN_FOR {
        shell::run(daemon.command("docker").args(["tag", "klamm/broker:dev", name]))?;
    }
    step("compose files and containers");
    shell::run(&mut nextest(&daemon, &root, &folder, args.filter.as_deref())?)
}

/// One test after another: they publish the same ports.
fn nextest(daemon: &Daemon, root: &Path, folder: &Path, filter: Option<&str>) -> Result<Command> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = daemon.command(program);
    command.current_dir(root).args(["nextest", "run", "--offline", "--package", TESTS]);
    command.args(["--no-fail-fast", "--test-threads", "1"]).args(filter);
    command.env("KLAMM_CLIENTS", clients::installed()?).env("KLAMM_COMPOSE_DATA", folder.join("mounted"));
    Ok(command)
}
