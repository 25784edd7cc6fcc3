//! Programs of the system's that arrange networks and mounts.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs a program and expects it to succeed.
///
/// # Errors
/// It does not; the error holds what it says.
pub fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("starting {program}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), complaint.trim());
    Ok(())
}
