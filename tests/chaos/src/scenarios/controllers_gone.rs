//! The majority of the controllers gets SIGKILL and stays away: producing and consuming go on, and once they are back
//! metadata changes, too.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use klamm_harness::Roles;

use super::Scenario;
use crate::bed::Bed;
use crate::clock::Moment;
use crate::run::Run;
use crate::workload::Setting;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "controllers-gone",
    fault: "controller majority gone: gap between acknowledged sends meanwhile",
    bar: "produce and consume go on for 10 minutes",
    limit: None,
    slice: 1,
    whole: 1,
    alone: false,
    run,
};

fn run(run: &mut Run) -> Result<()> {
    let away = Duration::from_secs(if run.plan.whole { 600 } else { 15 });
    let cluster = run.spec(3).roles(Roles::Separate { controllers: 3 }).start()?;
    let mut bed = Bed::start(run, cluster, run.setting(Setting::default()))?;
    for _ in 0..run.count {
        let active = bed.cluster.controller()?;
        let controllers: Vec<i32> = bed.cluster.ids().into_iter().filter(|id| *id >= 100).collect();
        let others: Vec<i32> = controllers.into_iter().filter(|id| *id != active).collect();
        let gone = [Some(active), run.choose(&others)].into_iter().flatten().collect::<Vec<_>>();
        let (fault, start, mark) = (Moment::now(), Instant::now(), bed.mark());
        gone.iter().try_for_each(|id| bed.cluster.kill(*id))?;
        while start.elapsed() < away {
            bed.progress(50)?;
        }
        let partitions: Vec<i32> = (0..6).collect();
        let gap = bed.longest_gap_since(mark, fault, &partitions);
        let refused = bed.cluster.client().try_create_topic("impossible", 1, &[]);
        ensure!(
            !refused.is_ok_and(klamm_wire::ErrorCode::is_none),
            "a minority of controllers created a topic"
        );
        run.injected(gap);
        gone.iter().try_for_each(|id| bed.cluster.restart(*id))?;
        bed.heal(run)?;
        bed.cluster.client().create_topic("possible-again", 1, &[])?;
    }
    bed.finish(run)
}
