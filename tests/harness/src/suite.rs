//! Runs a suite of foreign clients from `tests/clients` and reports its cases.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// The folder `tests/clients`.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients")
}

/// Where `cargo xtask test` installs clients: `KLAMM_CLIENTS`, or `clients` in the target directory of this test.
///
/// # Errors
/// This is not a test that cargo built.
pub fn installed() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("KLAMM_CLIENTS") {
        return Ok(path.into());
    }
    let test = std::env::current_exe()?;
    Ok(test.ancestors().nth(3).context("tests run from <target>/<profile>/deps")?.join("clients"))
}

/// A command of a suite, with the environment that all share.
///
/// # Errors
/// The suite was not installed.
pub fn command(suite: &str, bootstrap: &str) -> Result<Command> {
    let installed = installed()?;
    ensure!(
        installed.join(suite).exists(),
        "{suite} is not installed in {}: run `cargo xtask test {suite}`",
        installed.display()
    );
    let mut command = Command::new(sources().join(suite).join("run"));
    command.env("KLAMM_BOOTSTRAP", bootstrap).env("KLAMM_CLIENTS", installed).stdin(Stdio::null());
    Ok(command)
}

/// Runs a suite against a cluster, showing its lines as they come; returns the number of cases that passed.
///
/// # Errors
/// Cases that failed, by name and reason, or a suite that ran none.
pub fn run(suite: &str, arguments: &[&str], bootstrap: &str) -> Result<usize> {
    let mut child = command(suite, bootstrap)?.args(arguments).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("standard output is piped")?;
    let (mut passed, mut failures) = (0, Vec::new());
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        if line.starts_with("ok ") {
            passed += 1;
        } else if let Some(failure) = line.strip_prefix("FAIL ") {
            failures.push(failure.to_owned());
        }
    }
    let status = child.wait()?;
    if !failures.is_empty() {
        bail!(
            "{} of {} cases of {suite} failed:\n{}",
            failures.len(),
            passed + failures.len(),
            failures.join("\n")
        );
    }
    ensure!(status.success(), "{suite} ended with {status}");
    ensure!(passed > 0, "{suite} ran no case");
    Ok(passed)
}
