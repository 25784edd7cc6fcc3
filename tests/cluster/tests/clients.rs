//! The foreign clients of `tests/clients` against a cluster of three: one test a suite, named like it.

use anyhow::Result;
use klamm_harness::{Cluster, suite};

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
fn spring() -> Result<()> {
    run("spring", &[])
}

#[test]
fn exchange() -> Result<()> {
    run("exchange", &[])
}
