//! What the invariants are shown after each event.

use klamm_metadata::controller::Command;
use klamm_metadata::{Partition, Record};

use super::World;
use crate::faults::Moment;
use crate::history::{ClientEvent, Digest, ServerEvent, digests, hole};
use crate::message::{Key, Message};
use crate::node::Replica;
use crate::outbox::Touch;

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// The batches of a log from `from`, below `end`.
pub(super) fn read_log(replica: &Replica, from: i64, end: i64) -> Vec<Digest> {
    let mut found: Vec<Digest> = Vec::new();
    let mut at = from;
    while at < end {
        let Ok(bytes) = replica.bytes(at, READ_BYTES, end) else { break };
        let batches = digests(bytes);
        let next = batches.last().map_or(at, |batch| batch.next);
        found.extend(batches);
        if next <= at {
            break;
        }
        at = next;
    }
    found
}

impl World {
    pub(super) fn look(&mut self) {
        for touch in std::mem::take(&mut self.out.touched) {
            match touch {
                Touch::Advanced { node, key } => self.look_at_high_watermark(node, key),
                Touch::Elected { node, key, epoch } => self.look_at_leader(node, key, epoch),
                Touch::StartMoved { key: partition, start } => {
                    self.tell_server(&ServerEvent::StartMoved { partition, start });
                }
                Touch::Deleted { key, start } => self.look_at_deletion(key, start),
                Touch::SequenceRefused { node, key } => self.look_at_refusal(node, key),
            }
        }
        for (partition, partition_epoch, isr) in std::mem::take(&mut self.out.promised) {
            let is_committed = self.is_committed(partition, partition_epoch, &isr);
            self.tell_server(&ServerEvent::IsrTaken { partition, partition_epoch, is_committed });
        }
        self.look_at_quorum();
        self.look_at_ended();
        for event in std::mem::take(&mut self.out.history) {
            self.note_client(&event);
        }
    }

    fn note_client(&mut self, event: &ClientEvent) {
        match event {
            ClientEvent::SequenceRefused { producer, partition, sequence, node }
                if !self.leads(*node, *partition)
                    || self.nodes[*node].begins_behind(*partition, *producer, *sequence) =>
            {
                return;
            }
            ClientEvent::Listed { partition, node, leader_epoch, .. }
                if !self.leads(*node, *partition) && self.is_over(*partition, *leader_epoch) =>
            {
                return;
            }
            // A leader that was replaced serves who does not know it either.
            ClientEvent::Read { partition, leader_epoch, .. } if self.is_over(*partition, *leader_epoch) => {
                return;
            }
            ClientEvent::Acked { value, offset, partition, .. } => {
                self.acked += 1;
                self.trace.mix(*value ^ (*offset as u64) << 20 ^ (*partition as u64) << 60);
            }
            ClientEvent::Polled { position, records, .. } => {
                self.trace.mix(*position as u64 ^ (records.len() as u64) << 40);
            }
            _ => self.trace.mix(7),
        }
        let violation = self.invariants.client(event);
        self.violation = self.violation.take().or(violation);
    }

    /// Whether the refusal comes from who was silent for so long that the controllers count it as dead. Who is about to stop was
    /// not, and one that a controller answered which had been replaced itself cannot know better.
    fn look_at_refusal(&mut self, node: usize, partition: Key) {
        let broker = self.quorum.image.broker(node as i32);
        let is_fenced = self.is_registered(node) && broker.is_some_and(|broker| broker.fenced);
        let is_sure = !self.nodes[node].is_leaving() && self.out.now > self.zombie_until;
        let counts_as_dead = is_fenced && is_sure;
        self.tell_server(&ServerEvent::SequenceRefused { node, partition, counts_as_dead });
    }

    /// Whether the controllers have this node lead, now.
    fn leads(&self, node: usize, key: Key) -> bool {
        self.leader(key) == Some(node)
    }

    fn is_over(&self, key: Key, leader_epoch: i32) -> bool {
        self.partition(key).is_some_and(|partition| partition.leader_epoch > leader_epoch)
    }

    fn look_at_high_watermark(&mut self, node: usize, key: Key) {
        let Some(process) = self.nodes[node].process.as_mut() else { return };
        let Some(replica) = process.replicas.get_mut(key).and_then(Option::as_mut) else { return };
        let from = replica.checked_to.max(replica.log.start_offset());
        let high_watermark = replica.high_watermark;
        if high_watermark <= from || replica.log.offline_reason().is_some() {
            return;
        }
        let leads = replica.role.led_epoch().is_some();
        let batches = read_log(replica, from, high_watermark);
        replica.checked_to = batches.last().map_or(from, |batch| batch.next);
        if leads && self.trace.prints() {
            let text =
                format!("node {node} commits partition {key} up to {high_watermark}: {:?}", replica.role);
            self.trace.say(self.out.now, format_args!("{text}"));
        }
        let visible =
            ServerEvent::Visible { node, partition: key, leads, from, end: high_watermark, batches };
        self.tell_server(&visible);
        if leads {
            self.look_at_candidates(key);
        }
    }

    fn look_at_leader(&mut self, node: usize, key: Key, epoch: i32) {
        let Some(replica) = self.nodes[node].replica(key) else { return };
        let (start, end) = (replica.log.start_offset(), replica.log.end_offset());
        let log = read_log(replica, start, end);
        let process = self.nodes[node].incarnation;
        let is_current =
            self.partition(key).is_some_and(|p| (p.leader, p.leader_epoch) == (node as i32, epoch));
        self.say(|| format!("node {node} leads partition {key} in epoch {epoch}"));
        self.tell_server(&ServerEvent::Elected {
            node,
            process,
            partition: key,
            epoch,
            is_current,
            start,
            end,
            log,
        });
    }

    /// Everybody who could be elected and is there to be looked at.
    pub(super) fn look_at_candidates(&mut self, key: Key) {
        let Some(partition) = self.partition(key).cloned() else { return };
        for id in partition.isr.iter().chain(&partition.elr) {
            let Some(node) = usize::try_from(*id).ok().and_then(|id| self.nodes.get(id)) else { continue };
            let Some(replica) =
                node.replica(key).filter(|_| !node.lost_disk && !self.damaged.contains(&(node.id, key)))
            else {
                continue;
            };
            let start = self.is_registered(node.id).then(|| replica.log.start_offset());
            let end = replica.log.end_offset();
            self.tell_server(&ServerEvent::Candidate { node: node.id, partition: key, start, end });
        }
    }

    /// Entries that were committed since the last look.
    fn look_at_quorum(&mut self) {
        if self.quorum.epoch != self.seen_epoch {
            self.seen_epoch = self.quorum.epoch;
            let controller = self.quorum.leader.unwrap_or_default();
            self.tell_server(&ServerEvent::ControllerElected { controller, epoch: self.seen_epoch });
        }
        while let Some(entry) = self.quorum.log.get(self.seen_entries).cloned() {
            self.seen_entries += 1;
            self.trace.mix(entry.offset as u64 ^ (entry.records.len() as u64) << 48);
            let mut changed: Vec<Key> =
                entry.records.iter().filter_map(|record| self.look_at_record(record)).collect();
            changed.sort_unstable();
            changed.dedup();
            changed.into_iter().for_each(|key| self.look_at_change(key));
        }
    }

    /// The partition that the record changes.
    fn look_at_record(&mut self, record: &Record) -> Option<Key> {
        let (offset, epoch) = (self.shown.offset() + 1, self.quorum.epoch);
        self.shown.apply(offset, epoch, std::slice::from_ref(record));
        match record {
            Record::RegisterBroker(r) => {
                let node = r.broker_id as usize;
                self.nodes[node].lost_disk = false;
                self.flipped = self.flipped.filter(|flipped| *flipped != node || self.hides_damage(node));
                self.tell_server(&ServerEvent::Registered { node, epoch: r.broker_epoch });
                self.it_is_time(Moment::Registration, &[node]);
                None
            }
            Record::UnfenceBroker(r) => {
                let broker = self.shown.broker(r.id)?;
                let node = r.id as usize;
                if let Some(knows_itself) = self.nodes[node].knows(broker) {
                    self.tell_server(&ServerEvent::Unfenced { node, epoch: r.epoch, knows_itself });
                }
                None
            }
            Record::Partition(r) => {
                let topic = self.shown.topic_by_id(r.topic_id)?;
                let key = self.topology.key(&topic.name, r.partition_id)?;
                self.admin.settled(key, &r.replicas);
                None
            }
            Record::PartitionChange(r) => {
                let topic = self.shown.topic_by_id(r.topic_id)?;
                let key = self.topology.key(&topic.name, r.partition_id)?;
                let partition = topic.partitions.get(&r.partition_id)?;
                self.isrs.insert((key, partition.partition_epoch), partition.isr.clone());
                Some(key)
            }
            _ => None,
        }
    }

    fn look_at_change(&mut self, key: Key) {
        let (topic, index) = self.topology.name(key);
        let image = &self.quorum.images[self.seen_entries - 1];
        let Some(partition) = image.partition(topic, index).cloned() else { return };
        let (leader_epoch, partition_epoch) = (partition.leader_epoch, partition.partition_epoch);
        self.say(|| {
            format!(
                "partition {key}: leader {} epoch {leader_epoch} isr {:?} elr {:?} partition epoch {partition_epoch}",
                partition.leader, partition.isr, partition.elr
            )
        });
        self.tell_server(&ServerEvent::PartitionChanged { partition: key, leader_epoch, partition_epoch });
        let leader_before = self.leaders.insert(key, partition.leader);
        if leader_before.is_some_and(|before| before != partition.leader) {
            let concerned = [leader_before.unwrap_or(-1), partition.leader];
            let concerned: Vec<usize> = concerned.into_iter().filter_map(|id| id.try_into().ok()).collect();
            self.it_is_time(Moment::LeaderChange, &concerned);
        }
        if !partition.is_reassigning() {
            self.admin.settled(key, &partition.replicas);
        }
        self.look_at_holders(key, &partition);
        self.mark_whole(key, &partition);
        self.look_at_candidates(key);
    }

    /// Which copies are whole by now.
    pub(super) fn look_at_damage(&mut self) {
        for (_, key) in self.damaged.clone() {
            let (topic, index) = self.topology.name(key);
            if let Some(partition) = self.quorum.image.partition(topic, index).cloned() {
                self.mark_whole(key, &partition);
            }
        }
    }

    /// A damaged replica that is in the ISR again and can be read to its end, or is gone, has all it needs. The ISR alone does not
    /// say so: damage may lie where nobody has looked yet.
    fn mark_whole(&mut self, key: Key, partition: &Partition) {
        for node in 0..self.nodes.len() {
            let id = node as i32;
            let is_gone = !partition.replicas.contains(&id);
            let is_back =
                partition.isr.contains(&id) && self.is_registered(node) && self.is_readable(node, key);
            if (is_gone || is_back) && !self.nodes[node].lost_disk {
                self.damaged.remove(&(node, key));
            }
        }
        self.flipped = self.flipped.filter(|node| self.damaged.iter().any(|(other, _)| other == node));
    }

    /// Whether the node has registered with damage that it has not found yet.
    fn hides_damage(&self, node: usize) -> bool {
        let mut damaged = self.damaged.iter().filter(|(other, _)| *other == node);
        damaged.any(|(_, key)| self.nodes[node].replica(*key).is_some() && !self.is_readable(node, *key))
    }

    pub(super) fn is_readable(&self, node: usize, key: Key) -> bool {
        self.nodes[node].replica(key).is_some_and(|replica| {
            let (start, end) = (replica.log.start_offset(), replica.log.end_offset());
            let batches = read_log(replica, start, end);
            batches.last().map_or(start, |last| last.next) == end
                && hole(start, &batches).is_none()
                && batches.iter().all(|batch| batch.is_sound)
        })
    }

    /// A message on its way: a proposal is a moment for faults.
    pub(super) fn look_at_message(&mut self, message: &Message) {
        if let Message::Command { command, .. } = message
            && let Command::AlterPartition(request) = &**command
        {
            let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
            let members = partitions.flat_map(|partition| &partition.new_isr_with_epochs);
            let concerned: Vec<usize> =
                members.filter_map(|member| member.broker_id.try_into().ok()).collect();
            self.it_is_time(Moment::Proposal, &concerned);
        }
    }

    /// Whether the controllers know this very process of the node.
    pub(crate) fn is_registered(&self, node: usize) -> bool {
        self.nodes[node].process.as_ref().is_some_and(|process| {
            let broker = self.quorum.image.broker(node as i32);
            broker.is_some_and(|broker| broker.epoch == process.broker_epoch)
        })
    }

    /// Whether any record made this the ISR; a later one of the same entry may have changed it again.
    fn is_committed(&self, key: Key, partition_epoch: i32, isr: &[i32]) -> bool {
        self.isrs.get(&(key, partition_epoch)).is_some_and(|committed| committed == isr)
    }

    pub(super) fn look_at_image(&mut self, node: usize) {
        let Some(process) = self.nodes[node].process.as_ref() else { return };
        let offset = process.image.offset();
        let committed = usize::try_from(offset).ok().and_then(|offset| self.quorum.images.get(offset));
        let is_prefix = committed.is_none_or(|committed| *committed == process.image);
        self.tell_server(&ServerEvent::ImageApplied { node, offset, is_prefix });
    }
}
