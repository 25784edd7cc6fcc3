//! The power of one node fails at any moment, with whatever it had not synced: nothing acknowledged is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use klamm_harness::{Cluster, ClusterSpec};
use rand::RngExt;

use super::Scenario;
use crate::bed::Bed;
use crate::clock::Moment;
use crate::forgetful::ForgetfulDisk;
use crate::forgetful::store::Loss;
use crate::run::Run;
use crate::workload::Setting;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "power-lost-one",
    fault: "power loss of one node: gap of the partitions that it led",
    bar: "nothing acknowledged lost, 200 timings",
    limit: None,
    slice: 5,
    whole: 200,
    alone: false,
    run,
};

/// The disks of a cluster, by node. Declared before the cluster, so that they outlive its processes.
#[derive(Default)]
pub(super) struct Disks(BTreeMap<i32, ForgetfulDisk>);

impl Disks {
    /// Starts a cluster whose data directories are forgetful disks.
    pub(super) fn start(&mut self, spec: ClusterSpec) -> Result<Cluster> {
        let mut cluster = spec.prepare()?;
        for id in cluster.ids() {
            self.0.insert(id, ForgetfulDisk::mount(&cluster.data_dir(id)?)?);
            cluster.restart(id)?;
        }
        cluster.wait_ready()?;
        Ok(cluster)
    }

    /// The disk of a node.
    pub(super) fn of(&mut self, id: i32) -> Result<&mut ForgetfulDisk> {
        self.0.get_mut(&id).with_context(|| format!("node {id} has no disk"))
    }

    /// Takes the power from a node whose process is dead; how many changes are gone.
    pub(super) fn lose_power(&mut self, id: i32, run: &mut Run) -> Result<usize> {
        let loss = if run.random.random_bool(0.5) { Loss::Everything } else { Loss::Some };
        let disk = self.of(id)?;
        let before = disk.store().counts.forgotten;
        disk.lose_power(loss, &mut run.random)?;
        let after = disk.store().counts.forgotten;
        Ok(after - before)
    }
}

fn run(run: &mut Run) -> Result<()> {
    let mut disks = Disks::default();
    let cluster = disks.start(run.spec(3))?;
    let mut bed = Bed::start(run, cluster, run.setting(Setting::default()))?;
    let mut forgotten = 0;
    for _ in 0..run.count {
        bed.any_moment(run)?;
        let victim = run.choose(&bed.cluster.broker_ids()).context("a broker")?;
        let led = bed.led_by(victim)?;
        let mark = bed.mark();
        let fault = Moment::now();
        bed.cluster.kill(victim)?;
        let gone = disks.lose_power(victim, run)?;
        ensure!(gone > 0, "the disk of {victim} had nothing to forget");
        forgotten += gone;
        let gap = bed.gap(mark, fault, &led)?;
        run.injected_under(&led, gap);
        bed.cluster.restart(victim)?;
        bed.heal(run)?;
    }
    run.row.notes.push(format!("{forgotten} changes of files and folders that were not synced are gone"));
    bed.finish(run)
}

impl Bed {
    /// Lets a number of sends, chosen at random, end: what comes next comes at any moment.
    pub(super) fn any_moment(&mut self, run: &mut Run) -> Result<()> {
        let sends = run.random.random_range(1..200);
        let (from, mark) = (Moment::now(), self.clients.history().len());
        self.clients.until(Duration::from_secs(60), "some sends have ended", mark, |lines| {
            (lines.acknowledged().filter(|(send, _)| send.end > from).count() >= sends).then_some(())
        })
    }
}
