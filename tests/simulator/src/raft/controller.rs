//! One controller: a disk, and the process that runs on it while it runs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use klamm_log::SimDisk;
use klamm_metadata::Image;
use klamm_quorum::simulated::Process;
use klamm_quorum::{Peer, Quorum, QuorumConfig, SnapshotPolicy};
use uuid::Uuid;

use crate::disk::FusedDisk;
use crate::history::ServerEvent;
use crate::raft::faults::Fault;
use crate::raft::network::Wire;
use crate::raft::world::World;

/// Where a controller's metadata is.
pub(super) const DIR: &str = "/data/__cluster_metadata-0";
/// Virtual milliseconds that a step of a healthy disk takes, at most.
pub(super) const DISK_MS: u64 = 4;

/// A controller of the quorum.
pub(super) struct Controller {
    pub(super) disk: SimDisk,
    /// The disk's number; one that replaces another has the next.
    pub(super) number: u32,
    /// How many processes there were.
    pub(super) processes: u32,
    pub(super) running: Option<Running>,
    /// What is damaged, until a process has started in spite of it or the disk is replaced.
    pub(super) rotten: Option<Rotten>,
    /// Faults that are not over.
    pub(super) struck_by: BTreeSet<Fault>,
    /// Offset of the next entry that is looked at.
    pub(super) seen: i64,
    /// The image that was looked at last.
    pub(super) shown: Option<Arc<Image>>,
}

/// What is damaged on a disk.
#[derive(Clone)]
pub(super) struct Rotten {
    pub(super) path: PathBuf,
    /// Where the log ended that was synced, exclusive.
    pub(super) synced: i64,
}

/// Its process.
pub(super) struct Running {
    pub(super) process: Arc<Process>,
    pub(super) fuse: FusedDisk,
    /// None while it starts.
    pub(super) quorum: Option<Quorum>,
    /// The machine loses power when the fuse burns.
    pub(super) power: bool,
}

impl Running {
    /// Whether it may fail and stop by itself: it is dead already, or its disk has failed, on purpose.
    pub(super) fn may_stop(&self) -> bool {
        self.fuse.is_burnt() || self.fuse.failed_syncs() > 0
    }
}

impl Controller {
    pub(super) fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        Self {
            disk,
            number: 0,
            processes: 0,
            running: None,
            rotten: None,
            struck_by: BTreeSet::new(),
            seen: 0,
            shown: None,
        }
    }

    /// The process dies; with the machine, what was not synced is lost.
    pub(super) fn kill(&mut self, power: bool) {
        let Some(running) = self.running.take() else { return };
        running.process.kill();
        running.fuse.burn_after(0);
        self.disk.fail_syncs(0);
        if power { self.disk.power_loss() } else { self.disk.crash() }
    }

    /// An empty disk in the place of the one that it has.
    pub(super) fn wipe(&mut self, seed: u64) {
        self.kill(true);
        self.rotten = None;
        self.disk = SimDisk::new(seed);
        self.number += 1;
    }
}

pub(super) fn directory(controller: usize, disk: u32) -> Uuid {
    // Not the lowest bits of a word, which a raft id folds into those of the controller: every disk has its own.
    Uuid::from_u128((u128::from(disk + 1) << 72) | (controller as u128 + 1))
}

pub(super) fn peer(controller: usize) -> Peer {
    let id = i32::try_from(controller + 1).unwrap_or(i32::MAX);
    Peer { id, host: format!("controller-{id}"), port: 9093 }
}

fn config(controller: usize, disk: u32, founders: usize, auto_join: bool) -> QuorumConfig {
    let (me, dir) = (peer(controller), PathBuf::from(DIR));
    let voters = (0..founders).map(peer).collect();
    let mut config =
        QuorumConfig::new(me.id, directory(controller, disk), "simulated".to_owned(), dir, voters);
    config.endpoint = me;
    config.auto_join = auto_join;
    config.replace_after = Duration::from_millis(600);
    config.segment_bytes = 4096;
    config.snapshot = SnapshotPolicy {
        max_entries: 12,
        keep_entries: 6,
        chunk_bytes: 700,
        deadline: Duration::from_secs(2),
        ..SnapshotPolicy::default()
    };
    config
}

impl World {
    /// Starts a process on the controller's disk, unless one runs.
    pub(super) fn start(self: &Arc<Self>, controller: usize) {
        let seed = self.random.lock().next();
        let mut controllers = self.controllers.lock();
        let one = &mut controllers[controller];
        if one.running.is_some() {
            return;
        }
        one.processes += 1;
        (one.seen, one.shown) = (0, None);
        let (process, fuse, number) = (Process::new(seed), FusedDisk::new(one.disk.clone()), one.processes);
        process.set_disk_time(Duration::ZERO, Duration::from_millis(DISK_MS));
        let config = config(controller, one.number, self.founders, self.auto_join);
        one.running =
            Some(Running { process: process.clone(), fuse: fuse.clone(), quorum: None, power: false });
        let wire = Wire { world: self.clone(), from: controller, process: number };
        let world = self.clone();
        tokio::spawn(async move {
            let started = process.run(Quorum::start(config, Arc::new(fuse.clone()), wire)).await;
            let at = world.now();
            world.book.lock().say(at, format_args!("controller {controller} started process {number}"));
            match started {
                Ok(quorum) => world.is_there(controller, number, quorum),
                // It has died, and is buried at the next look.
                Err(_) if fuse.is_burnt() || fuse.failed_syncs() > 0 => fuse.burn_after(0),
                Err(error) => world.does_not_start(controller, &error),
            }
        });
    }

    fn is_there(&self, controller: usize, number: u32, quorum: Quorum) {
        let mut controllers = self.controllers.lock();
        let one = &mut controllers[controller];
        let Some(running) = one.running.as_mut().filter(|_| one.processes == number) else { return };
        let log_end = quorum.log_ends().0;
        running.quorum = Some(quorum);
        let rotten = one.rotten.take();
        drop(controllers);
        if let Some(Rotten { synced, .. }) = rotten {
            self.tell(controller, &ServerEvent::ControllerReturned { controller, synced, log_end });
        }
    }

    /// What runs there, and answers.
    pub(super) fn running(&self, controller: usize) -> Option<(u32, Arc<Process>, Quorum)> {
        let controllers = self.controllers.lock();
        let one = controllers.get(controller)?;
        let running = one.running.as_ref()?;
        Some((one.processes, running.process.clone(), running.quorum.clone()?))
    }

    /// Whether this very process is alive: one whose fuse has burnt has died over its last call to the disk.
    pub(super) fn speaks(&self, controller: usize, process: u32) -> bool {
        let controllers = self.controllers.lock();
        let one = &controllers[controller];
        let lives = one.running.as_ref().is_some_and(|running| !running.fuse.is_burnt());
        lives && one.processes == process
    }
}
