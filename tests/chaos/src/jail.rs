//! Namespaces of the run's own for networks, mounts and processes: whatever it starts, mounts or plugs in is gone when it
//! ends, however it ends.
//!
//! The program runs again inside. What is outside holds a pipe; when that breaks, the inner program ends, and with it, as
//! the first process of its namespace, all that it has started.

use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

/// Set in the environment of the program inside.
const INSIDE: &str = "KLAMM_CHAOS_INSIDE";

/// Whether this is the program inside.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs the program with the same arguments inside.
///
/// # Errors
/// This is not root, or the system has no namespaces.
pub fn run(scratch: &Path) -> Result<ExitCode> {
    let mut child = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "yes")
        .env("TMPDIR", scratch)
        .stdin(Stdio::piped())
        .spawn()
        .context("starting unshare (util-linux)")?;
    // Held until the end: Drop of `child` would not close it earlier.
    let pipe = child.stdin.take();
    let status = child.wait()?;
    drop(pipe);
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Makes the namespaces usable, and ends this program when the one outside is gone.
///
/// # Errors
/// The system refuses.
pub fn settle_in() -> Result<()> {
    std::thread::spawn(|| {
        // Nothing is ever written: reading ends when the other end is closed.
        drop(std::io::stdin().read(&mut [0]));
        std::process::exit(1);
    });
    // What is unmounted here goes from the namespaces of the nodes, too, which copy the mounts that they find: a disk that one of
    // them kept would never end.
    crate::shell::run("mount", &["--make-rshared", "/"])?;
    crate::shell::run("mount", &["-t", "tmpfs", "none", "/run"])?;
    crate::shell::run("ip", &["link", "set", "lo", "up"])
}
