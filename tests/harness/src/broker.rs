//! One process of `klamm-broker`: start, signals, logs, health.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::until;

/// The binary under test: `KLAMM_BROKER_BIN`, or the one that cargo builds beside this test.
///
/// # Errors
/// It cannot be found or built.
pub fn broker_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("KLAMM_BROKER_BIN") {
        return Ok(path.into());
    }
    let test = std::env::current_exe()?;
    let profile = test.ancestors().nth(2).context("tests run from <target>/<profile>/deps")?;
    let binary = profile.join("klamm-broker");
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--package", "klamm-broker", "--bin", "klamm-broker"]);
    build.env("CARGO_TARGET_DIR", profile.parent().context("the profile lies in the target directory")?);
    if profile.file_name().is_some_and(|name| name == "release") {
        build.arg("--release");
    }
    ensure!(build.status()?.success(), "building klamm-broker failed");
    Ok(binary)
}

/// A process that was started, and may have ended since.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Broker {
    /// Starts the binary with a properties file, by way of `launcher` if there is one; standard output and errors go to the end of `log`.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start(launcher: &[String], binary: &Path, config: &Path, log: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let mut command = match launcher {
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(binary);
                command
            }
            [] => Command::new(binary),
        };
        // The environment configures a broker, too; that of whoever runs the tests must not.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|n| n.starts_with("KAFKA_") || n == "CLUSTER_ID") {
                command.env_remove(name);
            }
        }
        let child = command
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        Ok(Self { child, ended: None })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs; a paused process does.
    pub fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended.is_none()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The process has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        ensure!(self.is_running(), "process {} has ended", self.pid());
        let pid = Pid::from_raw(i32::try_from(self.pid())?).context("a process id")?;
        kill_process(pid, signal).with_context(|| format!("sending {signal:?} to {}", self.pid()))
    }

    /// Waits for the process to end by itself.
    ///
    /// # Errors
    /// It runs for longer than `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("process {} ends", self.pid());
        until(limit, &what, || {
            self.is_running();
            Ok(self.ended)
        })
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        if self.is_running() {
            let _ended_meanwhile = self.child.kill();
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The status and body of a GET request.
///
/// # Errors
/// Nobody listens there, or what comes is no HTTP.
pub(crate) fn http_get(host: &str, port: u16, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect((host, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an HTTP answer has a head")?;
    let Some(status) = head.split_whitespace().nth(1) else { bail!("no status in {head:?}") };
    Ok((status.parse()?, body.to_owned()))
}

/// The last `count` lines of a file, for the report of a failure.
pub(crate) fn tail(path: &Path, count: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
}
