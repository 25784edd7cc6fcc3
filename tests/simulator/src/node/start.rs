//! Starting a process: opening its directory and logs, as after whatever ended the process before.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use klamm_log::{
    Checkpoint, Checkpoints, CorruptionPolicy, Disk, Log, LogDir, LogDirError, LogError, OpenOptions, Owner,
    PartitionDirState, Seal, TopicPartition,
};
use klamm_metadata::Image;
use uuid::Uuid;

use super::Node;
use super::channel::AlterChannel;
use super::fetcher::Fetcher;
use super::group::Shard;
use super::parked::Parked;
use super::replica::Replica;
use crate::disk::FusedDisk;
use crate::message::Key;
use crate::mutation::{Mutation, is_active};
use crate::outbox::Outbox;
use crate::queue::{Event, MS, Micros, NodeTimer};
use crate::quorum::CLUSTER_ID;
use crate::topology::{CONTROLLERS, Topology};

/// The data directory.
pub(crate) const DATA_DIR: &str = "/data";

/// A broker process.
pub(crate) struct Process {
    pub(super) disk: FusedDisk,
    pub(super) dir: LogDir,
    pub(crate) image: Image,
    /// The image has this very process, so that it is not one of the past.
    pub(super) is_settled: bool,
    pub(crate) replicas: Vec<Option<Replica>>,
    pub(super) incarnation_id: Uuid,
    pub(super) previous_broker_epoch: i64,
    /// Epoch of the registration; -1 before.
    pub(crate) broker_epoch: i64,
    /// Unfenced, as far as it knows.
    pub(super) is_running: bool,
    /// Told to stop; until when it waits for the controller's leave.
    pub(super) stopping: Option<Micros>,
    pub(super) has_failed: bool,
    /// The request that shows that it lives, and when it was sent.
    pub(super) life_call: Option<(u64, i64)>,
    /// When the newest heartbeat was sent that a controller answered with this broker not fenced.
    pub(super) confirmed_ms: Option<i64>,
    pub(super) alter: AlterChannel,
    /// A report of damage that is under way.
    pub(super) damage_call: Option<(u64, Key)>,
    pub(super) active_controller: Option<usize>,
    pub(super) pull: Option<u64>,
    pub(super) pull_from: usize,
    pub(super) fetchers: Vec<Fetcher>,
    pub(crate) parked: Vec<Parked>,
    pub(super) shard: Option<Shard>,
    pub(super) checkpointed: [Checkpoints; 3],
    pub(super) serial: u64,
    /// Answers to requests with a smaller id are another process's.
    pub(super) first_id: u64,
    /// It is of the version before.
    pub(super) is_older: bool,
    /// The wall clock's error when it started.
    pub(super) first_skew_ms: i64,
}

impl Node {
    /// Starts a process. One that dies while it starts is started again.
    pub(crate) fn start(&mut self, out: &mut Outbox) {
        if self.process.is_some() {
            return;
        }
        self.incarnation += 1;
        let disk = FusedDisk::new(self.disk.clone());
        if let Some(calls) = self.dies_in_start.take() {
            disk.burn_after(calls);
        }
        let started = self.open(&disk, out);
        let id = self.id;
        match started {
            Ok(()) if !disk.is_burnt() => {
                disk.burn_after(u64::MAX);
                out.note(|| format!("node {id} has started"));
                self.begin(out);
            }
            failed => {
                out.note(|| format!("node {id} did not start: {:?}", failed.err()));
                (self.process, self.has_ended) = (None, true);
                self.disk.crash();
                let pause = out.random.between(30, 400) * MS;
                self.start_after(pause, out);
            }
        }
    }

    /// Plans the next start.
    pub(crate) fn start_after(&self, pause: Micros, out: &mut Outbox) {
        out.after(pause, Event::Start { node: self.id, incarnation: self.incarnation });
    }

    fn open(&mut self, disk: &FusedDisk, out: &mut Outbox) -> Result<(), LogDirError> {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let uuid = |out: &mut Outbox| {
            Uuid::from_u128(u128::from(out.random.next()) << 64 | u128::from(out.random.next()))
        };
        let new_directory_id = uuid(out);
        let owner = Owner { cluster_id: Some(CLUSTER_ID), node_id: self.id as i32, new_directory_id };
        let dir = LogDir::open(shared, Path::new(DATA_DIR), owner)?;
        let kinds = [Checkpoint::RecoveryPoint, Checkpoint::LogStart, Checkpoint::HighWatermark];
        let [points, starts, high_watermarks] = kinds.map(|kind| dir.read_checkpoint(kind));
        let stored = [points?, starts?, high_watermarks?];
        let mut process = self.new_process(disk.clone(), dir, uuid(out), out);
        let mut is_complete = stored.iter().all(|stored| stored.seal != Seal::Broken);
        process.checkpointed = stored.map(|stored| stored.offsets);
        let found = process.dir.partitions()?;
        let mut identified = Vec::new();
        for entry in found.into_iter().filter(|entry| entry.state == PartitionDirState::Live) {
            match self.topology.key(&entry.partition.topic, entry.partition.partition) {
                Some(key) if entry.topic_id.is_some() => identified.push((key, entry.topic_id)),
                // Opened when the metadata needs a log of this name.
                Some(_) => is_complete &= !has_records(disk, &entry.path),
                None => {}
            }
        }
        if !is_complete {
            process.previous_broker_epoch = -1;
        }
        self.process = Some(process);
        identified.into_iter().try_for_each(|(key, topic_id)| Ok(self.open_replica(key, topic_id, out)?))
    }

    fn new_process(&self, disk: FusedDisk, dir: LogDir, incarnation_id: Uuid, out: &mut Outbox) -> Process {
        Process {
            disk,
            previous_broker_epoch: dir.previous_broker_epoch().unwrap_or(-1),
            dir,
            image: Image::empty(),
            is_settled: false,
            replicas: (0..self.topology.partitions()).map(|_| None).collect(),
            incarnation_id,
            broker_epoch: -1,
            is_running: false,
            stopping: None,
            has_failed: false,
            life_call: None,
            confirmed_ms: None,
            alter: AlterChannel::default(),
            damage_call: None,
            active_controller: None,
            pull: None,
            pull_from: out.random.index(CONTROLLERS),
            fetchers: vec![Fetcher::default(); self.topology.nodes],
            parked: Vec::new(),
            shard: None,
            checkpointed: Default::default(),
            serial: 0,
            first_id: out.id(),
            is_older: self.is_older,
            first_skew_ms: self.skew_ms,
        }
    }

    fn begin(&mut self, out: &mut Outbox) {
        self.renew_points(out);
        self.pull(out);
        let firsts = [(NodeTimer::Heartbeat, 20), (NodeTimer::CheckLag, 300), (NodeTimer::Checkpoint, 1_500)];
        for (timer, latest_ms) in firsts {
            let pause = out.random.between(1, latest_ms) * MS;
            self.after(pause, timer, out);
        }
    }

    /// Whether an answer was meant for a process before this one.
    pub(super) fn is_of_earlier_process(&self, id: u64) -> bool {
        self.process.as_ref().is_none_or(|process| id < process.first_id)
    }

    pub(super) fn open_replica(
        &mut self,
        key: Key,
        topic_id: Option<Uuid>,
        out: &mut Outbox,
    ) -> Result<(), LogError> {
        let (topic, index) = self.topology.name(key);
        let config = self.topology.log_config();
        let Some(process) = self.process.as_mut() else { return Ok(()) };
        let name = TopicPartition::new(topic, index);
        let [points, starts, high_watermarks] = &process.checkpointed;
        let at = |offsets: &BTreeMap<TopicPartition, i64>| offsets.get(&name).copied().unwrap_or(0);
        let options = OpenOptions {
            recovery_point: at(points),
            log_start_offset: at(starts),
            clean_shutdown: process.dir.was_clean_shutdown(),
            topic_id,
            corruption: CorruptionPolicy::Truncate,
        };
        let high_watermark = at(high_watermarks);
        let disk: Arc<dyn Disk> = Arc::new(process.disk.clone());
        let (log, report) = Log::open(disk, process.dir.partition_dir(topic, index), config, options)?;
        let (node, end) = (self.id, log.end_offset());
        out.note(|| format!("node {node} opens partition {key}, end {end}: {options:?} {report:?}"));
        let is_short = report.cut.is_some()
            || report.start_ignored
            || (end < options.recovery_point && !is_active(Mutation::ShortLogBelieved));
        if is_short && options.clean_shutdown && !report.created {
            process.previous_broker_epoch = -1;
        }
        let mut replica = Replica::new(log, high_watermark);
        replica.outdated_point = end < options.recovery_point;
        process.replicas[key] = Some(replica);
        Ok(())
    }

    /// Lowers the stored recovery points of logs that were truncated, before anything is written behind their ends: a point
    /// above would call that durable after a crash.
    pub(super) fn renew_points(&mut self, out: &mut Outbox) {
        let Some(process) = self.process.as_mut() else { return };
        let mut outdated = false;
        for replica in process.replicas.iter_mut().flatten() {
            outdated |= std::mem::take(&mut replica.outdated_point);
        }
        if outdated
            && !is_active(Mutation::RecoveryPointOutlivesTruncation)
            && let Err(error) = self.write_checkpoints()
        {
            self.directory_failed(error.to_string(), out);
        }
    }

    /// Stores recovery points and high watermarks.
    pub(super) fn checkpoint(&mut self, out: &mut Outbox) {
        // A full disk is no reason to stop.
        let _ = self.write_checkpoints();
        self.after(1_500 * MS, NodeTimer::Checkpoint, out);
    }

    pub(super) fn write_checkpoints(&mut self) -> Result<(), LogDirError> {
        let Some(process) = self.process.as_mut() else { return Ok(()) };
        let mut now: [Checkpoints; 3] = Default::default();
        for (key, replica) in process.replicas.iter().enumerate() {
            let Some(replica) = replica else { continue };
            let (topic, index) = self.topology.name(key);
            let values = [replica.log.durable_end(), replica.log.start_offset(), replica.high_watermark];
            for (offsets, value) in now.iter_mut().zip(values) {
                offsets.insert(TopicPartition::new(topic, index), value);
            }
        }
        let kinds = [Checkpoint::RecoveryPoint, Checkpoint::LogStart, Checkpoint::HighWatermark];
        for ((kind, old), new) in kinds.into_iter().zip(&mut process.checkpointed).zip(now) {
            if *old != new {
                if kind == Checkpoint::RecoveryPoint {
                    // A write that fails may have reached the file.
                    note_offsets(&self.topology, &new, &mut self.recovery_points);
                }
                process.dir.write_checkpoint(kind, &new)?;
                if kind == Checkpoint::LogStart {
                    note_offsets(&self.topology, &new, &mut self.log_starts);
                }
                *old = new;
            }
        }
        Ok(())
    }
}

fn note_offsets(topology: &Topology, stored: &Checkpoints, offsets: &mut [i64]) {
    for (key, offset) in offsets.iter_mut().enumerate() {
        let (topic, index) = topology.name(key);
        *offset = stored.get(&TopicPartition::new(topic, index)).copied().unwrap_or(0);
    }
}

/// Whether a partition's directory has a segment.
fn has_records(disk: &FusedDisk, dir: &Path) -> bool {
    disk.list(dir).unwrap_or_default().iter().any(|entry| entry.name.ends_with(".log"))
}
