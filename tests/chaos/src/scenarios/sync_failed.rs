//! A sync of a log fails once on a leader: what it could not write may never be acknowledged. The directory goes offline,
//! others lead, and the node returns after a restart.

use std::time::Duration;

use anyhow::{Result, ensure};
use klamm_harness::until;

use super::Scenario;
use super::power_lost::Disks;
use crate::bed::Bed;
use crate::clock::Moment;
use crate::forgetful::store::FailingSyncs;
use crate::run::Run;
use crate::workload::Setting;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "sync-failed",
    fault: "fsync error once: gap of the partitions that the node led",
    bar: "no crash; goes offline; nothing acknowledged lost",
    limit: None,
    slice: 3,
    whole: 50,
    alone: false,
    run,
};

fn run(run: &mut Run) -> Result<()> {
    let mut disks = Disks::default();
    let cluster = disks.start(run.spec(3))?;
    let mut bed = Bed::start(run, cluster, run.setting(Setting::default()))?;
    for _ in 0..run.count {
        bed.any_moment(run)?;
        let (victim, led) = bed.leader(run)?;
        let offline = bed.gave_up(victim)?;
        let mark = bed.mark();
        let failed = disks.of(victim)?.store().counts.failed;
        disks.of(victim)?.store().failing = Some(FailingSyncs { ending: ".log", remaining: 1 });
        until(Duration::from_secs(10), "a sync fails", || {
            Ok((disks.of(victim)?.store().counts.failed > failed).then_some(()))
        })?;
        let fault = Moment::now();
        let gap = bed.gap(mark, fault, &led)?;
        let said = bed.gave_up(victim)? > offline;
        ensure!(said, "{victim} did not say that its directory is offline");
        run.injected(gap);
        if bed.cluster.is_running(victim) {
            bed.cluster.kill(victim)?;
        }
        disks.lose_power(victim, run)?;
        bed.cluster.restart(victim)?;
        bed.heal(run)?;
    }
    bed.finish(run)
}

impl Bed {
    /// How often the node has said that it gives up a log: one of records takes its directory offline, that of the metadata
    /// stops the voter.
    fn gave_up(&self, id: i32) -> Result<usize> {
        Ok(self.logged(id, "log directory offline")? + self.logged(id, "; this voter stops")?)
    }

    /// How often a node has logged something.
    pub(super) fn logged(&self, id: i32, what: &str) -> Result<usize> {
        let log = std::fs::read_to_string(self.cluster.log(id)?)?;
        Ok(log.lines().filter(|line| line.contains(what)).count())
    }
}
