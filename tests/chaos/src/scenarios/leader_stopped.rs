//! A broker that leads partitions gets SIGSTOP, and SIGCONT once another leads: it closes nothing, says nothing, and may
//! acknowledge nothing when it wakes up in the past.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Scenario;
use crate::bed::Bed;
use crate::clock::Moment;
use crate::run::Run;
use crate::workload::Setting;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "leader-stopped",
    fault: "leader silent (SIGSTOP, then SIGCONT)",
    bar: "p99 ≤ 1.5 s, no zombie acknowledgement",
    limit: Some(Duration::from_millis(1_500)),
    slice: 3,
    whole: 50,
    alone: true,
    run,
};

/// `request.timeout.ms` of clients that shall notice silence before a second has passed.
pub(super) const NOTICES_SILENCE: Duration = Duration::from_millis(500);

fn run(run: &mut Run) -> Result<()> {
    let setting = Setting { request_timeout: NOTICES_SILENCE, ..Setting::default() };
    let mut bed = Bed::start(run, run.spec(3).start()?, run.setting(setting))?;
    for _ in 0..run.count {
        let (victim, led) = bed.leader(run)?;
        let mark = bed.mark();
        let fault = Moment::now();
        bed.cluster.pause(victim)?;
        ensure!(is_stopped(bed.cluster.pid(victim)?)?, "{victim} is not stopped");
        let gap = bed.gap(mark, fault, &led)?;
        run.injected(gap);
        bed.cluster.resume(victim)?;
        bed.heal(run)?;
    }
    bed.finish(run)
}

/// Whether the system says that a process is stopped, which it says as soon as the signal is delivered.
fn is_stopped(pid: u32) -> Result<bool> {
    klamm_harness::until(Duration::from_secs(1), "the process is stopped", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with('T'));
        Ok(state.filter(|stopped| *stopped))
    })
}
