//! A majority of the controllers gets SIGKILL and stays away: producing and consuming go on, and once it is back metadata
//! changes, too. The first is away for long, as an outage may be; the others show that it is the same whoever they are.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use klamm_harness::Roles;
use klamm_wire::ErrorCode;

use super::Scenario;
use crate::bed::Bed;
use crate::clock::Moment;
use crate::run::Run;
use crate::workload::Setting;

/// How long every majority but the first is away.
const BRIEF: Duration = Duration::from_secs(4);
/// Of so many one is also asked for a topic while it is away: the refusal takes longer than all else.
const ASKED_OF: usize = 10;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "controllers-gone",
    fault: "controller majority gone: gap between acknowledged sends meanwhile",
    bar: "produce and consume go on for 10 minutes",
    limit: None,
    slice: 1,
    whole: 50,
    alone: false,
    run,
};

fn run(run: &mut Run) -> Result<()> {
    let long = Duration::from_secs(if run.plan.whole { 600 } else { 15 });
    let cluster = run.spec(3).roles(Roles::Separate { controllers: 3 }).start()?;
    let mut bed = Bed::start(run, cluster, run.setting(Setting::default()))?;
    for number in 0..run.count {
        let gone = majority(run, &mut bed, number == 0)?;
        let away = if number == 0 { long } else { BRIEF };
        let (fault, start, mark) = (Moment::now(), Instant::now(), bed.mark());
        gone.iter().try_for_each(|id| bed.cluster.kill(*id))?;
        while start.elapsed() < away {
            bed.progress(50)?;
        }
        let partitions: Vec<i32> = (0..6).collect();
        let gap = bed.longest_gap_since(mark, fault, &partitions);
        if number.is_multiple_of(ASKED_OF) {
            let refused = bed.cluster.client().try_create_topic(&format!("impossible-{number}"), 1, &[]);
            ensure!(!refused.is_ok_and(ErrorCode::is_none), "a minority of controllers created a topic");
        }
        run.injected(gap);
        gone.iter().try_for_each(|id| bed.cluster.restart(*id))?;
        bed.heal(run)?;
        // A broker whose controller goes away with the answer asks the next one: what it asked for is there already then.
        let created = bed.cluster.client().try_create_topic(&format!("possible-again-{number}"), 1, &[])?;
        let is_there = created.is_none() || created == ErrorCode::TopicAlreadyExists;
        ensure!(is_there, "creating possible-again-{number}: {}", created.name());
    }
    let (long, brief, others) = (long.as_secs(), BRIEF.as_secs(), run.count.saturating_sub(1));
    run.row.notes.push(format!("1 of {long} s, {others} of {brief} s"));
    bed.finish(run)
}

/// Two of the three controllers: the active one and another, or, unless `with_active`, perhaps both others.
fn majority(run: &mut Run, bed: &mut Bed, with_active: bool) -> Result<[i32; 2]> {
    let active = bed.cluster.controller()?;
    let ids = bed.cluster.ids().into_iter();
    let others: Vec<i32> = ids.filter(|id| *id >= 100 && *id != active).collect();
    let [one, other] = others[..] else { bail!("the controllers but {active} are {others:?}") };
    let mut pairs = vec![[active, one], [active, other]];
    if !with_active {
        pairs.push([one, other]);
    }
    run.choose(&pairs).context("a pair")
}
