//! Every link between brokers, and between them and the clients, loses packets and holds the others back, so that they
//! overtake each other: slow, but nobody is taken for dead.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Scenario;
use super::partitioned::start;
use crate::bed::Bed;
use crate::clock::Moment;
use crate::run::Run;
use crate::wire::Wire;
use crate::wire::link::Link;
use crate::workload::{Setting, TOPIC};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "lossy",
    fault: "5 % loss, 50 ± 20 ms delay, 1 % duplicates on every link for 5 s: gap between acknowledged sends",
    bar: "no leader change",
    limit: None,
    slice: 1,
    whole: 50,
    alone: true,
    run,
};

const LINK: Link = Link {
    loss: 0.05,
    delay: Duration::from_millis(50),
    jitter: Duration::from_millis(20),
    duplicates: 0.01,
};
const LASTS: Duration = Duration::from_secs(5);

fn run(run: &mut Run) -> Result<()> {
    let ids = [0, 1, 2];
    let wire = Wire::of(&ids)?;
    let cluster = start(&wire, &ids, run)?;
    let setting = Setting { launcher: wire.clients(), ..Setting::default() };
    let partitions: Vec<i32> = (0..setting.partitions).collect();
    let mut bed = Bed::start(run, cluster, run.setting(setting))?;
    let mut elections = 0;
    for _ in 0..run.count {
        let before = leaderships(&mut bed, &partitions)?;
        let counts = wire.withheld();
        spoil(&wire, &ids)?;
        let (fault, mark) = (Moment::now(), bed.clients.history().len());
        bed.clients.until(Duration::from_secs(90), "sends go on over lossy links", mark, |lines| {
            lines
                .acknowledged()
                .any(|(send, _)| send.at > fault && send.at.since(fault) > LASTS)
                .then_some(())
        })?;
        let gap = bed.longest_gap_since(mark, fault, &partitions);
        let after = leaderships(&mut bed, &partitions)?;
        if before.0 != after.0 {
            run.row
                .problems
                .push(format!("leaders and their epochs went from {:?} to {:?}", before.0, after.0));
        }
        elections += usize::from(before.1 != after.1);
        let now = wire.withheld();
        ensure!(
            now.lost > counts.lost && now.doubled > counts.doubled,
            "no packet was lost, or none sent twice"
        );
        run.injected(gap);
        wire.heal();
        bed.heal(run)?;
    }
    let said = format!("{elections} times another controller was active afterwards");
    // What a debug build's controllers miss on two cores says little: the whole judges it.
    match elections {
        1.. if run.plan.whole => run.row.problems.push(said),
        _ => run.row.notes.push(said),
    }
    let all = wire.withheld();
    run.row
        .notes
        .push(format!("{} packets lost, {} held back, {} sent twice", all.lost, all.delayed, all.doubled));
    bed.finish(run)
}

/// Makes every link lossy.
fn spoil(wire: &Wire, ids: &[i32]) -> Result<()> {
    for from in ids {
        ids.iter().filter(|to| *to != from).try_for_each(|to| wire.set(*from, *to, LINK))?;
        wire.set_clients(*from, LINK)?;
    }
    Ok(())
}

/// Leader and leader epoch of every partition, and the active controller.
fn leaderships(bed: &mut Bed, partitions: &[i32]) -> Result<(Vec<(i32, i32)>, i32)> {
    let topology = bed.cluster.client().topology()?;
    let leaders =
        partitions.iter().map(|p| Ok((topology.leader(TOPIC, *p)?, topology.leader_epoch(TOPIC, *p)?)));
    Ok((leaders.collect::<Result<_>>()?, bed.cluster.controller()?))
}
