//! The foreign clients of `tests/clients` against a cluster of three, or what they need: one test a suite, named like it.

use anyhow::Result;
use klamm_harness::{Cluster, ClusterSpec, suite};

fn run(name: &str, arguments: &[&str]) -> Result<()> {
    let cluster = Cluster::start(3)?;
    let passed = suite::run(name, arguments, &cluster.bootstrap())?;
    println!("{passed} cases passed");
    cluster.succeed();
    Ok(())
}

#[test]
fn kcat() -> Result<()> {
    run("kcat", &[])
}

#[test]
fn confluent_kafka() -> Result<()> {
    run("confluent-kafka", &[])
}

#[test]
fn kafka_python() -> Result<()> {
    run("kafka-python", &[])
}

#[test]
fn kafkajs() -> Result<()> {
    run("kafkajs", &[])
}

#[test]
fn franz_go() -> Result<()> {
    run("franz-go", &[])
}

#[test]
fn java_clients() -> Result<()> {
    run("java", &["clients"])
}

#[test]
fn java_tools() -> Result<()> {
    run("java", &["tools"])
}

#[test]
fn java_moves() -> Result<()> {
    let selector = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
    let spec = ClusterSpec::new(4).property("replica.selector.class", selector);
    let cluster = (0..4).fold(spec, |spec, id| spec.property_of(id, "broker.rack", &format!("rack-{id}")));
    let cluster = cluster.start()?;
    let passed = suite::run("java", &["moves"], &cluster.bootstrap())?;
    println!("{passed} cases passed");
    cluster.succeed();
    Ok(())
}

#[test]
fn spring() -> Result<()> {
    run("spring", &[])
}

#[test]
fn exchange() -> Result<()> {
    run("exchange", &[])
}
