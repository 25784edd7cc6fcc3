//! The end of a run: everything is repaired, the cluster comes to rest, and what it holds is compared with what was
//! promised.

use super::World;
use super::look::read_log;
use crate::client::Client;
use crate::history::{ServerEvent, values};
use crate::message::Key;
use crate::node::Node;
use crate::queue::MS;

impl World {
    /// Repairs everything; producers send nothing new.
    pub(super) fn repair(&mut self) {
        self.say(|| "everything is repaired".to_owned());
        self.network.heal();
        self.quorum.heal();
        for voter in self.voters() {
            self.controller_goes_on(voter);
        }
        for node in 0..self.nodes.len() {
            let repaired = &mut self.nodes[node];
            repaired.slow_disk = 0;
            (repaired.dies_in_start, repaired.is_older) = (None, false);
            repaired.disk.set_capacity(u64::MAX);
            repaired.disk.set_short_writes(false);
            repaired.disk.fail_syncs(0);
            repaired.disk.fail_writes(0);
            self.resume(node);
            if !self.nodes[node].is_up() {
                self.nodes[node].start_after(50 * MS, &mut self.out);
            }
        }
        for client in &mut self.clients {
            match client {
                Client::Producer(producer) => producer.stop(),
                Client::Consumer(consumer) => consumer.stop(),
                Client::Deleter(deleter) => deleter.stop(),
            }
        }
        self.drain();
    }

    /// Nodes of the version before return as this one, one after another.
    pub(super) fn upgrade(&mut self) {
        // A damaged copy may have been removed since its partition last changed.
        self.look_at_damage();
        let serves = |node: &Node| node.is_up() && !node.is_leaving() && self.is_registered(node.id);
        if self.flipped.is_none()
            && self.nodes.iter().all(serves)
            && let Some(node) = self.nodes.iter().position(Node::runs_older)
        {
            self.nodes[node].begin_stop(&mut self.out);
            self.drain();
        }
    }

    /// What keeps the cluster from being at rest.
    pub(super) fn not_at_rest(&self) -> Option<String> {
        self.node_not_at_rest()
            .or_else(|| (0..self.topology.partitions()).find_map(|key| self.partition_not_at_rest(key)))
            .or_else(|| self.client_not_at_rest())
            .or_else(|| self.copy_not_at_rest())
    }

    /// Damage that has not been found and repaired yet.
    fn copy_not_at_rest(&self) -> Option<String> {
        let keys = 0..self.topology.partitions();
        let mut copies = keys.flat_map(|key| self.nodes.iter().map(move |node| (node, key)));
        let damaged =
            copies.find(|(node, key)| node.replica(*key).is_some() && !self.is_readable(node.id, *key));
        damaged.map(|(node, key)| format!("node {} cannot read partition {key} to its end", node.id))
    }

    fn node_not_at_rest(&self) -> Option<String> {
        self.nodes.iter().find_map(|node| {
            let broker = self.quorum.image.broker(node.id as i32);
            let works = node.is_up() && !node.runs_older() && broker.is_some_and(|broker| broker.is_active());
            (!works)
                .then(|| format!("node {} is not up and unfenced: up {}, {broker:?}", node.id, node.is_up()))
        })
    }

    fn partition_not_at_rest(&self, key: Key) -> Option<String> {
        let (topic, index) = self.topology.name(key);
        let Some(partition) = self.quorum.image.partition(topic, index) else {
            return Some(format!("partition {key} does not exist"));
        };
        let leader = usize::try_from(partition.leader).ok().and_then(|id| self.nodes[id].replica(key));
        let Some(leader) = leader.filter(|leader| leader.role.led_epoch() == Some(partition.leader_epoch))
        else {
            return Some(format!("partition {key} is not led: {partition:?}"));
        };
        if partition.is_reassigning() || !self.admin.is_fulfilled(key, &partition.replicas) {
            let wanted = self.admin.wishes(key);
            return Some(format!(
                "partition {key} does not have the replicas asked for: {partition:?}, {wanted:?}"
            ));
        }
        let elsewhere =
            |node: &&Node| node.replica(key).is_some() && !partition.replicas.contains(&(node.id as i32));
        if let Some(node) = self.nodes.iter().find(elsewhere) {
            return Some(format!("node {} still has partition {key}: {partition:?}", node.id));
        }
        if partition.isr.len() != partition.replicas.len() {
            let roles: Vec<_> =
                self.nodes.iter().map(|node| node.replica(key).map(|replica| &replica.role)).collect();
            return Some(format!("partition {key} is not fully in sync: {partition:?}; {roles:?}"));
        }
        let is_full =
            |id: &&i32| self.nodes[**id as usize].replica(key).is_some_and(|replica| replica.disk_full);
        if let Some(id) = partition.replicas.iter().find(is_full) {
            return Some(format!("node {id} takes nothing for partition {key}, as if its disk were full"));
        }
        let end = leader.log.end_offset();
        let behind = partition.replicas.iter().find(|id| {
            let replica = self.nodes[**id as usize].replica(key);
            replica.is_none_or(|replica| replica.high_watermark != end || replica.log.end_offset() != end)
        });
        behind.map(|id| {
            let replica = self.nodes[*id as usize].replica(key);
            let ends = replica.map(|replica| (replica.high_watermark, replica.log.end_offset()));
            format!("node {id} is not at the end {end} of partition {key}: high watermark and end {ends:?}")
        })
    }

    fn client_not_at_rest(&self) -> Option<String> {
        self.clients.iter().find_map(|client| match client {
            Client::Producer(producer) => (!producer.is_done()).then(|| "a send is not answered".to_owned()),
            Client::Deleter(deleter) => {
                deleter.lacks().map(|key| format!("nothing of partition {key} can be deleted"))
            }
            Client::Consumer(consumer) => (0..self.topology.data_partitions).find_map(|key| {
                let end = self.leader_end(key);
                let position = consumer.position(key);
                (position != end)
                    .then(|| format!("a consumer of partition {key} is at {position}, the end is {end}"))
            }),
        })
    }

    fn leader_end(&self, key: Key) -> i64 {
        self.leader(key)
            .and_then(|id| self.nodes[id].replica(key))
            .map_or(-1, |leader| leader.log.end_offset())
    }

    /// Shows the invariants what is there at the end.
    pub(super) fn finish(&mut self) {
        if self.violation.is_some() {
            return;
        }
        if let Some(reason) = self.not_at_rest() {
            return self.tell_server(&ServerEvent::NotAtRest { reason });
        }
        for node in 0..self.nodes.len() {
            for key in 0..self.topology.partitions() {
                self.finish_replica(node, key);
            }
            self.look_at_image(node);
        }
        for key in 0..self.topology.data_partitions {
            self.finish_partition(key);
        }
        let violation = self.invariants.end();
        self.violation = self.violation.take().or(violation);
    }

    fn finish_replica(&mut self, node: usize, key: Key) {
        let Some(replica) = self.nodes[node].replica(key) else { return };
        let (start, end) = (replica.log.start_offset(), replica.high_watermark);
        let batches = read_log(replica, start, end);
        let waiting = replica.waiting();
        self.tell_server(&ServerEvent::FinalLog { node, partition: key, start, end, batches });
        if waiting > 0 {
            let what = format!("{waiting} producers wait at node {node} for partition {key}");
            self.tell_server(&ServerEvent::Leaked { what });
        }
        let parked = self.nodes[node].process.as_ref().map_or(0, |process| process.parked.len());
        let limit = self.nodes.len() * 3 + self.clients.len() * 6;
        if parked > limit {
            self.tell_server(&ServerEvent::Leaked {
                what: format!("{parked} fetches are parked at node {node}"),
            });
        }
    }

    fn finish_partition(&mut self, key: Key) {
        let Some(replica) = self.leader(key).and_then(|id| self.nodes[id].replica(key)) else { return };
        let start = replica.log.start_offset();
        let (mut records, mut at) = (Vec::new(), start);
        while at < replica.high_watermark {
            let read = replica.bytes(at, 1 << 20, replica.high_watermark).ok().and_then(values);
            let Some(last) = read.as_ref().and_then(|read| read.last()).filter(|(last, _)| *last >= at)
            else {
                break;
            };
            at = last.0 + 1;
            records.extend(read.into_iter().flatten());
        }
        records.retain(|(offset, _)| *offset >= start);
        self.tell_server(&ServerEvent::FinalRecords { partition: key, records });
    }
}
