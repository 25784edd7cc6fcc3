//! A leader is killed, one bit of what it had not checkpointed changes, and it is started again before anybody has noticed: its
//! recovery cuts its log, and it must not make the others cut theirs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use klamm_harness::until;
use rand::RngExt;

use super::Scenario;
use crate::bed::Bed;
use crate::run::Run;
use crate::workload::{Setting, TOPIC};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "leader-rotten",
    fault: "leader SIGKILL, one bit of its log flipped, started again at once",
    bar: "the damage stays where it is: nothing lost",
    limit: None,
    slice: 3,
    whole: 50,
    alone: false,
    run,
};

fn run(run: &mut Run) -> Result<()> {
    let mut bed = Bed::start(run, run.spec(3).start()?, run.setting(Setting::default()))?;
    for _ in 0..run.count {
        bed.any_moment(run)?;
        let (victim, led) = bed.leader(run)?;
        let partition = run.choose(&led).context("a partition")?;
        bed.cluster.kill(victim)?;
        let dir = bed.cluster.data_dir(victim)?.join(format!("{TOPIC}-{partition}"));
        flip_last_half(&dir.join("00000000000000000000.log"), run)?;
        let cuts = bed.logged(victim, "cut: Some(")?;
        bed.cluster.restart(victim)?;
        bed.cluster.wait_ready_of(victim)?;
        let is_cut = || Ok((bed.logged(victim, "cut: Some(")? > cuts).then_some(()));
        until(std::time::Duration::from_secs(5), "recovery finds the damage", is_cut)?;
        run.row.injected += 1;
        bed.heal(run)?;
    }
    bed.finish(run)
}

fn flip_last_half(segment: &Path, run: &mut Run) -> Result<()> {
    let mut bytes = fs::read(segment)?;
    ensure!(bytes.len() > 1, "{} is empty", segment.display());
    let at = run.random.random_range(bytes.len() / 2..bytes.len());
    bytes[at] ^= 1;
    Ok(fs::write(segment, bytes)?)
}
