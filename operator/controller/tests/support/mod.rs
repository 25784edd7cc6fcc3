//! Runs `klamm-operator` on a program that stands in for a broker: it answers `/readyz` and nothing else, which is
//! all that starting, watching and stopping processes needs.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest that anything here may take.
const BOUND: Duration = Duration::from_secs(60);

/// A directory with a manifest and the stand-in for the broker.
pub struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    pub fn new(replicas: i32) -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        site.write_manifest(&manifest(replicas));
        site.write_program(&site.path("broker"), "");
        site
    }

    /// The stand-in is this very test program, told by its environment to play the broker; `exec` keeps the pid.
    pub fn write_program(&self, path: &Path, first: &str) {
        let me = std::env::current_exe().unwrap();
        let script = format!(
            "#!/bin/sh\n{first}\nSTAND_IN_CONFIG=\"$2\" exec {} --exact stand_in_for_a_broker --ignored --nocapture\n",
            me.display()
        );
        std::fs::write(path, script).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn write_manifest(&self, text: &str) {
        std::fs::write(self.path("next.yaml"), text).unwrap();
        std::fs::rename(self.path("next.yaml"), self.path("cluster.yaml")).unwrap();
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_klamm-operator"));
        command.arg(verb).arg("--data").arg(self.data()).stdin(Stdio::null());
        if verb == "up" {
            command.arg("-f").arg(self.path("cluster.yaml")).arg("--broker-binary").arg(self.path("broker"));
        }
        command
    }

    pub fn run(&self, verb: &str, arguments: &[&str]) -> Output {
        self.command(verb).args(arguments).output().unwrap()
    }

    pub fn up(&self) -> Up<'_> {
        let log = std::fs::File::options().create(true).append(true).open(self.path("out")).unwrap();
        let child = self.command("up").stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Up { site: self, child }
    }

    pub fn status(&self) -> Value {
        let text = std::fs::read(self.data().join("status.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    pub fn pids(&self) -> Vec<u32> {
        let status = self.status();
        let brokers = status["brokers"].as_array().cloned().unwrap_or_default();
        brokers.iter().filter_map(|broker| u32::try_from(broker["pid"].as_u64()?).ok()).collect()
    }

    pub fn output(&self) -> String {
        std::fs::read_to_string(self.path("out")).unwrap_or_default()
    }

    pub fn wait_for(&self, what: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + BOUND;
        loop {
            let status = self.status();
            if holds(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what} did not happen\n{status:#}\n{}", self.output());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn wait_ready(&self, brokers: usize) -> Value {
        self.wait_for("ready", |status| {
            status["ready"] == true && status["brokers"].as_array().is_some_and(|all| all.len() == brokers)
        })
    }
}

/// Nothing that a failed test started may stay behind.
impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.command("down").output();
    }
}

/// An `up` in the foreground.
pub struct Up<'a> {
    site: &'a Site,
    child: Child,
}

impl Up<'_> {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn terminate(mut self) -> bool {
        signal(self.child.id(), "TERM");
        self.child.wait().unwrap().success()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it gives up by itself.
    pub fn fails(mut self) -> String {
        assert!(!self.child.wait().unwrap().success());
        self.site.output()
    }
}

pub fn manifest(replicas: i32) -> String {
    format!(
        "apiVersion: klamm.dev/v1alpha1\nkind: KafkaCluster\nmetadata:\n  name: c\nspec:\n  kafka:\n    replicas: {replicas}\n"
    )
}

pub fn signal(pid: u32, signal: &str) {
    Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().unwrap();
}

/// Whether the process runs. One that ended and that nobody has waited for yet does not.
pub fn is_alive(pid: u32) -> bool {
    let ps = Command::new("ps").args(["-o", "state=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8(ps.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

/// What the stand-in does: listens where the properties say, and is ready.
pub fn stand_in() {
    let Ok(config) = std::env::var("STAND_IN_CONFIG") else { return };
    let properties = std::fs::read_to_string(config).unwrap();
    let http = properties.lines().find_map(|line| line.strip_prefix("klamm.http.listener=")).unwrap();
    let listener = TcpListener::bind(http).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 512];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
}
