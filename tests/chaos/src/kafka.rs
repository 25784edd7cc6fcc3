//! A cluster of Apache Kafka on loopback, with its defaults, for the row that stands beside ours.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use klamm_harness::{Client, Ports, until};
use tempfile::TempDir;

use crate::workload::ClassPath;

/// Id of the cluster.
const ID: &str = "5L6g3nShT-eMCtK--X86sw";
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A cluster of three combined nodes; dropped, its processes are killed.
pub struct Kafka {
    class_path: ClassPath,
    root: TempDir,
    ports: Ports,
    nodes: BTreeMap<i32, Child>,
}

impl Kafka {
    /// Formats three disks, starts three nodes and waits until each knows all.
    ///
    /// # Errors
    /// There is no Java, or Kafka does not start in time.
    pub fn start(class_path: &ClassPath) -> Result<Self> {
        let root = tempfile::Builder::new().prefix("kafka-").tempdir()?;
        let mut kafka =
            Self { class_path: class_path.clone(), root, ports: Ports::reserve(6)?, nodes: BTreeMap::new() };
        for id in 0..3 {
            fs::write(kafka.config(id), kafka.properties(id)?)?;
            let config = kafka.config(id);
            let mut format = kafka.java("kafka.tools.StorageTool");
            let done = format.args(["format", "-t", ID, "-c"]).arg(config).output()?;
            ensure!(done.status.success(), "formatting: {}", String::from_utf8_lossy(&done.stderr));
            kafka.restart(id)?;
        }
        let mut client = Client::new(&kafka.bootstrap()?);
        until(
            PATIENCE,
            "Apache Kafka is up",
            || Ok((client.topology()?.brokers().len() == 3).then_some(())),
        )?;
        Ok(kafka)
    }

    fn port(&self, index: i32) -> Result<u16> {
        self.ports.get(usize::try_from(index)?).context("a port")
    }

    /// `host:port` of every node.
    ///
    /// # Errors
    /// A node has no port.
    pub fn bootstrap(&self) -> Result<String> {
        let addresses = (0..3).map(|id| Ok(format!("127.0.0.1:{}", self.port(id)?)));
        Ok(addresses.collect::<Result<Vec<_>>>()?.join(","))
    }

    fn config(&self, id: i32) -> PathBuf {
        self.root.path().join(format!("{id}.properties"))
    }

    fn properties(&self, id: i32) -> Result<String> {
        let voters = (0..3).map(|id| Ok(format!("{id}@127.0.0.1:{}", self.port(3 + id)?)));
        let voters = voters.collect::<Result<Vec<_>>>()?.join(",");
        let (client, controller) = (self.port(id)?, self.port(3 + id)?);
        Ok(format!(
            "process.roles=broker,controller\nnode.id={id}\ncontroller.quorum.voters={voters}\n\
             listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\nlog.dirs={}\ndefault.replication.factor=3\nmin.insync.replicas=2\n\
             offsets.topic.replication.factor=3\ngroup.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\n",
            self.root.path().join(format!("data-{id}")).display()
        ))
    }

    fn java(&self, class: &str) -> Command {
        let mut java = Command::new("java");
        java.args([
            "-Xmx512m",
            "-XX:+UseG1GC",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp",
            &self.class_path.0,
        ]);
        java.arg(class).stdin(Stdio::null());
        java
    }

    /// Starts a node that does not run.
    ///
    /// # Errors
    /// There is no Java.
    pub fn restart(&mut self, id: i32) -> Result<()> {
        let log =
            File::options().create(true).append(true).open(self.root.path().join(format!("{id}.log")))?;
        let mut command = self.java("kafka.Kafka");
        command.arg(self.config(id)).stdout(log.try_clone()?).stderr(log);
        self.nodes.insert(id, command.spawn().context("starting Kafka")?);
        Ok(())
    }

    /// SIGKILL: the node is gone before this returns.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self, id: i32) -> Result<()> {
        let mut node = self.nodes.remove(&id).context("a node that runs")?;
        node.kill()?;
        node.wait()?;
        Ok(())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        for node in self.nodes.values_mut() {
            drop(node.kill());
            drop(node.wait());
        }
    }
}
