//! The disk of a leader, a small tmpfs, is filled to the last byte, and emptied again: it refuses with the right error, others
//! go on, and nobody has to restart anything.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use klamm_harness::{Cluster, ClusterSpec, ProduceError, until};
use klamm_records::BatchBuilder;
use klamm_wire::ErrorCode;

use super::Scenario;
use crate::bed::Bed;
use crate::clock::Moment;
use crate::run::Run;
use crate::shell;
use crate::workload::{Setting, TOPIC};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "disk-full",
    fault: "disk full: time from space to acknowledged sends again",
    bar: "no crash; refused with KAFKA_STORAGE_ERROR; resumes without a restart",
    limit: Some(Duration::from_secs(10)),
    slice: 2,
    whole: 50,
    alone: false,
    run,
};

/// Size of the disks, enough for what a run writes.
const SIZE: &str = "size=512m";
const REFUSES: &str = "appends are refused until there is space";

fn run(run: &mut Run) -> Result<()> {
    run.is_quiet = true;
    let cluster = start(run.spec(3))?;
    let mut bed = Bed::start(run, cluster, run.setting(Setting::default()))?;
    for _ in 0..run.count {
        let (victim, led) = bed.leader(run)?;
        let ballast = bed.cluster.data_dir(victim)?.join("ballast");
        let said = fs::read_to_string(bed.cluster.log(victim)?)?.len();
        let refuses = until(
            Duration::from_secs(20),
            "the broker refuses appends to a partition that it leads",
            || {
                fill(&ballast)?;
                let log = fs::read_to_string(bed.cluster.log(victim)?)?;
                Ok(led.iter().copied().find(|p| is_refused(log.get(said..).unwrap_or_default(), *p)))
            },
        )?;
        expect_refusal(&bed, victim, refuses)?;
        ensure!(bed.cluster.is_running(victim), "{victim} has ended");
        fs::remove_file(&ballast)?;
        let (space, mark) = (Moment::now(), bed.mark());
        let again =
            bed.clients.until(Duration::from_secs(90), "sends are acknowledged again", mark, |lines| {
                let first = |p| {
                    lines.acknowledged().find(|(s, _)| s.partition == p && s.at > space).map(|(s, _)| s.end)
                };
                led.iter().map(|p| first(*p)).collect::<Option<Vec<_>>>()?.into_iter().max()
            })?;
        run.injected(again.since(space));
        bed.heal(run)?;
        ensure!(bed.cluster.is_running(victim), "{victim} has ended");
    }
    bed.finish(run)
}

/// A cluster whose data directories are small disks.
fn start(spec: ClusterSpec) -> Result<Cluster> {
    let mut cluster = spec.prepare()?;
    for id in cluster.ids() {
        let data = cluster.data_dir(id)?;
        fs::create_dir_all(&data)?;
        shell::run("mount", &["-t", "tmpfs", "-o", SIZE, "none", &data.display().to_string()])?;
        cluster.restart(id)?;
    }
    cluster.wait_ready()?;
    Ok(cluster)
}

/// Writes until there is no space left.
fn fill(ballast: &Path) -> Result<()> {
    let mut file = File::options().create(true).append(true).open(ballast)?;
    for size in [1 << 20, 4_096] {
        loop {
            match file.write(&vec![0; size]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Whether a log says that appends to a partition are refused. Others may still go on: the last page of a file has some space
/// left on a disk that has none.
fn is_refused(log: &str, partition: i32) -> bool {
    let fields = format!("topic={TOPIC} partition={partition} ");
    log.lines().any(|line| line.contains(REFUSES) && line.contains(&fields))
}

/// Asks the broker itself, as clients hide what they try again.
fn expect_refusal(bed: &Bed, broker: i32, partition: i32) -> Result<()> {
    let mut client = bed.cluster.client();
    if client.topology()?.leader(TOPIC, partition)? != broker {
        return Ok(());
    }
    let mut builder = BatchBuilder::new(0);
    builder.push(0, None, Some(b"-1:refused"), &[])?;
    match client.produce_batch(TOPIC, partition, -1, builder.finish()?.freeze()) {
        Err(ProduceError::Refused(ErrorCode::KafkaStorageError)) => Ok(()),
        other => bail!("a broker with a full disk answers {other:?}"),
    }
}
