//! A simulated broker: the glue that the server has between log, replica, metadata and coordinator, with events in place
//! of threads and sockets.
//!
//! | module | like the server's |
//! |---|---|
//! | `start`, `stop` | opening the log directory and closing it |
//! | `replica`, `role`, `append`, `write`, `fetch`, `follow`, `delete` | `partition/*` |
//! | `fetcher` | `partition/fetcher` |
//! | `parked` | the long poll of `api/fetch` |
//! | `metadata` | `metadata/{pull,publisher}` and `registry/apply` |
//! | `channel` | `lifecycle`, `alter_partition`, `controller/channel` |
//! | `group` | `group/*` |

mod append;
mod channel;
mod clients;
mod copy;
mod damage;
mod delete;
mod fetch;
mod fetcher;
mod follow;
mod group;
mod metadata;
mod parked;
mod replica;
mod role;
mod start;
mod stop;
mod write;

use std::sync::Arc;

use klamm_log::SimDisk;
use klamm_metadata::Broker;

pub(crate) use copy::DiskCopy;
pub(crate) use replica::Replica;
pub(crate) use start::DATA_DIR;
use start::Process;

use crate::disk::FusedDisk;
use crate::message::{Key, Message, Sender};
use crate::mutation::{Mutation, is_active};
use crate::outbox::{Outbox, Touch};
use crate::party::Party;
use crate::queue::{Event, MS, Micros, NodeTimer};
use crate::topology::Topology;
use replica::Sparks;

/// A machine with a disk, on which a broker process runs or not.
pub(crate) struct Node {
    pub(crate) id: usize,
    pub(crate) topology: Arc<Topology>,
    pub(crate) disk: SimDisk,
    /// The process, if there is one.
    pub(crate) process: Option<Process>,
    /// How many processes there have been.
    pub(crate) incarnation: u32,
    /// The process does not run; what comes meanwhile waits.
    pub(crate) is_paused: bool,
    pub(crate) held: Vec<Event>,
    /// The node's wall clock against the virtual one.
    pub(crate) skew_ms: i64,
    /// How much longer a write takes than usual.
    pub(crate) slow_disk: Micros,
    /// The disk lost what was durable on it and the controller has not heard of it.
    pub(crate) lost_disk: bool,
    /// The recovery points that were stored last.
    pub(crate) recovery_points: Vec<i64>,
    /// The log starts that were stored last.
    pub(crate) log_starts: Vec<i64>,
    /// The next process is of the version before, which does not say where its logs begin.
    pub(crate) is_older: bool,
    /// A process has ended since somebody looked.
    pub(crate) has_ended: bool,
    /// What the disk held at some time.
    pub(crate) copy: Option<DiskCopy>,
    /// The next start dies after so many calls to the disk.
    pub(crate) dies_in_start: Option<u64>,
}

impl Node {
    pub(crate) fn new(id: usize, topology: Arc<Topology>, seed: u64) -> Self {
        let (recovery_points, log_starts) = (vec![0; topology.partitions()], vec![0; topology.partitions()]);
        Self {
            id,
            topology,
            disk: SimDisk::new(seed),
            process: None,
            incarnation: 0,
            is_paused: false,
            held: Vec::new(),
            skew_ms: 0,
            slow_disk: 0,
            lost_disk: false,
            recovery_points,
            log_starts,
            is_older: false,
            has_ended: false,
            copy: None,
            dies_in_start: None,
        }
    }

    /// Whether there is a process, paused or not.
    pub(crate) fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Whether there is a process of the version before.
    pub(crate) fn runs_older(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.is_older)
    }

    /// Whether the process is about to stop.
    pub(crate) fn is_leaving(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.has_failed || process.stopping.is_some())
    }

    /// Whether this registration is in the metadata of the process that it is of; `None` when that is gone.
    pub(crate) fn knows(&self, broker: &Broker) -> Option<bool> {
        let process = self.process.as_ref().filter(|process| process.incarnation_id == broker.incarnation)?;
        Some(process.image.offset() >= broker.epoch)
    }

    /// A replica of the process.
    pub(crate) fn replica(&self, key: Key) -> Option<&Replica> {
        self.process.as_ref()?.replicas.get(key)?.as_ref()
    }

    /// Whether what is known here of the producer begins behind this sequence number, as the log begins behind what was deleted.
    pub(crate) fn begins_behind(&self, key: Key, producer: i64, sequence: i32) -> bool {
        self.replica(key).filter(|replica| replica.log.start_offset() > 0).is_some_and(|replica| {
            let known = replica.log.producer_state().find(|(id, _)| *id == producer);
            let first = known.and_then(|(_, entry)| entry.batches.front().copied());
            first.is_some_and(|first| first.last_sequence > sequence)
        })
    }

    fn party(&self) -> Party {
        Party::Node(self.id)
    }

    /// The wall clock.
    fn wall_ms(&self, out: &Outbox) -> i64 {
        out.now_ms() + self.skew_ms
    }

    /// The clock of this process that never jumps, though it begins where the wall clock was.
    fn steady_ms(&self, out: &Outbox) -> i64 {
        match is_active(Mutation::PausesByWallClock) {
            true => self.wall_ms(out),
            false => out.now_ms() + self.process.as_ref().map_or(0, |process| process.first_skew_ms),
        }
    }

    fn after(&self, delay: Micros, timer: NodeTimer, out: &mut Outbox) {
        out.after(delay, Event::Node { node: self.id, incarnation: self.incarnation, timer });
    }

    /// A message for the process.
    pub(crate) fn receive(&mut self, from: Party, message: Message, out: &mut Outbox) {
        if self.process.is_none() {
            return;
        }
        match message {
            Message::Fetch { id, broker_epoch, max_wait_ms, parts } => {
                self.fetch_requested(from, id, broker_epoch, max_wait_ms, parts, out);
            }
            Message::Fetched { id, parts } => self.fetch_answered(from, id, parts, out),
            Message::Produce { id, key, connection, batch } => {
                self.produce(Sender { party: from, id, connection }, key, &batch, out);
            }
            Message::Read { id, key, position } => self.read(from, id, key, position, out),
            Message::List { id, key, leader_epoch } => self.list(from, id, key, leader_epoch, out),
            Message::DeleteRecords { id, key, offset, timeout_ms } => {
                self.delete_records(from, id, (key, offset), timeout_ms, out);
            }
            Message::Metadata { id } => self.metadata(from, id, out),
            Message::Group { id, request } => self.group_requested(from, id, *request, out),
            Message::Reply { id, outcome } => self.replied(id, outcome, out),
            Message::Pulled { id, entries, active } => self.pulled(id, &entries, active, out),
            _ => {}
        }
        self.pump(out);
    }

    /// Something of the process is due.
    pub(crate) fn timer(&mut self, timer: NodeTimer, out: &mut Outbox) {
        if self.process.is_none() {
            return;
        }
        match timer {
            NodeTimer::Heartbeat => self.heartbeat(out),
            NodeTimer::CallExpired { id } => self.call_expired(id, out),
            NodeTimer::PullExpired { id } => self.pull_expired(id, out),
            NodeTimer::WriteDone { key, serial } => self.write_done(key, serial, out),
            NodeTimer::WriteAgain { key } => self.write(key, out),
            NodeTimer::FetchExpired { leader, id } => self.fetch_expired(leader, id, out),
            NodeTimer::FetchDue { leader } => self.fetch_due(leader),
            NodeTimer::ParkExpired { id } => self.park_expired(id, out),
            NodeTimer::DeletionExpired { key, id } => self.deletion_expired(key, id, out),
            NodeTimer::CheckLag => self.check_lag(out),
            NodeTimer::Checkpoint => self.checkpoint(out),
            NodeTimer::ShardTick => self.shard_tick(out),
            NodeTimer::ResendAlter => self.resend_alter(out),
            NodeTimer::Die => self.stop_for_failure(out),
        }
        self.pump(out);
    }

    /// Changes a replica, then does what that sets off.
    fn change<T>(
        &mut self,
        key: Key,
        out: &mut Outbox,
        change: impl FnOnce(&mut Replica, i64, &mut Sparks) -> T,
    ) -> Option<T> {
        let now_ms = self.steady_ms(out);
        let replica = self.process.as_mut()?.replicas.get_mut(key)?.as_mut()?;
        let mut sparks = Sparks::default();
        let result = change(replica, now_ms, &mut sparks);
        self.carry_out(key, sparks, out);
        Some(result)
    }

    fn carry_out(&mut self, key: Key, sparks: Sparks, out: &mut Outbox) {
        let node = self.id;
        if let Some(start) = sparks.start_moved {
            out.touched.push(Touch::StartMoved { key, start });
        }
        if let Some(epoch) = sparks.elected {
            out.touched.push(Touch::Elected { node, key, epoch });
        }
        if sparks.advanced {
            out.touched.push(Touch::Advanced { node, key });
        }
        if sparks.write {
            self.write(key, out);
        }
        for (ack, result) in sparks.released {
            self.release(key, ack, result, out);
        }
        if let Some(proposal) = sparks.proposal {
            self.propose(key, proposal, out);
        }
        if sparks.wakes_followers || sparks.wakes_consumers {
            self.wake(key, sparks.wakes_followers, sparks.wakes_consumers);
        }
        if let Some(leader) = sparks.assigned_to {
            self.assigned(leader);
        }
        if let Some(reason) = sparks.directory_failed {
            self.directory_failed(reason, out);
        }
    }

    fn check_lag(&mut self, out: &mut Outbox) {
        for key in 0..self.topology.partitions() {
            self.change(key, out, |replica, now_ms, sparks| {
                replica.step_leader(|leader| leader.step(klamm_replica::LeaderEvent::Tick, now_ms), sparks);
            });
        }
        self.look_for_damage(out);
        self.after(crate::topology::LAG_MS / 2 * MS, NodeTimer::CheckLag, out);
    }

    /// Does what the event left to do: parked fetches that were woken, fetches that can go out.
    fn pump(&mut self, out: &mut Outbox) {
        self.answer_woken(out);
        self.pump_fetchers(out);
    }

    /// The process ends here and now; its disk's page cache stays.
    pub(crate) fn kill(&mut self, out: &mut Outbox) {
        self.interrupt_writes(out);
        (self.process, self.has_ended) = (None, true);
        self.is_paused = false;
        self.held.clear();
        self.disk.crash();
    }

    /// The machine loses power.
    pub(crate) fn lose_power(&mut self, out: &mut Outbox) {
        self.interrupt_writes(out);
        (self.process, self.has_ended) = (None, true);
        self.is_paused = false;
        self.held.clear();
        self.disk.power_loss();
    }

    fn fused(&self) -> Option<&FusedDisk> {
        self.process.as_ref().map(|process| &process.disk)
    }
}
