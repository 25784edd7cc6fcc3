//! A machine whose broker leads partitions vanishes from the network: nothing comes from it and nothing reaches it, and
//! nobody is told.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Scenario;
use super::partitioned::{setting, start};
use crate::bed::Bed;
use crate::clock::Moment;
use crate::run::Run;
use crate::wire::Wire;
use crate::wire::link::Link;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "leader-isolated",
    fault: "leader silent (isolated from everybody)",
    bar: "p99 ≤ 1.5 s, no zombie acknowledgement",
    limit: Some(Duration::from_millis(1_500)),
    slice: 2,
    whole: 50,
    alone: true,
    run,
};

fn run(run: &mut Run) -> Result<()> {
    let ids = [0, 1, 2];
    let wire = Wire::of(&ids)?;
    let cluster = start(&wire, &ids, run)?;
    let mut bed = Bed::start(run, cluster, setting(&wire, run))?;
    for _ in 0..run.count {
        let (victim, led) = bed.leader(run)?;
        let lost = wire.withheld().lost;
        let mark = bed.mark();
        let fault = Moment::now();
        for other in ids.into_iter().filter(|id| *id != victim) {
            wire.set(victim, other, Link::CUT)?;
            wire.set(other, victim, Link::CUT)?;
        }
        wire.set_clients(victim, Link::CUT)?;
        let gap = bed.gap(mark, fault, &led)?;
        ensure!(wire.withheld().lost > lost, "no packet was withheld");
        run.injected(gap);
        wire.heal();
        bed.heal(run)?;
    }
    bed.finish(run)
}
