//! The clients under test in a process of theirs: it takes commands and writes down what it did and saw.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use klamm_harness::until;
use serde::{Deserialize, Serialize};

use crate::history::{Line, Lines};

/// The topic that everything goes to.
pub const TOPIC: &str = "chaos";
/// How long a command may take: a send may wait two minutes for its end.
const PATIENCE: Duration = Duration::from_secs(180);

/// How the clients are set up.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Sends a second, over all partitions.
    pub rate: u32,
    /// Partitions of the topic.
    pub partitions: i32,
    /// The producers' `acks`; the suite shows with `1` that it notices what is lost.
    pub acks: &'static str,
    /// `request.timeout.ms`: the time after which a silent broker is given up.
    pub request_timeout: Duration,
    /// The program and arguments that start the process where it shall run.
    pub launcher: Vec<String>,
}

impl Default for Setting {
    fn default() -> Self {
        let request_timeout = Duration::from_secs(5);
        Self { rate: 300, partitions: 6, acks: "all", request_timeout, launcher: Vec::new() }
    }
}

/// Where the clients' classes are, and the libraries that they need: a class path of Java's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClassPath(pub String);

/// A running process of clients.
#[derive(Debug)]
pub struct Workload {
    child: Child,
    commands: ChildStdin,
    history: Arc<Mutex<Vec<Line>>>,
    /// All lines as they came, until nobody needs them: what ends without a verdict can be looked into.
    journal: PathBuf,
    reading: Option<JoinHandle<()>>,
}

impl Workload {
    /// Starts the process; it does nothing until it is told to.
    ///
    /// # Errors
    /// There is no Java.
    pub fn start(class_path: &ClassPath, bootstrap: &str, setting: &Setting, log: PathBuf) -> Result<Self> {
        let journal = log.with_extension("jsonl");
        let words = setting.launcher.iter().map(String::as_str).chain(["java"]).collect::<Vec<_>>();
        let (program, before) = words.split_first().context("a program")?;
        let mut child = Command::new(program)
            .args(before)
            .args([
                "-Xmx192m",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-XX:-UsePerfData",
                "-cp",
                &class_path.0,
            ])
            .args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=error"])
            // Why a producer sends again, and what becomes of its sequence numbers; whom the consumers have given up.
            .args(["-Dorg.slf4j.simpleLogger.log.org.apache.kafka.clients.producer.internals=info"])
            .args(["-Dorg.slf4j.simpleLogger.log.org.apache.kafka.clients.consumer.internals=info"])
            .args(["-Dorg.slf4j.simpleLogger.log.org.apache.kafka.clients.FetchSessionHandler=info"])
            .args(["-Dorg.slf4j.simpleLogger.showDateTime=true", "klamm.chaos.Workload"])
            .args([bootstrap, TOPIC, &setting.partitions.to_string(), &setting.rate.to_string()])
            .args([setting.acks, &setting.request_timeout.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .context("starting the clients")?;
        let output = child.stdout.take().context("standard output is piped")?;
        let commands = child.stdin.take().context("standard input is piped")?;
        let history = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&history);
        let mut file = BufWriter::new(File::create(&journal)?);
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Without it there is less to look into, and nothing else.
                drop(writeln!(file, "{line}"));
                let line = serde_json::from_str(&line)
                    .unwrap_or_else(|error| panic!("the clients wrote {line:?}: {error}"));
                locked(&written).push(line);
            }
        });
        Ok(Self { child, commands, history, journal, reading: Some(reading) })
    }

    /// What was done and seen so far.
    pub fn history(&self) -> MutexGuard<'_, Vec<Line>> {
        locked(&self.history)
    }

    /// Sends a command and waits until it is done; the figure that it asked for.
    ///
    /// # Errors
    /// The process ended, or does not answer.
    pub fn command(&mut self, command: &str) -> Result<i64> {
        let from = self.history().len();
        writeln!(self.commands, "{command}").context("the clients have ended")?;
        until(PATIENCE, &format!("the clients are done with {command:?}"), || {
            Ok(self.history().iter().skip(from).find_map(|line| match line {
                Line::Done(done) if done.what == command => Some(done.figure),
                _ => None,
            }))
        })
    }

    /// Waits until a look at the history from line `from` on finds something.
    ///
    /// # Errors
    /// It does not in time, or the process ended.
    pub fn until<T>(
        &mut self,
        limit: Duration,
        what: &str,
        from: usize,
        look: impl Fn(Lines<'_>) -> Option<T>,
    ) -> Result<T> {
        let child = &mut self.child;
        let history = &self.history;
        let found = until(limit, what, || {
            if let Ok(Some(status)) = child.try_wait() {
                return Ok(Some(Err(status)));
            }
            Ok(look(Lines(locked(history).get(from..).unwrap_or_default())).map(Ok))
        })?;
        match found {
            Ok(found) => Ok(found),
            Err(status) => bail!("the clients ended with {status}"),
        }
    }

    /// Where its journal is kept if something did not hold.
    pub fn journal(&self) -> &Path {
        &self.journal
    }

    /// Ends the process and returns all that it wrote.
    ///
    /// # Errors
    /// It had ended before.
    pub fn finish(mut self) -> Result<Vec<Line>> {
        ensure!(self.child.try_wait()?.is_none(), "the clients have ended");
        Ok(std::mem::take(&mut self.history()))
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        // The journal is whole when it is done.
        drop(self.reading.take().map(JoinHandle::join));
    }
}

fn locked(history: &Mutex<Vec<Line>>) -> MutexGuard<'_, Vec<Line>> {
    history.lock().unwrap_or_else(PoisonError::into_inner)
}
