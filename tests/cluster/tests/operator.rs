//! `klamm-operator up` with real brokers: a manifest becomes a cluster, an edit changes it, `down` stops it, data stay.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use klamm_harness::{Client, Load, broker_binary};
use klamm_wire::messages::begin_disruption_request::BeginDisruptionRequest;
use klamm_wire::messages::end_disruption_request::EndDisruptionRequest;
use serde_json::{Value, json};

/// Longest wait for a condition.
const PATIENCE: Duration = Duration::from_secs(30);
const QUICKSTART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/quickstart.yaml");

/// A cluster kept by a detached `up`; stopped when the test ends, however it ends.
struct Kept {
    operator: PathBuf,
    data: tempfile::TempDir,
    manifest: PathBuf,
}

impl Kept {
    fn up(manifest: &str) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let path = data.path().join("cluster.yaml");
        fs::write(&path, manifest)?;
        let kept = Self { operator: operator()?, manifest: path, data };
        kept.start()?;
        Ok(kept)
    }

    fn start(&self) -> Result<()> {
        let manifest = self.manifest.to_str().context("path")?;
        let output = self.run(&["up", "--detach", "-f", manifest])?;
        ensure!(output.status.success(), "up: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    fn dir(&self) -> PathBuf {
        self.data.path().join("data")
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.operator);
        command.args(arguments).arg("--data").arg(self.dir()).env("KLAMM_BROKER_BINARY", broker_binary()?);
        command.output().with_context(|| format!("running {}", self.operator.display()))
    }

    fn status(&self) -> Result<Value> {
        read_status(&self.dir())
    }

    fn wait(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Result<Value> {
        let start = Instant::now();
        loop {
            match self.status() {
                Ok(status) if condition(&status) => return Ok(status),
                last if start.elapsed() > PATIENCE => bail!("{what} did not come about: {last:?}"),
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn client(&self) -> Result<Client> {
        Ok(Client::new(self.status()?["bootstrap"].as_str().context("bootstrap")?))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Nothing more can be done about a failure here.
        drop(self.run(&["down"]));
    }
}

/// The operator's binary beside the broker's.
fn operator() -> Result<PathBuf> {
    Ok(broker_binary()?.with_file_name("klamm-operator"))
}

/// Whether the topic has a partition of this index.
fn has_partition(client: &mut Client, topic: &str, partition: i32) -> Result<bool> {
    Ok(client.topology()?.replicas(topic, partition).is_ok())
}

fn read_status(dir: &Path) -> Result<Value> {
    Ok(serde_json::from_str(&fs::read_to_string(dir.join("status.json"))?)?)
}

fn brokers(status: &Value) -> usize {
    status["brokers"].as_array().map_or(0, Vec::len)
}

#[test]
fn manifest_becomes_a_cluster_that_edits_change_and_down_stops() -> Result<()> {
    let manifest = fs::read_to_string(QUICKSTART)?;
    let kept = Kept::up(&manifest)?;
    let status = kept.wait("readiness", |s| s["ready"] == true && brokers(s) == 3)?;
    ensure!(status["brokers"][0]["kafka"].is_string() && status["brokers"][0]["pid"].is_u64(), "{status}");
    let mut client = kept.client()?;
    ensure!(
        has_partition(&mut client, "orders", 2)? && !has_partition(&mut client, "orders", 3)?,
        "three partitions"
    );

    let edited = manifest.replacen("replicas: 3\n    controllers", "replicas: 4\n    controllers", 1);
    ensure!(edited != manifest, "the example has three replicas");
    fs::write(&kept.manifest, edited.replacen("partitions: 3", "partitions: 5", 1))?;
    kept.wait("the fourth broker", |s| s["ready"] == true && brokers(s) == 4)?;
    let mut client = kept.client()?;
    let start = Instant::now();
    while !has_partition(&mut client, "orders", 4)? {
        ensure!(start.elapsed() < PATIENCE, "orders did not grow");
        std::thread::sleep(Duration::from_millis(50));
    }

    let down = kept.run(&["down"])?;
    ensure!(down.status.success(), "down: {}", String::from_utf8_lossy(&down.stderr));
    kept.start()?;
    kept.wait("readiness after a new start", |s| s["ready"] == true && brokers(s) == 4)?;
    ensure!(has_partition(&mut kept.client()?, "orders", 4)?, "the topic is found again");
    Ok(())
}

#[test]
fn manifest_with_a_typo_or_two_controllers_is_refused_and_starts_nothing() -> Result<()> {
    let good = fs::read_to_string(QUICKSTART)?;
    for (from, to, named) in
        [("controllers: 3", "controllers: 2", "controllers"), ("storage:", "storrage:", "storrage")]
    {
        let data = tempfile::tempdir()?;
        let manifest = data.path().join("cluster.yaml");
        fs::write(&manifest, good.replacen(from, to, 1))?;
        let kept = Kept { operator: operator()?, manifest, data };
        let refused = kept.start().err().context("accepted")?.to_string();
        ensure!(refused.contains(named), "{refused}");
        ensure!(!kept.dir().join("node-0").exists(), "a node was made");
    }
    Ok(())
}

/// The manifest with another property of the brokers, for which they have to restart.
fn reconfigured(manifest: &str) -> Result<String> {
    let property = "auto.create.topics.enable: false";
    let edited = manifest.replacen(property, &format!("{property}\n      log.retention.hours: 100"), 1);
    ensure!(edited != manifest, "the example sets {property}");
    Ok(edited)
}

fn pids(status: &Value) -> Vec<u64> {
    let brokers = status["brokers"].as_array().map(Vec::as_slice).unwrap_or_default();
    brokers.iter().filter_map(|broker| broker["pid"].as_u64()).collect()
}

/// Whether every broker is ready and nothing is under way.
fn rests(status: &Value) -> bool {
    status["ready"] == true && status["operations"].is_null() && pids(status).len() == 3
}

#[test]
fn changed_config_rolls_one_broker_at_a_time_under_load_and_nothing_is_lost() -> Result<()> {
    let manifest = fs::read_to_string(QUICKSTART)?;
    let kept = Kept::up(&manifest)?;
    let before = kept.wait("readiness", rests)?;
    let load = Load::start(before["bootstrap"].as_str().context("bootstrap")?, "orders", 3);
    load.wait_for_more(300)?;
    fs::write(&kept.manifest, reconfigured(&manifest)?)?;

    let mut most_down = 0;
    let start = Instant::now();
    let after = loop {
        let status = kept.status()?;
        let brokers = status["brokers"].as_array().context("brokers")?;
        most_down = most_down.max(brokers.iter().filter(|broker| broker["state"] != "Ready").count());
        let all_new = pids(&status).iter().all(|pid| !pids(&before).contains(pid));
        if rests(&status) && all_new {
            break status;
        }
        ensure!(start.elapsed() < 3 * PATIENCE, "the roll does not end: {status}");
        std::thread::sleep(Duration::from_millis(20));
    };
    ensure!(most_down == 1, "{most_down} brokers were down at once");
    for broker in after["brokers"].as_array().context("brokers")? {
        ensure!(broker["restarts"] == 0, "a broker died: {after}");
    }
    load.wait_for_more(300)?;
    load.finish()?.verify(&mut kept.client()?)
}

#[test]
fn denied_restart_names_its_blockers_and_goes_on_when_they_are_gone() -> Result<()> {
    let manifest = fs::read_to_string(QUICKSTART)?;
    let kept = Kept::up(&manifest)?;
    let before = kept.wait("readiness", rests)?;
    let mut client = kept.client()?;
    let somebody_else = BeginDisruptionRequest {
        node_id: 0,
        holder: "somebody else".into(),
        reason: "a machine is replaced".into(),
        duration_ms: 60_000,
        ..Default::default()
    };
    let answer = client.call(0, &somebody_else)?;
    ensure!(answer.error_code == 0 && answer.granted, "{answer:?}");

    fs::write(&kept.manifest, reconfigured(&manifest)?)?;
    let blocked = |status: &Value| {
        let brokers =
            status["operations"]["roll"]["brokers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let named = |broker: &&Value| broker["state"] == "Blocked" && broker["blockers"][0].is_string();
        brokers.iter().filter(named).count() > 0 && brokers.len() == 3
    };
    let status = kept.wait("a refusal", blocked)?;
    let reasons = status["operations"]["roll"]["brokers"][0]["reasons"].clone();
    ensure!(reasons == json!(["log.retention.hours"]), "{status}");
    ensure!(pids(&status) == pids(&before), "a broker was restarted without leave");

    let over = EndDisruptionRequest { node_id: 0, grant_id: answer.grant_id, ..Default::default() };
    client.call(0, &over)?;
    kept.wait("the roll", |status| {
        rests(status) && pids(status).iter().all(|pid| !pids(&before).contains(pid))
    })?;
    Ok(())
}
