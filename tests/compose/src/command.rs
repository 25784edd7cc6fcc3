//! Commands that end, one way or another.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Longest run of one command.
const SECONDS: &str = "150";

/// A command that is ended when it takes too long.
pub fn bounded(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", SECONDS, program]).stdin(Stdio::null());
    command
}

/// What a command prints, on both streams.
///
/// # Errors
/// It fails; the error has what it printed.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().context("starting a command")?;
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        let words: Vec<_> = command.get_args().skip(2).map(OsStr::to_string_lossy).collect();
        bail!("`{}` ended with {}: {text}", words.join(" "), output.status);
    }
    Ok(text)
}

/// What `docker` with these arguments prints.
///
/// # Errors
/// It fails, or there is no daemon for tests.
pub fn docker(arguments: &[&str]) -> Result<String> {
    ensure!(
        std::env::var_os("KLAMM_COMPOSE_DATA").is_some(),
        "these tests need a Docker daemon of their own: run `cargo xtask compose`"
    );
    output(bounded("docker").args(arguments))
}
