//! Everything that processes, networks and disks do, in any order and up to three at a time: nothing is lost, nothing is
//! there twice, nobody reads what was not committed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rand::RngExt;

use super::Scenario;
use super::partitioned::setting;
use super::power_lost::Disks;
use crate::bed::Bed;
use crate::clock::Moment;
use crate::forgetful::store::FailingSyncs;
use crate::run::Run;
use crate::wire::Wire;
use crate::wire::link::Link;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "mixed",
    fault: "mixed events, up to three at a time: time to heal",
    bar: "0 lost, 0 duplicated, 0 aborted reads",
    limit: None,
    slice: 12,
    whole: 1_000,
    alone: false,
    run,
};

/// What may happen to a node.
#[derive(Clone, Copy, Debug)]
enum Event {
    Killed,
    Stopped,
    Terminated,
    PowerLost,
    Isolated,
    Unheard,
    Deaf,
    Lossy,
    SyncFails,
}

const EVENTS: [Event; 9] = [
    Event::Killed,
    Event::Stopped,
    Event::Terminated,
    Event::PowerLost,
    Event::Isolated,
    Event::Unheard,
    Event::Deaf,
    Event::Lossy,
    Event::SyncFails,
];

const NODES: [i32; 3] = [0, 1, 2];
const LOSSY: Link =
    Link { loss: 0.2, delay: Duration::from_millis(30), jitter: Duration::from_millis(30), duplicates: 0.02 };

/// The cluster with all that can be broken around it.
struct Scene {
    bed: Bed,
    wire: Wire,
    disks: Disks,
    stopped: BTreeSet<i32>,
    /// What has happened since all was well, and whether its effect is known already.
    happened: Vec<(Event, bool)>,
    /// Packets that were lost until then.
    lost: usize,
}

fn run(run: &mut Run) -> Result<()> {
    let mut disks = Disks::default();
    run.reaches_zombies = true;
    let wire = Wire::of(&NODES)?;
    let mut spec = run.spec(3);
    for id in NODES {
        spec = spec.place(id, wire.place(id)?);
    }
    let cluster = disks.start(spec)?;
    let bed = Bed::start(run, cluster, setting(&wire, run))?;
    let mut scene = Scene { bed, wire, disks, stopped: BTreeSet::new(), happened: Vec::new(), lost: 0 };
    while run.row.injected < run.count {
        let events = run.random.random_range(1..=3);
        for _ in 0..events {
            scene.any_moment(run);
            scene.happen(run)?;
        }
        scene.any_moment(run);
        let took = scene.heal(run)?;
        run.row.convergence.push(took);
        run.row.samples.push(took);
        eprintln!("  {}/{}: healed in {} ms", run.row.injected, run.count, took.as_millis());
        // A quarter of the time nothing happens at all.
        if run.random.random_bool(0.25) {
            scene.bed.progress(20)?;
        }
    }
    let Scene { bed, wire: _wire, disks: _disks, .. } = scene;
    bed.finish(run)
}

impl Scene {
    /// Some sends end, or none can and some time passes.
    fn any_moment(&mut self, run: &mut Run) {
        let (sends, limit) = (run.random.random_range(1..300), run.random.random_range(100..2_500));
        let (from, mark) = (Moment::now(), self.bed.clients.history().len());
        let enough = self.bed.clients.until(Duration::from_millis(limit), "some sends end", mark, |lines| {
            (lines.acknowledged().filter(|(send, _)| send.end > from).count() >= sends).then_some(())
        });
        drop(enough);
    }

    fn happen(&mut self, run: &mut Run) -> Result<()> {
        let mut standing: Vec<i32> = NODES.into_iter().filter(|id| !self.stopped.contains(id)).collect();
        standing.retain(|id| self.bed.cluster.is_running(*id));
        let (Some(node), Some(event)) = (run.choose(&standing), run.choose(&EVENTS)) else { return Ok(()) };
        eprintln!("  {event:?}: {node}");
        match event {
            Event::Killed => self.bed.cluster.kill(node)?,
            Event::Stopped => {
                self.bed.cluster.pause(node)?;
                self.stopped.insert(node);
            }
            Event::Terminated => {
                // It may wait in vain for others that are gone, too; whoever runs it kills it after some grace.
                let _ended_by_itself = self.bed.cluster.terminate_within(node, Duration::from_secs(5))?;
            }
            Event::PowerLost => {
                self.bed.cluster.kill(node)?;
                self.disks.lose_power(node, run)?;
            }
            Event::Isolated => self.cut(node, Link::CUT, Link::CUT)?,
            Event::Unheard => self.cut(node, Link::CUT, Link::default())?,
            Event::Deaf => self.cut(node, Link::default(), Link::CUT)?,
            Event::Lossy => self.cut(node, LOSSY, LOSSY)?,
            Event::SyncFails => {
                self.disks.of(node)?.store().failing = Some(FailingSyncs { ending: ".log", remaining: 1 });
            }
        }
        let shows_later =
            matches!(event, Event::Isolated | Event::Unheard | Event::Deaf | Event::Lossy | Event::SyncFails);
        self.happened.push((event, !shows_later));
        Ok(())
    }

    /// How many of the events since all was well have had an effect that was observed.
    fn observed(&mut self, syncs_failed: usize) -> usize {
        let lost = self.wire.withheld().lost;
        let (withheld, mut failed) = (lost > self.lost, syncs_failed);
        self.lost = lost;
        let is_observed = |(event, known): (Event, bool)| match event {
            _ if known => true,
            Event::SyncFails => {
                let one_more = failed > 0;
                failed = failed.saturating_sub(1);
                one_more
            }
            _ => withheld,
        };
        std::mem::take(&mut self.happened).into_iter().map(is_observed).filter(|observed| *observed).count()
    }

    /// What happens from now on to packets from and to a node.
    fn cut(&self, node: i32, from: Link, to: Link) -> Result<()> {
        for other in NODES.into_iter().filter(|other| *other != node) {
            self.wire.set(node, other, from)?;
            self.wire.set(other, node, to)?;
        }
        if from == to {
            self.wire.set_clients(node, from)?;
        }
        Ok(())
    }

    /// Undoes everything and waits until all is well; how long that took.
    fn heal(&mut self, run: &mut Run) -> Result<Duration> {
        let mut syncs_failed = 0;
        self.wire.heal();
        for id in std::mem::take(&mut self.stopped) {
            self.bed.cluster.resume(id)?;
        }
        for id in NODES {
            let failing = self.disks.of(id)?.store().failing.take();
            let failed = failing.is_some_and(|failing| failing.remaining == 0);
            syncs_failed += usize::from(failed);
            // A directory that is offline stays so for the life of the process.
            if failed && self.bed.cluster.is_running(id) {
                self.bed.cluster.kill(id)?;
            }
            if !self.bed.cluster.is_running(id) {
                self.bed.cluster.restart(id)?;
            }
        }
        run.row.injected += self.observed(syncs_failed);
        let start = Instant::now();
        self.bed.converge()?;
        ensure!(NODES.into_iter().all(|id| self.bed.cluster.is_running(id)), "a node has ended by itself");
        self.bed.progress(1)?;
        Ok(start.elapsed())
    }
}
