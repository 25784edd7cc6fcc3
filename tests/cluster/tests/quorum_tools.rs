//! Kafka's own `kafka-metadata-quorum` against a quorum that changes.

use anyhow::{Result, ensure};
use klamm_harness::{Cluster, ClusterSpec, Roles, suite, until};

/// Runs the command and returns what it printed.
fn tool(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    let mut command = suite::command("java", &cluster.bootstrap())?;
    command.args(["tool", "org.apache.kafka.tools.MetadataQuorumCommand"]);
    let output = command.args(["--bootstrap-server", &cluster.bootstrap()]).args(arguments).output()?;
    let (said, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{arguments:?}: {said}{complaint}");
    Ok(said.into_owned())
}

#[test]
fn kafka_metadata_quorum_adds_describes_and_removes_a_controller() -> Result<()> {
    let mut cluster = ClusterSpec::new(1).roles(Roles::Separate { controllers: 1 }).start()?;
    cluster.add_controller(101)?;
    until(std::time::Duration::from_secs(30), "101 has its directory", || {
        Ok(cluster.directory_id(101).ok())
    })?;
    let config = cluster.config(101)?.display().to_string();
    let added = tool(&cluster, &["--command-config", &config, "add-controller"])?;
    ensure!(added.contains("Added controller 101"), "{added}");
    let status = tool(&cluster, &["describe", "--status"])?;
    println!("{status}");
    ensure!(status.contains("101") && status.contains("CurrentVoters"), "{status}");
    let replication = tool(&cluster, &["describe", "--replication"])?;
    println!("{replication}");
    ensure!(
        replication.lines().any(|line| line.starts_with("101") && line.contains("Follower")),
        "{replication}"
    );
    ensure!(
        replication.lines().any(|line| line.starts_with("0\t") || line.starts_with("0 ")),
        "{replication}"
    );
    let row = replication.lines().find(|line| line.starts_with("101")).unwrap_or_default();
    let directory = row.split_whitespace().nth(1).unwrap_or_default();
    let id = format!("--controller-directory-id={directory}");
    let removed = tool(&cluster, &["remove-controller", "--controller-id", "101", &id])?;
    ensure!(removed.contains("Removed"), "{removed}");
    let replication = tool(&cluster, &["describe", "--replication"])?;
    ensure!(
        replication.lines().any(|line| line.starts_with("101") && line.contains("Observer")),
        "{replication}"
    );
    cluster.succeed();
    Ok(())
}
