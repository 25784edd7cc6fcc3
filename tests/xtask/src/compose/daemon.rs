//! A Docker daemon for tests: the one of this machine if there is one, else one of our own in a network namespace, so that
//! its bridges and rules and published ports are nobody else's.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::shell::{self, has, step};

/// The namespace of our own daemon.
const NAMESPACE: &str = "klamm-docker";
/// A daemon is ready after about five seconds.
const READY: Duration = Duration::from_secs(60);
/// It ends its containers first.
const STOP: Duration = Duration::from_secs(30);

/// A daemon; our own is stopped when this is dropped.
pub struct Daemon {
    own: Option<Own>,
}

struct Own {
    process: Child,
    folder: PathBuf,
}

impl Daemon {
    /// Finds or starts one, with its data below a folder.
    ///
    /// # Errors
    /// There is none, and this machine cannot start one.
    pub fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        if has("docker") && answers(&mut Command::new("docker")) {
            step("the Docker daemon of this machine");
            return Ok(Self { own: None });
        }
        if shell::output(Command::new("id").arg("-u"))?.trim() != "0" {
            bail!("no Docker daemon answers; start one, or run this as root, which starts one of its own");
        }
        packages::ensure(&[packages::DOCKERD, packages::DOCKER, packages::IP, packages::IPTABLES])?;
        step("a Docker daemon in a network namespace of its own");
        clear_remains(folder)?;
        let own = Own::start(folder)?;
        let daemon = Self { own: Some(own) };
        daemon.wait_ready(folder)?;
        Ok(daemon)
    }

    /// A command that reaches the daemon, and the ports that it publishes.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let Some(own) = &self.own else { return Command::new(program) };
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{NAMESPACE}")).arg(program);
        command.env("DOCKER_HOST", own.address());
        command
    }

    fn wait_ready(&self, folder: &Path) -> Result<()> {
        let deadline = Instant::now() + READY;
        while !answers(&mut self.command("docker")) {
            if Instant::now() > deadline {
                let log = fs::read_to_string(folder.join("dockerd.log")).unwrap_or_default();
                bail!("the Docker daemon does not answer; its log ends with:\n{}", end(&log));
            }
            sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

impl Own {
    fn start(folder: &Path) -> Result<Self> {
        shell::run(Command::new("ip").args(["netns", "add", NAMESPACE]))?;
        shell::run(Command::new("ip").args(["-n", NAMESPACE, "link", "set", "lo", "up"]))?;
        let log = File::create(folder.join("dockerd.log"))?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{NAMESPACE}")).arg("dockerd");
        command.arg("--data-root").arg(folder.join("data")).arg("--exec-root").arg(folder.join("exec"));
        command.arg("--pidfile").arg(folder.join("dockerd.pid"));
        command.args(["--storage-driver", "overlay2", "--host", &address(folder)]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().context("starting dockerd")?;
        Ok(Self { process, folder: folder.to_owned() })
    }

    fn address(&self) -> String {
        address(&self.folder)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        step("stopping the Docker daemon");
        end_process(&self.process.id().to_string());
        let _ = self.process.wait();
        if let Err(error) = clear_remains(&self.folder) {
            eprintln!("something is left in {}: {error:#}", self.folder.display());
        }
    }
}

fn address(folder: &Path) -> String {
    format!("unix://{}", folder.join("docker.sock").display())
}

fn answers(docker: &mut Command) -> bool {
    docker.arg("info").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    docker.status().is_ok_and(|status| status.success())
}

/// Asks a process to end, and waits for it.
fn end_process(pid: &str) {
    let signal = |signal: &str| Command::new("kill").args([signal, pid]).stderr(Stdio::null()).status();
    let lives = || {
        // A child that has ended stays in the table until it is waited for.
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    };
    let _ = signal("-TERM");
    let deadline = Instant::now() + STOP;
    while lives() {
        if Instant::now() > deadline {
            let _ = signal("-KILL");
            break;
        }
        sleep(Duration::from_millis(50));
    }
}

/// What this run, or one that was cut short, has left: a daemon, its namespace, its data.
fn clear_remains(folder: &Path) -> Result<()> {
    let pid = fs::read_to_string(folder.join("dockerd.pid")).unwrap_or_default();
    let name = fs::read_to_string(format!("/proc/{}/comm", pid.trim())).unwrap_or_default();
    if name.trim() == "dockerd" {
        end_process(pid.trim());
    }
    if Path::new("/run/netns").join(NAMESPACE).exists() {
        shell::run(Command::new("ip").args(["netns", "delete", NAMESPACE]))?;
    }
    for remains in ["data", "exec", "mounted"] {
        let path = folder.join(remains);
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
        }
    }
    for remains in ["docker.sock", "dockerd.pid"] {
        let _ = fs::remove_file(folder.join(remains));
    }
    Ok(())
}

fn end(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
