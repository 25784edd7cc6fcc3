//! The node's image of the metadata: pulled from a controller, and what its changes mean for the replicas here.

use std::sync::Arc;

use klamm_metadata::{BrokerDelta, Delta, Image, Partition as PartitionMeta};
use klamm_wire::ErrorCode;
use uuid::Uuid;

use super::Node;
use super::replica::Role;
use super::role::Assignment;
use crate::message::{Key, Message};
use crate::outbox::Outbox;
use crate::party::Party;
use crate::queue::{MS, NodeTimer};
use crate::quorum::Entry;
use crate::topology::CONTROLLERS;

/// How long an answer may take.
const PATIENCE_MS: i64 = 1_000;
/// Pause before the next controller is asked.
const RETRY_PAUSE_MS: i64 = 60;

impl Node {
    /// Asks for what is new.
    pub(super) fn pull(&mut self, out: &mut Outbox) {
        let Some(process) = self.process.as_mut() else { return };
        let id = out.id();
        process.pull = Some(id);
        let controller = process.pull_from;
        let next = process.image.offset() + 1;
        out.send(self.party(), Party::Controller(controller), Message::Pull { id, next });
        self.after(PATIENCE_MS * MS, NodeTimer::PullExpired { id }, out);
    }

    pub(super) fn pull_expired(&mut self, id: u64, out: &mut Outbox) {
        let Some(process) = self.process.as_mut().filter(|process| process.pull == Some(id)) else { return };
        process.pull_from = (process.pull_from + 1) % CONTROLLERS;
        self.pull(out);
    }

    pub(super) fn pulled(
        &mut self,
        id: u64,
        entries: &[Arc<Entry>],
        active: Option<usize>,
        out: &mut Outbox,
    ) {
        if self.is_of_earlier_process(id) {
            return;
        }
        let Some(process) = self.process.as_mut() else { return };
        process.active_controller = active.or(process.active_controller);
        let is_awaited = process.pull == Some(id);
        let old = process.image.clone();
        let mut new = old.clone();
        for entry in entries.iter().skip_while(|entry| entry.offset <= old.offset()) {
            new.apply(entry.offset, entry.epoch, &entry.records);
        }
        if new.offset() > old.offset() {
            self.publish(&old, new, out);
        }
        match (is_awaited, entries.is_empty()) {
            (true, false) => self.pull(out),
            // Nothing new where it was asked: perhaps elsewhere.
            (true, true) => self.after(RETRY_PAUSE_MS * MS, NodeTimer::PullExpired { id }, out),
            (false, _) => {}
        }
    }

    fn publish(&mut self, old: &Image, new: Image, out: &mut Outbox) {
        let mut delta = Image::diff(old, &new);
        let is_registered = self.is_registered(&new);
        let Some(process) = self.process.as_mut() else { return };
        process.image = new.clone();
        if is_registered && !process.is_settled {
            process.is_settled = true;
            delta = Image::diff(&Image::empty(), &new);
        }
        let is_settled = process.is_settled;
        if is_settled {
            self.create(&delta, out);
        }
        for change in &delta.partitions {
            if let (Some(key), Some(meta)) =
                (self.topology.key(&change.topic.name, change.partition), &change.new)
            {
                match meta.replicas.contains(&(self.id as i32)) {
                    true => self.assign(key, meta, &new, out),
                    false if is_settled => self.remove(key, out),
                    false => {}
                }
            }
        }
        self.brokers_changed(&delta.brokers, &new, out);
        self.lead_groups(out);
    }

    /// Opens the logs of replicas that are new here.
    fn create(&mut self, delta: &Delta, out: &mut Outbox) {
        for change in &delta.partitions {
            let is_mine = change.new.as_ref().is_some_and(|meta| meta.replicas.contains(&(self.id as i32)));
            let Some(key) = self.topology.key(&change.topic.name, change.partition).filter(|_| is_mine)
            else {
                continue;
            };
            if self.replica(key).is_some() {
                continue;
            }
            match self.open_replica(key, Some(change.topic.id), out) {
                // It is new, or its directory does not say whose it is.
                Ok(()) => drop(self.change(key, out, |replica, _, _| replica.doubts_epochs = false)),
                Err(error) => self.directory_failed(format!("cannot open partition {key}: {error}"), out),
            }
        }
    }

    /// The partition was moved to others: its log goes.
    fn remove(&mut self, key: Key, out: &mut Outbox) {
        let removed = self.change(key, out, |replica, _, sparks| {
            replica.leave_role(ErrorCode::NotLeaderOrFollower, sparks);
            replica.role = Role::Offline;
        });
        let unique = Uuid::from_u128(u128::from(out.random.next()));
        let (topic, index) = self.topology.name(key);
        let Some(process) = self.process.as_mut().filter(|_| removed.is_some()) else { return };
        process.replicas[key] = None;
        // What is not removed now is not opened either: it is renamed, or its records are those of a follower.
        let gone =
            process.dir.rename_for_delete(topic, index, unique).and_then(|path| process.dir.remove(&path));
        let node = self.id;
        out.note(|| format!("node {node} removes partition {key}: {gone:?}"));
    }

    /// Whether this process is the one that is registered there.
    fn is_registered(&self, image: &Image) -> bool {
        let own = image.broker(self.id as i32);
        let process = self.process.as_ref();
        own.zip(process).is_some_and(|(own, process)| own.incarnation == process.incarnation_id)
    }

    fn assign(&mut self, key: Key, meta: &PartitionMeta, image: &Image, out: &mut Outbox) {
        let active = |id: &i32| {
            image.broker(*id).filter(|broker| broker.is_active()).map(|broker| (*id, broker.epoch))
        };
        let assignment = Assignment {
            local: self.id as i32,
            partition: meta,
            // Replicas that are added do not count before they are there, here as at the controller.
            min_isr: self.topology.min_isr.min(meta.replication_factor()),
            eligible: meta.replicas.iter().filter_map(active).collect(),
            is_registered: self.is_registered(image),
            knows_epochs: self.is_registered(image) && !image.has_skipped_records(),
        };
        self.change(key, out, |replica, now_ms, sparks| {
            replica.assign(&assignment, now_ms, sparks);
            replica.repair(sparks);
        });
        self.renew_points(out);
    }

    /// Fencing, unfencing and registration decide who may join an ISR, and where leaders are dialled.
    fn brokers_changed(&mut self, brokers: &[BrokerDelta], image: &Image, out: &mut Outbox) {
        if brokers.is_empty() {
            return;
        }
        for key in 0..self.topology.partitions() {
            let (topic, index) = self.topology.name(key);
            let leads = self.replica(key).is_some_and(|replica| replica.role.led_epoch().is_some());
            if let Some(meta) = image.partition(topic, index).filter(|_| leads) {
                self.assign(key, meta, image, out);
            }
        }
        for broker in brokers.iter().filter(|broker| is_another_process(broker)) {
            if let Ok(id) = usize::try_from(broker.id) {
                self.forget_connection(id);
            }
        }
    }
}

fn is_another_process(broker: &BrokerDelta) -> bool {
    match (&broker.old, &broker.new) {
        (Some(old), Some(new)) => old.epoch != new.epoch,
        _ => true,
    }
}
