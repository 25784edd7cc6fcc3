//! Compose files as people have written them for confluentinc/cp-kafka and apache/kafka, unchanged.

use std::os::unix::fs::MetadataExt;

use anyhow::{Result, ensure};
use klamm_compose_tests::Project;
use klamm_harness::Client;

/// Lines of a log that contain a text.
fn count(log: &str, text: &str) -> usize {
    log.lines().filter(|line| line.contains(text)).count()
}

#[test]
fn a_cluster_written_for_cp_kafka_runs_with_the_services_beside_it() -> Result<()> {
    let project = Project::up("tests/compose/files/cp-kafka-cluster.yaml")?;
    project.wait(&[
        ("broker1", "healthy"),
        ("broker2", "healthy"),
        ("broker3", "healthy"),
        ("registry", "healthy"),
        ("ui", "healthy"),
    ])?;
    let topology = Client::new("localhost:19091,localhost:19092,localhost:19093").topology()?;
    ensure!(topology.brokers() == [1, 2, 3], "reached through published ports");

    let log = project.logs("broker1")?;
    ensure!(count(&log, "mean nothing to Klamm") == 1, "one line about what means nothing:\n{log}");
    for name in [
        "KAFKA_CONFLUENT_METRICS_REPORTER_BOOTSTRAP_SERVERS",
        "KAFKA_CONFLUENT_SCHEMA_REGISTRY_URL",
        "KAFKA_CONFLUENT_LICENSE_TOPIC_REPLICATION_FACTOR",
    ] {
        ensure!(count(&log, name) == 1, "{name} is named once:\n{log}");
    }
    ensure!(!log.contains("KAFKA_HEAP_OPTS"), "what a JVM takes is nobody's concern:\n{log}");
    ensure!(count(&log, "there is no JMX here") == 1, "where the metrics are:\n{log}");

    for broker in ["broker1", "broker2", "broker3"] {
        let text = std::fs::read_to_string(project.data().join(broker).join("meta.properties"))?;
        ensure!(text.contains("cluster.id=our team's cluster (staging) = #1"), "free text is kept: {text}");
    }
    Ok(())
}

#[test]
fn a_node_written_for_apache_kafka_keeps_its_data_in_a_directory_of_root() -> Result<()> {
    let file = "tests/compose/files/apache-kafka-single.yaml";
    let project = Project::up(file)?;
    project.wait(&[("broker", "healthy"), ("init", "exited 0")])?;
    let described = project.logs("init")?;
    ensure!(
        count(&described, "Topic: orders\tPartition:") == 6,
        "the topic has six partitions:\n{described}"
    );

    let mut client = Client::new("localhost:9092");
    client.produce("orders", 5, &["kept"])?;
    let data = project.data().join("single");
    let owner = std::fs::metadata(&data)?.uid();
    ensure!(owner == 1000, "the directory was taken over by the image's user: {owner}");
    ensure!(project.exec("broker", &["id", "-u"])?.trim() == "1000", "not root");
    drop(project);

    // A new container finds what is there.
    let project = Project::up(file)?;
    project.wait(&[("broker", "healthy")])?;
    let read = Client::new("localhost:9092").read_all("orders", 5)?;
    ensure!(read.len() == 1, "{} records are there", read.len());
    Ok(())
}

#[test]
fn roles_apart_with_derived_listeners_and_another_prefix() -> Result<()> {
    let project = Project::up("tests/compose/files/apache-kafka-roles.yaml")?;
    project.wait(&[("controller-1", "healthy"), ("broker-2", "healthy"), ("broker-3", "healthy")])?;
    let mut client = Client::new("localhost:29092,localhost:39092");
    ensure!(client.topology()?.brokers() == [2, 3], "two brokers");
    let listed = project.exec(
        "broker-2",
        &["kafka-topics", "--bootstrap-server", "broker-3:19092", "--create", "--topic", "counted"],
    )?;
    ensure!(listed.contains("Created topic counted."), "{listed}");
    let described = project.exec(
        "broker-3",
        &["kafka-topics.sh", "--bootstrap-server", "broker-2:19092", "--describe", "--topic", "counted"],
    )?;
    ensure!(count(&described, "Partition: ") == 4, "KAFKA_CFG_NUM_PARTITIONS counts:\n{described}");
    Ok(())
}
