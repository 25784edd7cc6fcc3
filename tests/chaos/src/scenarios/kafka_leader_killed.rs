//! Apache Kafka with its defaults, and a broker of it that leads partitions gets SIGKILL: the row that ours stands beside, and
//! the same clients and properties on a broker that is not ours.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use klamm_harness::{Client, until};

use super::Scenario;
use crate::clock::Moment;
use crate::gaps;
use crate::history::Lines;
use crate::kafka::Kafka;
use crate::properties;
use crate::run::Run;
use crate::workload::{Setting, TOPIC, Workload};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "kafka-killed",
    fault: "for comparison, Apache Kafka 4.3.1 with its defaults: leader SIGKILL",
    bar: "–",
    limit: None,
    slice: 0,
    whole: 10,
    alone: true,
    run,
};

const PATIENCE: Duration = Duration::from_secs(90);

fn run(run: &mut Run) -> Result<()> {
    let mut kafka = Kafka::start(&run.plan.class_path)?;
    let mut client = Client::new(&kafka.bootstrap()?);
    let setting = Setting::default();
    client.create_topic(TOPIC, setting.partitions, &[])?;
    let log = run.plan.scratch.join("kafka-clients.log");
    let mut clients = Workload::start(&run.plan.class_path, &kafka.bootstrap()?, &setting, log)?;
    whole(&mut client, setting.partitions)?;
    clients.command("produce")?;
    clients.until(PATIENCE, "sends end", 0, |lines| (lines.acknowledged().count() > 600).then_some(()))?;
    for _ in 0..run.count {
        let (controller, topology) = (client.quorum_leader()?, client.topology()?);
        let leads = |id: i32| {
            (0..setting.partitions)
                .filter(|p| topology.leader(TOPIC, *p).is_ok_and(|l| l == id))
                .collect::<Vec<_>>()
        };
        let leaders: Vec<i32> = (0..3).filter(|id| *id != controller && !leads(*id).is_empty()).collect();
        let victim = run.choose(&leaders).context("a leader that is not the controller")?;
        let mark = clients.history().len().saturating_sub(6_000);
        let fault = Moment::now();
        kafka.kill(victim)?;
        let gap = clients.until(PATIENCE, "all is served again", mark, |lines| {
            let gaps = leads(victim).into_iter().map(|p| gaps::of_partition(lines, p, fault));
            gaps.collect::<Option<Vec<_>>>()?.into_iter().max()
        })?;
        run.injected(gap);
        kafka.restart(victim)?;
        whole(&mut client, setting.partitions)?;
    }
    clients.command("stop")?;
    ensure!(clients.command("read")? == 0, "the final read did not get through");
    let lines = clients.finish()?;
    run.row.acknowledged = Lines(&lines).acknowledged().count();
    run.row.problems.extend(properties::violations(Lines(&lines)));
    Ok(())
}

/// Waits until every partition has its full ISR.
fn whole(client: &mut Client, partitions: i32) -> Result<()> {
    until(PATIENCE, "every ISR is full", || {
        let topology = client.topology()?;
        for partition in 0..partitions {
            ensure!(topology.isr(TOPIC, partition)?.len() == 3, "partition {partition} lacks a replica");
        }
        Ok(Some(()))
    })
}
