//! A broker that leads partitions gets SIGKILL: another leads within half a second, and nothing acknowledged is lost.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Scenario;
use crate::bed::Bed;
use crate::clock::Moment;
use crate::run::Run;
use crate::workload::Setting;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "leader-killed",
    fault: "leader SIGKILL: gap between acknowledged sends",
    bar: "p99 ≤ 500 ms, nothing lost",
    limit: Some(Duration::from_millis(500)),
    slice: 4,
    whole: 50,
    alone: true,
    run,
};

fn run(run: &mut Run) -> Result<()> {
    let mut bed = Bed::start(run, run.spec(3).start()?, run.setting(Setting::default()))?;
    for _ in 0..run.count {
        let (victim, led) = bed.leader(run)?;
        let mark = bed.mark();
        let fault = Moment::now();
        bed.cluster.kill(victim)?;
        let gap = bed.gap(mark, fault, &led)?;
        ensure!(!bed.cluster.is_running(victim), "{victim} still runs");
        run.injected(gap);
        bed.cluster.restart(victim)?;
        bed.heal(run)?;
    }
    bed.finish(run)
}
