//! Running commands so that one sees what is run and how long it took.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

/// Announces a step.
pub fn step(what: &str) {
    println!("\n\x1b[1m== {what}\x1b[0m");
}

/// Runs a command with its output shown.
///
/// # Errors
/// It cannot be started, or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    println!("$ {shown}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("starting {shown}"))?;
    ensure!(status.success(), "`{shown}` ended with {status}");
    let seconds = start.elapsed().as_secs();
    if seconds >= 5 {
        println!("({seconds} s)");
    }
    Ok(())
}

/// What a command prints.
///
/// # Errors
/// It cannot be started, fails, or prints no UTF-8.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command.output().with_context(|| format!("starting {shown}"))?;
    ensure!(output.status.success(), "`{shown}` ended with {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// `cargo`, the one that runs this.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Whether a program is in `PATH`.
pub fn has(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|d| d.join(program).is_file()))
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
