//! Namespaces of the run's own for networks, mounts and processes: whatever it starts, mounts or plugs in is gone when it
//! ends, however it ends.
//!
//! The program runs again inside. What is outside holds a pipe; when that breaks, the inner program ends, and with it, as
//! the first process of its namespace, all that it has started.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};

/// Where the program inside finds what it has to do.
const TASK: &str = "KLAMM_CHAOS_TASK";

/// What the program inside has to do; nothing outside.
pub fn task() -> Option<String> {
    std::env::var(TASK).ok()
}

/// The program inside. Dropping it ends it.
#[derive(Debug)]
pub struct Inmate {
    child: Child,
    /// What it holds on to.
    pipe: Option<ChildStdin>,
}

impl Inmate {
    /// Starts the program again, inside, on a task; what it says goes to a file if there is one.
    ///
    /// # Errors
    /// This is not root, or the system has no namespaces.
    pub fn start(task: &str, scratch: &Path, output: Option<File>) -> Result<Self> {
        let mut command = Command::new("unshare");
        command
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
            .arg(std::env::current_exe()?)
            .env(TASK, task)
            .env("TMPDIR", scratch)
            .stdin(Stdio::piped());
        if let Some(output) = output {
            command.stdout(output.try_clone()?).stderr(output);
        }
        let mut child = command.spawn().context("starting unshare (util-linux)")?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// The system refuses.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }
}

impl Drop for Inmate {
    fn drop(&mut self) {
        drop(self.pipe.take());
        drop(self.child.wait());
    }
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
