//! A cluster with the clients under test on it: what every scenario starts from, waits for, and is judged by in the end.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use klamm_harness::{Client, Cluster, Topology, until};

use crate::clock::Moment;
use crate::gaps;
use crate::history::{Line, Lines, Outcome};
use crate::properties;
use crate::properties::servers::{self, Look};
use crate::run::Run;
use crate::workload::{Setting, TOPIC, Workload};

/// How long a cluster may take to come to rest, or to acknowledge anything again, before a run is given up.
const PATIENCE: Duration = Duration::from_secs(90);
/// Lines of the journal before a fault that are looked at for the last acknowledgement: some seconds' worth.
const LINES_BEFORE: usize = 6_000;

/// How often the active controller stops and returns so that others lead.
const ROUNDS: usize = 5;

/// A cluster and its clients.
pub struct Bed {
    /// The brokers.
    pub cluster: Cluster,
    /// The clients.
    pub clients: Workload,
    setting: Setting,
    /// What controllers said of their logs each time all was well.
    looks: Vec<Look>,
}

impl Bed {
    /// Creates the topic on a cluster that is ready and starts the clients; returns once all of them have got somewhere.
    ///
    /// # Errors
    /// Something does not start.
    pub fn start(run: &Run, cluster: Cluster, setting: Setting) -> Result<Self> {
        cluster.client().create_topic(TOPIC, setting.partitions, &[])?;
        let log = run.plan.scratch.join(format!("{}-clients.log", run.row.scenario));
        let clients = Workload::start(&run.plan.class_path, &cluster.bootstrap(), &setting, log)?;
        let mut bed = Self { cluster, clients, setting, looks: Vec::new() };
        bed.converge()?;
        bed.clients.command("produce")?;
        if !run.is_quiet {
            bed.clients.command("compact")?;
            bed.clients.command("administer")?;
        }
        let partitions = bed.setting.partitions;
        bed.clients.until(PATIENCE, "every client has begun", 0, |lines| {
            let all = |found: &dyn Fn(i32) -> bool| (0..partitions).all(found);
            let sent = |p| lines.acknowledged().filter(|(send, _)| send.partition == p).count() > 20;
            let read = |p| lines.polls().any(|poll| poll.partition == p && poll.consumer == "tail");
            let grouped =
                |p| lines.polls().any(|poll| poll.partition == p && poll.consumer.starts_with("member"));
            (all(&sent) && all(&read) && all(&grouped)).then_some(())
        })?;
        Ok(bed)
    }

    /// The partitions that a node leads now.
    ///
    /// # Errors
    /// No broker answers.
    pub fn led_by(&self, id: i32) -> Result<Vec<i32>> {
        let topology = self.cluster.client().topology()?;
        Ok((0..self.setting.partitions)
            .filter(|p| topology.leader(TOPIC, *p).is_ok_and(|l| l == id))
            .collect())
    }

    /// A node that leads partitions, and those: at random, and never the active controller. Where that alone leads, it stops
    /// and returns, until others do.
    ///
    /// # Errors
    /// There is none in time.
    pub fn leader(&mut self, run: &mut Run) -> Result<(i32, Vec<i32>)> {
        for _ in 0..ROUNDS {
            let controller = self.cluster.controller()?;
            let mut leaders = Vec::new();
            for id in self.cluster.broker_ids().into_iter().filter(|id| *id != controller) {
                leaders.push((id, self.led_by(id)?));
            }
            leaders.retain(|(_, led)| !led.is_empty());
            if let Some(leader) = run.choose(&leaders) {
                return Ok(leader);
            }
            self.cluster.terminate(controller)?;
            self.cluster.restart(controller)?;
            self.converge()?;
        }
        bail!("no broker leads but the active controller")
    }

    /// Where in the journal to look for what happens from now on.
    pub fn mark(&self) -> usize {
        self.clients.history().len().saturating_sub(LINES_BEFORE)
    }

    /// The longest gap of any of these partitions around a fault, once all are served again.
    ///
    /// # Errors
    /// One is not served in time.
    pub fn gap(&mut self, mark: usize, fault: Moment, partitions: &[i32]) -> Result<Duration> {
        let gap = |lines: Lines<'_>| {
            let gaps: Option<Vec<_>> =
                partitions.iter().map(|p| gaps::of_partition(lines, *p, fault)).collect();
            gaps.map(|gaps| gaps.into_iter().max().unwrap_or_default())
        };
        self.clients.until(PATIENCE, &format!("partitions {partitions:?} are served again"), mark, gap)
    }

    /// The longest gap of any of these partitions since a moment.
    pub fn longest_gap_since(&self, mark: usize, from: Moment, partitions: &[i32]) -> Duration {
        let history = self.clients.history();
        let lines = Lines(history.get(mark..).unwrap_or_default());
        partitions.iter().map(|p| gaps::longest_since(lines, *p, from)).max().unwrap_or_default()
    }

    /// Waits until each partition has `count` more records acknowledged that were sent from now on.
    ///
    /// # Errors
    /// They are not in time.
    pub fn progress(&mut self, count: usize) -> Result<()> {
        let (from, mark) = (Moment::now(), self.clients.history().len());
        let partitions = self.setting.partitions;
        self.clients.until(PATIENCE, "every partition makes progress", mark, |lines| {
            let sent = |p| lines.acknowledged().filter(|(s, _)| s.partition == p && s.at > from).count();
            (0..partitions).all(|p| sent(p) >= count).then_some(())
        })
    }

    /// Waits until every node is ready and every partition has its full ISR; how long that took.
    ///
    /// # Errors
    /// It does not come to rest in time.
    pub fn converge(&mut self) -> Result<Duration> {
        let start = Instant::now();
        let mut brokers = self.cluster.broker_ids();
        brokers.sort_unstable();
        let mut clients = Vec::new();
        for id in &brokers {
            clients.push(Client::new(&self.cluster.address(*id)?).timeout(Duration::from_secs(2)));
        }
        let partitions = self.setting.partitions;
        until(PATIENCE, "every broker says that every ISR is full", || {
            for client in &mut clients {
                is_whole(&client.topology()?, partitions, &brokers)?;
            }
            Ok(Some(()))
        })?;
        self.cluster.wait_ready()?;
        self.cluster.controller()?;
        let took = start.elapsed();
        for id in self.cluster.ids() {
            self.looks.extend(Look::at(&self.cluster, id)?);
        }
        Ok(took)
    }

    /// Like [`Bed::converge`], noted as the time that a fault took to heal.
    ///
    /// # Errors
    /// It does not come to rest in time.
    pub fn heal(&mut self, run: &mut Run) -> Result<()> {
        let took = self.converge()?;
        run.row.convergence.push(took);
        Ok(())
    }

    /// Ends the clients' sends, reads everything, stops the cluster, and holds all of it against the properties.
    ///
    /// # Errors
    /// The end of the run says nothing: a send never ended, or the final read did not get through.
    pub fn finish(mut self, run: &mut Run) -> Result<()> {
        self.converge()?;
        self.clients.command("stop")?;
        let unread = self.clients.command("read")?;
        ensure!(unread == 0, "{unread} partitions were not read to their end");
        let mark = self.clients.history().len();
        // The consumer that follows has a moment to see what the final read saw.
        let ends = ends(Lines(&self.clients.history()));
        drop(self.clients.until(PATIENCE, "the consumer that follows is there", 0, |lines| {
            let seen = |p: i32, end: i64| {
                lines.polls().any(|r| r.consumer == "tail" && r.partition == p && r.offset >= end)
            };
            ends.iter().all(|(p, end)| seen(*p, *end)).then_some(mark)
        }));
        let journal = self.clients.journal().to_path_buf();
        let lines = self.clients.finish()?;
        conclude(run, &lines);
        let (partitions, looks) = (self.setting.partitions, &self.looks);
        run.row.problems.extend(servers::violations(&mut self.cluster, partitions, looks)?);
        if run.row.problems.is_empty() {
            self.cluster.succeed();
            fs::remove_file(journal)?;
        } else {
            eprintln!("--- the clients' journal: {}", journal.display());
        }
        Ok(())
    }
}

/// Whether every partition has its full ISR and every broker is alive.
fn is_whole(topology: &Topology, partitions: i32, brokers: &[i32]) -> Result<()> {
    for partition in 0..partitions {
        let isr = topology.isr(TOPIC, partition)?;
        let full = topology.replicas(TOPIC, partition)?.len();
        ensure!(isr.len() == full, "that of partition {partition} is {isr:?}");
    }
    let mut live = topology.brokers();
    live.sort_unstable();
    ensure!(live == brokers, "the live brokers are {live:?}");
    Ok(())
}

/// The last offset of each partition that the final read saw.
fn ends(lines: Lines<'_>) -> Vec<(i32, i64)> {
    let mut ends = std::collections::BTreeMap::new();
    for poll in lines.final_read() {
        ends.insert(poll.partition, poll.offset);
    }
    ends.into_iter().collect()
}

fn conclude(run: &mut Run, lines: &[Line]) {
    let lines = Lines(lines);
    run.row.acknowledged += lines.acknowledged().count();
    let unknown = lines.sends().filter(|send| send.offset.is_none()).count();
    if unknown > 0 {
        run.row.notes.push(format!("{unknown} sends failed"));
    }
    let (sent, kept) = (lines.keyed().count(), lines.kept().count());
    let changes = lines.administered().filter(|change| change.outcome != Outcome::Unknown).count();
    if !run.is_quiet {
        run.row.notes.push(format!(
            "{kept} of {sent} records of compacted keys are left; {changes} topics came or went"
        ));
    }
    if !run.is_quiet && run.plan.whole && (kept >= sent || changes == 0) {
        run.row.problems.push("inconclusive: nothing was compacted, or no topic came or went".to_owned());
    }
    let tolerated = |what: &String| run.reaches_zombies && properties::is_of_the_past(what);
    let (reported, broken): (Vec<_>, Vec<_>) = properties::violations(lines).into_iter().partition(tolerated);
    run.row.notes.extend(reported.iter().map(|what| format!("a leader that was cut off answered: {what}")));
    run.row.problems.extend(broken);
}
