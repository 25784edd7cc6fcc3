//! Five nodes, between some of which no packet passes, in one direction or in both: nothing is lost, and once all is whole
//! again, everybody is there within five seconds.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use klamm_harness::Cluster;
use rand::seq::SliceRandom;

use super::Scenario;
use super::leader_stopped::NOTICES_SILENCE;
use crate::bed::Bed;
use crate::clock::Moment;
use crate::run::Run;
use crate::wire::Wire;
use crate::wire::link::Link;
use crate::workload::Setting;

const LIMIT: Option<Duration> = Some(Duration::from_secs(5));
const BAR: &str = "nothing lost, converge ≤ 5 s after healing";

pub(super) const ONE_WAY: Scenario = Scenario {
    name: "one-way",
    fault: "one direction cut (a leader hears nobody, is not heard, or does not reach the controller or one follower): time to heal",
    bar: BAR,
    limit: LIMIT,
    slice: 2,
    whole: 52,
    alone: false,
    run: |run| run_cuts(run, 3, one_way),
};

pub(super) const BRIDGE: Scenario = Scenario {
    name: "bridge",
    fault: "two halves joined by one node: time to heal",
    bar: BAR,
    limit: LIMIT,
    slice: 1,
    whole: 50,
    alone: false,
    run: |run| run_cuts(run, 5, bridge),
};

pub(super) const MAJORITY: Scenario = Scenario {
    name: "majority",
    fault: "majority and minority apart: time to heal",
    bar: BAR,
    limit: LIMIT,
    slice: 1,
    whole: 50,
    alone: false,
    run: |run| run_cuts(run, 5, majority),
};

/// Pairs of which the first does not reach the second.
type Cuts = Vec<(i32, i32)>;

/// How many sends must end while a fault lasts, of the partitions that can be served.
const SENDS: usize = 100;
/// How long a fault lasts, at least: longer than every lease.
const LASTS: Duration = Duration::from_secs(3);

fn run_cuts(run: &mut Run, nodes: i32, cuts: fn(&mut Bed, &mut Run) -> Result<Cuts>) -> Result<()> {
    let ids: Vec<i32> = (0..nodes).collect();
    run.reaches_zombies = true;
    let wire = Wire::of(&ids)?;
    let cluster = start(&wire, &ids, run)?;
    let mut bed = Bed::start(run, cluster, setting(&wire, run))?;
    let mut unserved = 0;
    for _ in 0..run.count {
        let cuts = cuts(&mut bed, run)?;
        let lost = wire.withheld().lost;
        let (fault, mark) = (Moment::now(), bed.clients.history().len());
        cuts.iter().try_for_each(|(from, to)| wire.set(*from, *to, Link::CUT))?;
        // Some partitions may not be served meanwhile, and that is right.
        bed.clients.until(Duration::from_secs(60), "sends end under the cuts", mark, |lines| {
            let under = || lines.acknowledged().filter(|(send, _)| send.at > fault);
            let lasted = under().last()?.0.end.since(fault) > LASTS;
            (lasted && under().count() > SENDS).then_some(())
        })?;
        let partitions: Vec<i32> = (0..6).collect();
        unserved +=
            partitions.iter().filter(|p| bed.longest_gap_since(mark, fault, &[**p]).is_zero()).count();
        ensure!(wire.withheld().lost > lost, "no packet was withheld");
        wire.heal();
        let took = bed.converge()?;
        bed.progress(1)?;
        run.row.convergence.push(took);
        run.injected(took);
    }
    run.row.notes.push(format!(
        "{} packets were withheld; {unserved} times a partition was not served meanwhile",
        wire.withheld().lost
    ));
    bed.finish(run)
}

/// A cluster whose nodes each have a machine.
pub(super) fn start(wire: &Wire, ids: &[i32], run: &Run) -> Result<Cluster> {
    let mut spec = run.spec(i32::try_from(ids.len())?);
    for id in ids {
        spec = spec.place(*id, wire.place(*id)?);
    }
    spec.start()
}

/// Clients on a machine of theirs that notice silence.
pub(super) fn setting(wire: &Wire, run: &Run) -> Setting {
    let setting =
        Setting { request_timeout: NOTICES_SILENCE, launcher: wire.clients(), ..Setting::default() };
    run.setting(setting)
}

fn one_way(bed: &mut Bed, run: &mut Run) -> Result<Cuts> {
    let (leader, _) = bed.leader(run)?;
    let controller = bed.cluster.controller()?;
    let others: Vec<i32> = bed.cluster.broker_ids().into_iter().filter(|id| *id != leader).collect();
    let follower = run.choose(&others).context("a follower")?;
    let shapes = [
        others.iter().map(|other| (*other, leader)).collect(),
        others.iter().map(|other| (leader, *other)).collect(),
        vec![(leader, controller)],
        vec![(leader, follower)],
    ];
    run.choose::<Cuts>(&shapes).context("a shape")
}

fn bridge(bed: &mut Bed, run: &mut Run) -> Result<Cuts> {
    let mut ids = bed.cluster.broker_ids();
    ids.shuffle(&mut run.random);
    Ok(apart(&ids[..2], &ids[3..]))
}

fn majority(bed: &mut Bed, run: &mut Run) -> Result<Cuts> {
    let mut ids = bed.cluster.broker_ids();
    ids.shuffle(&mut run.random);
    Ok(apart(&ids[..2], &ids[2..]))
}

/// No packet passes between these and those.
fn apart(these: &[i32], those: &[i32]) -> Cuts {
    these.iter().flat_map(|a| those.iter().flat_map(|b| [(*a, *b), (*b, *a)])).collect()
}
