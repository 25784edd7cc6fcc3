//! The two brokers under test, started the way their users start them.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::Process;

/// Id of every benched cluster.
const CLUSTER_ID: &str = "5L6g3nShT-eMCtK--X86sw";

/// What Kafka's start scripts pass to the JVM (`kafka-server-start.sh` and `kafka-run-class.sh`), and a quiet log.
const KAFKA_JVM: &[&str] = &[
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
];

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Apache Kafka in KRaft mode, `-Xmx1G`.
    Kafka,
    /// Klamm.
    Klamm,
}

impl Kind {
    /// Column heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "Apache Kafka 4.3.1",
            Self::Klamm => "Klamm",
        }
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Class path with Kafka's server, tools and clients.
    pub class_path: String,
    /// `klamm-broker`, built for release.
    pub klamm: PathBuf,
}

/// Programs and the directory for their data.
#[derive(Clone, Debug)]
pub struct Site {
    /// Where the programs are.
    pub programs: Programs,
    /// A directory on the disk to measure.
    pub scratch: PathBuf,
}

/// A running cluster of combined nodes on loopback; dropped, its processes and data are gone.
pub struct Cluster {
    /// Which broker.
    pub kind: Kind,
    /// The processes by node id; `None` once killed.
    pub nodes: Vec<Option<Process>>,
    ports: Vec<u16>,
    root: tempfile::TempDir,
}

impl Cluster {
    /// Starts `count` nodes on fresh disks. Kafka's disks are formatted first, which is not timed.
    pub fn start(kind: Kind, count: usize, site: &Site) -> Result<Self> {
        let root = tempfile::Builder::new().prefix("bench-").tempdir_in(&site.scratch)?;
        let ports = free_ports(count * 2)?;
        let (clients, controllers) = ports.split_at(count);
        let mut cluster = Self { kind, nodes: Vec::new(), ports: clients.to_vec(), root };
        let voters: Vec<String> =
            controllers.iter().enumerate().map(|(id, p)| format!("{id}@127.0.0.1:{p}")).collect();
        let mut commands = Vec::new();
        for (id, (client, controller)) in clients.iter().zip(controllers).enumerate() {
            let dir = cluster.dir(id);
            fs::create_dir_all(&dir)?;
            let config = dir.join("server.properties");
            fs::write(&config, properties(id, *client, *controller, &voters, &dir.join("data")))?;
            commands.push(command(kind, &site.programs, &config)?);
        }
        for (id, mut command) in commands.into_iter().enumerate() {
            let log = cluster.dir(id).join("broker.log");
            cluster.nodes.push(Some(Process::start(&mut command, &log)?));
        }
        Ok(cluster)
    }

    fn dir(&self, id: usize) -> PathBuf {
        self.root.path().join(format!("node-{id}"))
    }

    /// `host:port` of every node.
    pub fn bootstrap(&self) -> String {
        self.ports.iter().map(|p| format!("127.0.0.1:{p}")).collect::<Vec<_>>().join(",")
    }

    /// When the first process was started.
    pub fn started(&self) -> Option<Instant> {
        self.nodes.iter().flatten().map(|p| p.started).min()
    }

    /// Waits until every node shows every broker in its metadata.
    pub fn wait_ready(&mut self, timeout: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < timeout {
            let count = self.ports.len();
            let ready = self.ports.iter().all(|port| {
                crate::admin::metadata(&format!("127.0.0.1:{port}"), "")
                    .is_ok_and(|m| m.brokers.len() == count)
            });
            if ready {
                return Ok(());
            }
            if self.nodes.iter_mut().flatten().any(Process::has_ended) {
                bail!("{} ended at its start: {}", self.kind.name(), self.logs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("{} is not ready after {timeout:?}: {}", self.kind.name(), self.logs())
    }

    /// The last lines that each node wrote.
    pub fn logs(&self) -> String {
        let mut out = String::new();
        for id in 0..self.ports.len() {
            let log = fs::read_to_string(self.dir(id).join("broker.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default();
            out.push_str(&format!("\nnode {id}:\n{}", tail.join("\n")));
        }
        out
    }

    /// Where the nodes keep their data.
    pub fn data(&self) -> &Path {
        self.root.path()
    }

    /// CPU time of all nodes.
    pub fn cpu(&self) -> Result<Duration> {
        self.nodes.iter().flatten().map(Process::cpu).sum()
    }

    /// Largest resident memory of a node now, MiB.
    pub fn rss_mib(&self) -> Result<f64> {
        self.largest(Process::rss_mib)
    }

    /// Largest resident memory of a node since its start, MiB.
    pub fn peak_rss_mib(&self) -> Result<f64> {
        self.largest(Process::peak_rss_mib)
    }

    fn largest(&self, figure: impl Fn(&Process) -> Result<f64>) -> Result<f64> {
        self.nodes.iter().flatten().map(figure).try_fold(0.0, |max: f64, rss| rss.map(|r| max.max(r)))
    }
}

/// Ports that are free now.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    held.iter().map(|l| Ok(l.local_addr()?.port())).collect()
}

/// One file for both brokers; Kafka leaves the keys it does not know alone.
fn properties(id: usize, client: u16, controller: u16, voters: &[String], data: &Path) -> String {
    let replicas = voters.len().min(3);
    format!(
        "process.roles=broker,controller\n\
         node.id={id}\n\
         controller.quorum.voters={}\n\
         listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{client}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         offsets.topic.replication.factor={replicas}\n\
         transaction.state.log.replication.factor={replicas}\n\
         transaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         auto.create.topics.enable=false\n\
         log.dirs={}\n\
         cluster.id={CLUSTER_ID}\n\
         klamm.http.listener=127.0.0.1:0\n",
        voters.join(","),
        data.display()
    )
}

fn command(kind: Kind, programs: &Programs, config: &Path) -> Result<Command> {
    match kind {
        Kind::Klamm => {
            let mut command = Command::new(&programs.klamm);
            command.arg("--config").arg(config);
            Ok(command)
        }
        Kind::Kafka => {
            format_storage(programs, config)?;
            let mut command = java(programs);
            command.args(KAFKA_JVM).arg("kafka.Kafka").arg(config);
            Ok(command)
        }
    }
}

/// `java` with the class path.
pub fn java(programs: &Programs) -> Command {
    let mut command = Command::new("java");
    command.arg("-cp").arg(&programs.class_path);
    command
}

fn format_storage(programs: &Programs, config: &Path) -> Result<()> {
    let output = java(programs)
        .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
        .arg(config)
        .output()
        .context("formatting Kafka's storage")?;
    if !output.status.success() {
        bail!("kafka-storage format: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
