//! One node as a process: started, watched, stopped.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use klamm_operator_plan::observed::{NodeState, Properties};

use super::process::ProcessId;
use crate::data::state::Started;

/// How long a node may take from its start to being ready before it counts as not ready.
pub const START_BOUND: Duration = Duration::from_secs(60);
/// How long a node may take to stop before it is killed; its own bound for handing over is shorter.
pub const STOP_BOUND: Duration = Duration::from_secs(30);
/// A node that served this long is trusted again: its next death is answered without waiting.
const TRUST_AFTER: Duration = Duration::from_secs(30);
/// How long to wait before starting again after the first, second … death in a row.
const BACKOFF: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
/// A log that has grown beyond this is set aside at the next start.
const LOG_LIMIT: u64 = 16 << 20;

/// A node of this computer.
#[derive(Debug, Default)]
pub struct Node {
    running: Option<Running>,
    /// Deaths in a row, without having served in between.
    deaths: usize,
    /// When it may be started again.
    not_before: Option<Instant>,
    /// How often it was started after it had died.
    pub restarts: u32,
}

#[derive(Debug)]
struct Running {
    /// The process as our child; none if it was found running.
    child: Option<Child>,
    started: Started,
    since: Instant,
    ready_since: Option<Instant>,
    was_ready: bool,
    told_slow: bool,
    /// When it is killed, once it was asked to stop.
    kill_at: Option<Instant>,
}

/// What became of a node's process.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// It serves, after this long.
    Ready(Duration),
    /// It serves no longer, and still runs.
    Unready,
    /// It runs and has not become ready in the time that this takes.
    Slow,
    /// It stopped because it was asked to.
    Stopped,
    /// It died; it is started again after this long.
    Died {
        /// How, if it was our child.
        how: Option<String>,
        /// When it is started again.
        again_in: Duration,
        /// How often in a row it died without having served.
        in_a_row: usize,
    },
}

impl Node {
    /// Takes over a process that was found running.
    pub fn adopt(started: Started, now: Instant) -> Self {
        Self { running: Some(Running::new(None, started, now)), ..Self::default() }
    }

    /// Starts the process. It gets a process group of its own, so that a Ctrl-C in the terminal reaches only us.
    pub fn start(&mut self, command: &Launch<'_>, now: Instant) -> io::Result<Started> {
        let log = open_log(command.log)?;
        let child = Command::new(command.program)
            .arg("--config")
            .arg(command.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        let pid = child.id();
        let id = ProcessId::of(pid).unwrap_or(ProcessId { pid, started: String::new() });
        let started = Started { id, properties: command.properties.clone() };
        self.running = Some(Running::new(Some(child), started.clone(), now));
        Ok(started)
    }

    /// Takes note that starting failed, so that the next attempt waits.
    pub fn start_failed(&mut self, now: Instant) {
        self.back_off(now);
    }

    /// Asks the process to stop; it is killed when it takes longer than the bound.
    pub fn stop(&mut self, now: Instant) {
        if let Some(running) = self.running.as_mut().filter(|running| running.kill_at.is_none()) {
            running.kill_at = Some(now + STOP_BOUND);
            running.started.id.terminate();
        }
    }

    /// Kills the process.
    pub fn kill(&self) {
        if let Some(running) = &self.running {
            running.started.id.kill();
        }
    }

    /// Looks at the process, given whether it answered that it is ready.
    pub fn observe(&mut self, ready: bool, now: Instant) -> Option<Change> {
        let running = self.running.as_mut()?;
        if let Some(how) = running.end() {
            return Some(self.ended(how, now));
        }
        if running.kill_at.is_some_and(|at| now >= at) {
            running.started.id.kill();
        }
        match (running.ready_since, ready) {
            (None, true) => {
                running.ready_since = Some(now);
                let first = !std::mem::replace(&mut running.was_ready, true);
                Some(Change::Ready(if first { now - running.since } else { Duration::ZERO }))
            }
            (Some(_), false) => {
                running.ready_since = None;
                running.kill_at.is_none().then_some(Change::Unready)
            }
            (None, false)
                if !running.was_ready && !running.told_slow && now - running.since >= START_BOUND =>
            {
                running.told_slow = true;
                Some(Change::Slow)
            }
            (Some(since), true) if now - since >= TRUST_AFTER => {
                self.deaths = 0;
                None
            }
            _ => None,
        }
    }

    fn ended(&mut self, how: Option<String>, now: Instant) -> Change {
        let was = self.running.take();
        if was.as_ref().is_some_and(|was| was.kill_at.is_some()) {
            return Change::Stopped;
        }
        if was.is_some_and(|was| was.was_ready && now - was.since >= TRUST_AFTER) {
            self.deaths = 0;
        }
        self.restarts += 1;
        let again_in = self.back_off(now);
        Change::Died { how, again_in, in_a_row: self.deaths }
    }

    fn back_off(&mut self, now: Instant) -> Duration {
        let wait = BACKOFF[self.deaths.min(BACKOFF.len() - 1)];
        self.deaths += 1;
        self.not_before = Some(now + wait);
        wait
    }

    /// How the node is, in the planner's words.
    pub fn state(&self, now: Instant) -> NodeState {
        match &self.running {
            None if self.not_before.is_some_and(|at| now < at) => NodeState::BackingOff,
            None => NodeState::Stopped,
            Some(running) if running.kill_at.is_some() => NodeState::Stopping,
            Some(running) if running.ready_since.is_some() => NodeState::Ready,
            Some(running) if !running.was_ready && now - running.since < START_BOUND => NodeState::Starting,
            Some(_) => NodeState::Unready,
        }
    }

    /// The pid of the process, while one runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.started.id.pid)
    }

    /// What the process was started with, while one runs.
    pub fn properties(&self) -> Option<&Properties> {
        self.running.as_ref().map(|running| &running.started.properties)
    }
}

impl Running {
    fn new(child: Option<Child>, started: Started, since: Instant) -> Self {
        let (ready_since, was_ready, told_slow, kill_at) = (None, false, false, None);
        Self { child, started, since, ready_since, was_ready, told_slow, kill_at }
    }

    /// How the process ended, if it has.
    fn end(&mut self) -> Option<Option<String>> {
        match &mut self.child {
            Some(child) => child.try_wait().ok().flatten().map(|status| Some(status.to_string())),
            None => (!self.started.id.is_alive()).then_some(None),
        }
    }
}

/// What is needed to start a node.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The broker's program.
    pub program: &'a Path,
    /// Its properties file.
    pub config: &'a PathBuf,
    /// Where its output goes.
    pub log: &'a Path,
    /// What the properties file holds.
    pub properties: &'a Properties,
}

fn open_log(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path).is_ok_and(|log| log.len() > LOG_LIMIT) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    File::options().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(dir: &Path, program: &str) -> (Node, Instant) {
        let (mut node, now) = (Node::default(), Instant::now());
        let (config, log, properties) =
            (dir.join("server.properties"), dir.join("broker.log"), Properties::new());
        let script = dir.join("program");
        std::fs::write(&script, format!("#!/bin/sh\n{program}\n")).unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let launch = Launch { program: &script, config: &config, log: &log, properties: &properties };
        node.start(&launch, now).unwrap();
        (node, now)
    }

    fn next_change(node: &mut Node, now: Instant) -> Change {
        loop {
            if let Some(change) = node.observe(false, now) {
                return change;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_death_is_told_and_the_next_start_waits_longer_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let (mut node, now) = launch(dir.path(), "exit 3");
        let Change::Died { how, again_in, in_a_row } = next_change(&mut node, now) else {
            panic!("must die")
        };
        assert_eq!((how.as_deref(), again_in, in_a_row), (Some("exit status: 3"), BACKOFF[0], 1));
        assert_eq!(node.state(now), NodeState::BackingOff);
        assert_eq!(node.state(now + again_in), NodeState::Stopped);
        node.start_failed(now);
        assert_eq!(node.state(now + BACKOFF[0]), NodeState::BackingOff);
        assert_eq!(node.state(now + BACKOFF[1]), NodeState::Stopped);
    }

    #[test]
    fn a_node_that_was_asked_to_stop_has_not_died() {
        let dir = tempfile::tempdir().unwrap();
        let (mut node, now) = launch(dir.path(), "exec sleep 60");
        node.stop(now);
        assert_eq!(node.state(now), NodeState::Stopping);
        assert_eq!(next_change(&mut node, now), Change::Stopped);
        assert_eq!(node.state(now), NodeState::Stopped);
    }

    #[test]
    fn a_node_that_does_not_stop_in_time_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut node, now) = launch(dir.path(), "trap '' TERM; echo up; while :; do sleep 0.01; done");
        while std::fs::read_to_string(dir.path().join("broker.log")).unwrap_or_default().is_empty() {
            std::thread::yield_now();
        }
        node.stop(now);
        assert_eq!(node.observe(false, now), None);
        assert_eq!(next_change(&mut node, now + STOP_BOUND), Change::Stopped);
    }

    #[test]
    fn a_node_that_does_not_become_ready_in_time_is_unready() {
        let dir = tempfile::tempdir().unwrap();
        let (mut node, now) = launch(dir.path(), "exec sleep 60");
        assert_eq!(node.state(now), NodeState::Starting);
        assert_eq!(node.state(now + START_BOUND), NodeState::Unready);
        assert_eq!(node.observe(true, now), Some(Change::Ready(Duration::ZERO)));
        assert_eq!(node.state(now), NodeState::Ready);
        assert_eq!(node.observe(false, now), Some(Change::Unready));
        assert_eq!(node.state(now), NodeState::Unready);
        node.kill();
        assert!(matches!(next_change(&mut node, now), Change::Died { .. }));
    }
}
