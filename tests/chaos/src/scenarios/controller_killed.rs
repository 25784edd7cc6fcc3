//! The active controller gets SIGKILL: another decides metadata changes within three quarters of a second, and clients that
//! produce and consume notice nothing.

use std::time::Duration;

use anyhow::Result;
use klamm_harness::Roles;

use super::Scenario;
use crate::bed::Bed;
use crate::clock::Moment;
use crate::gaps;
use crate::run::Run;
use crate::workload::Setting;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "controller-killed",
    fault: "active controller SIGKILL: next metadata change",
    bar: "p99 ≤ 750 ms, no error of the data path",
    limit: Some(Duration::from_millis(750)),
    slice: 3,
    whole: 50,
    alone: true,
    run,
};

fn run(run: &mut Run) -> Result<()> {
    let cluster = run.spec(3).roles(Roles::Separate { controllers: 3 }).start()?;
    let mut bed = Bed::start(run, cluster, run.setting(Setting::default()))?;
    bed.clients.command("change")?;
    let retries = bed.clients.command("retries")?;
    for _ in 0..run.count {
        bed.changed(Moment::now())?;
        let victim = bed.cluster.controller()?;
        let fault = Moment::now();
        bed.cluster.kill(victim)?;
        let gap = bed.changed(fault)?;
        run.injected(gap);
        bed.cluster.restart(victim)?;
        bed.heal(run)?;
    }
    let retried = bed.clients.command("retries")? - retries;
    if retried > 0 {
        run.row.problems.push(format!("{retried} sends met an error of the data path and were tried again"));
    }
    bed.finish(run)
}

impl Bed {
    /// The time from a fault to the end of the first metadata change that was asked for after it.
    ///
    /// # Errors
    /// None is done in time.
    pub(super) fn changed(&mut self, fault: Moment) -> Result<Duration> {
        let mark = self.mark();
        self.clients.until(Duration::from_secs(60), "a metadata change is done", mark, |lines| {
            gaps::of_changes(lines, fault)
        })
    }
}
