//! The power of all nodes fails at once: nothing acknowledged is lost, as nothing is acknowledged before it is synced.

use anyhow::{Result, ensure};

use super::Scenario;
use super::power_lost::Disks;
use crate::bed::Bed;
use crate::clock::Moment;
use crate::run::Run;
use crate::workload::Setting;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "power-lost-everywhere",
    fault: "power loss of all nodes: gap until all is served again",
    bar: "nothing acknowledged lost, 100 timings",
    limit: None,
    slice: 3,
    whole: 100,
    alone: false,
    run,
};

fn run(run: &mut Run) -> Result<()> {
    let mut disks = Disks::default();
    let cluster = disks.start(run.spec(3))?;
    let setting = run.setting(Setting::default());
    let partitions: Vec<i32> = (0..setting.partitions).collect();
    let mut bed = Bed::start(run, cluster, setting)?;
    let mut forgotten = 0;
    for _ in 0..run.count {
        bed.any_moment(run)?;
        let mark = bed.mark();
        let fault = Moment::now();
        bed.cluster.kill_all()?;
        let mut gone = 0;
        for id in bed.cluster.ids() {
            gone += disks.lose_power(id, run)?;
        }
        ensure!(gone > 0, "no disk had anything to forget");
        forgotten += gone;
        for id in bed.cluster.ids() {
            bed.cluster.restart(id)?;
        }
        let gap = bed.gap(mark, fault, &partitions)?;
        run.injected(gap);
        bed.heal(run)?;
    }
    run.row.notes.push(format!("{forgotten} changes of files and folders that were not synced are gone"));
    bed.finish(run)
}
