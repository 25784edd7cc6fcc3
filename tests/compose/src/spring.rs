//! The Spring application of `tests/clients` against brokers in containers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use klamm_harness::suite;

use crate::IMAGE;
use crate::command::{bounded, output};

/// Cases of the application.
const CASES: usize = 8;

/// Runs it where this test runs, through published ports.
///
/// # Errors
/// A case fails.
pub fn outside(bootstrap: &str) -> Result<()> {
    let cases = suite::run("spring", &[], bootstrap)?;
    ensure!(cases == CASES, "{cases} cases ran");
    Ok(())
}

/// Runs it in a container in a network, with this machine's Java: the image has no other place to take one from.
///
/// # Errors
/// A case fails.
pub fn inside(network: &str, bootstrap: &str) -> Result<()> {
    let application = suite::installed()?.join("spring");
    let java = java()?;
    let mut command = bounded("docker");
    command.args(["run", "--rm", "--user", "0", "--network", network]);
    command.arg("--env").arg(format!("KLAMM_BOOTSTRAP={bootstrap}"));
    for folder in ["/usr", "/lib", "/lib64"] {
        mount(&mut command, Path::new(folder), folder);
    }
    for configuration in java_configuration()? {
        let same = configuration.display().to_string();
        mount(&mut command, &configuration, &same);
    }
    mount(&mut command, &application, "/spring");
    command.arg(IMAGE).arg(java);
    command.args(["-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
    command.args(["-cp", "/spring/target/classes:/spring/lib/*", "klamm.payments.PaymentApplication"]);
    let text = output(&mut command)?;
    print!("{text}");
    let passed = text.lines().filter(|line| line.starts_with("ok ")).count();
    ensure!(passed == CASES, "{passed} cases passed inside the network:\n{text}");
    Ok(())
}

fn mount(command: &mut Command, from: &Path, to: &str) {
    command.arg("--volume").arg(format!("{}:{to}:ro", from.display()));
}

/// The program itself, whatever links lead to it.
fn java() -> Result<PathBuf> {
    let found = Command::new("which").arg("java").stderr(Stdio::null()).output()?;
    let path = String::from_utf8(found.stdout)?;
    std::fs::canonicalize(path.trim()).context("java is not in PATH")
}

/// Debian keeps it apart from the program.
fn java_configuration() -> Result<Vec<PathBuf>> {
    let all = std::fs::read_dir("/etc")?.collect::<Result<Vec<_>, _>>()?;
    let is_javas = |path: &PathBuf| {
        path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("java-"))
    };
    Ok(all.into_iter().map(|entry| entry.path()).filter(is_javas).collect())
}
