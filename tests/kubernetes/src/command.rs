//! The commands that a user types: kubectl and helm, with what they say when they refuse.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// What a command says, on standard output.
///
/// # Errors
/// It fails; the error holds what it complained of.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    run_with_input(program, arguments, "")
}

/// What a command says about what it is given on standard input.
///
/// # Errors
/// It fails; the error holds what it complained of.
pub fn run_with_input(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {program}"))?;
    // A program that ends without reading has a better reason than a broken pipe.
    let unread = child.stdin.take().context("standard input is piped")?.write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("{program} {}: {}{}", arguments.join(" "), complained.trim(), said.trim());
    }
    unread?;
    Ok(said.into_owned())
}

/// `kubectl`.
///
/// # Errors
/// It fails; the error holds what it complained of.
pub fn kubectl(arguments: &[&str]) -> Result<String> {
    run("kubectl", arguments)
}

/// `helm`.
///
/// # Errors
/// It fails; the error holds what it complained of.
pub fn helm(arguments: &[&str]) -> Result<String> {
    run("helm", arguments)
}

/// `kubectl apply` of text.
///
/// # Errors
/// It is refused; the error holds the reason.
pub fn apply(namespace: &str, manifest: &str) -> Result<String> {
    run_with_input("kubectl", &["apply", "--namespace", namespace, "-f", "-"], manifest)
}
