//! Faults that take data away: a replaced disk, a flipped bit. They strike only while others keep what was promised.

use std::path::Path;

use bytes::Bytes;
use klamm_log::{Disk, OpenMode, SimDisk};
use klamm_records::batches;

use crate::message::Key;
use crate::node::Node;
use crate::queue::MS;
use crate::world::World;

impl World {
    /// Whether a node's data may go: every partition that it holds has another member of the ISR that is up,
    /// registered and whole.
    pub(super) fn is_spare(&self, node: usize) -> bool {
        let is_whole = |id: i32| {
            let other = usize::try_from(id).ok().and_then(|id| self.nodes.get(id));
            other.is_some_and(|other| {
                other.id != node
                    && !self.is_damaged(other.id)
                    && !other.is_leaving()
                    && self.is_registered(other.id)
            })
        };
        let all_whole = self.damaged.iter().all(|(other, _)| *other == node) && !self.trusts_one;
        let mut partitions = self.partitions();
        let others_hold =
            |partition: &klamm_metadata::Partition| partition.isr.iter().any(|id| is_whole(*id));
        all_whole && partitions.all(|(_, partition)| others_hold(&partition))
    }

    /// Whether nobody else is about to say that it stopped uncleanly, or to look so: whose copy is whole could not be known then.
    pub(super) fn others_are_sure(&self, node: usize) -> bool {
        let mut others = self.nodes.iter().filter(|other| other.id != node);
        others.all(|other| self.is_registered(other.id) && !other.is_leaving())
            && !self.network.holds_registrations(self.out.now)
            && !self.quorum.is_deciding()
    }

    /// Nobody else stops uncleanly before this node has registered.
    pub(super) fn alone_is_unclean(&mut self, node: usize) {
        self.flipped = Some(node);
        for other in &self.nodes {
            other.disk.fail_syncs(0);
            other.disk.fail_writes(0);
        }
    }

    fn is_damaged(&self, node: usize) -> bool {
        self.damaged.iter().any(|(other, _)| *other == node)
    }

    pub(super) fn lose_disk(&mut self) -> bool {
        let node = self.any_node();
        // A registration from before that comes after the new disk's says that this one is gone, too: then nobody is known to hold
        // anything, and only an administrator goes on.
        if !self.is_spare(node) || self.network.holds_registrations(self.out.now) {
            return false;
        }
        let disk = SimDisk::new(self.out.random.next());
        self.replace_disk(node, disk);
        self.say(|| format!("node {node} comes back with an empty disk"));
        let pause = self.out.random.between(50, 800) * MS;
        self.nodes[node].start_after(pause, &mut self.out);
        true
    }

    /// The machine stops and gets another disk.
    pub(super) fn replace_disk(&mut self, node: usize, disk: SimDisk) {
        self.nodes[node].lose_power(&mut self.out);
        self.nodes[node].disk = disk;
        if let Some(copy) = &mut self.nodes[node].copy {
            copy.is_of_another = true;
        }
        self.nodes[node].lost_disk = true;
        self.nodes[node].log_starts.fill(0);
        let held: Vec<Key> = self
            .partitions()
            .filter(|(_, p)| p.replicas.contains(&(node as i32)))
            .map(|(key, _)| key)
            .collect();
        self.damaged.extend(held.into_iter().map(|key| (node, key)));
    }

    /// Kills a node and flips a bit behind the recovery point of one of its logs while it is down.
    pub(super) fn flip_bit(&mut self) -> bool {
        let node = self.any_node();
        if !self.nodes[node].is_up() || !self.is_spare(node) || !self.others_are_sure(node) {
            return false;
        }
        let key = self.out.random.index(self.topology.data_partitions);
        self.nodes[node].kill(&mut self.out);
        let pause = self.out.random.between(20, 400) * MS;
        self.nodes[node].start_after(pause, &mut self.out);
        let places = places(&self.nodes[node], key);
        let Some((path, at)) =
            self.out.random.pick(&(0..places.len()).collect::<Vec<_>>()).map(|i| places[i].clone())
        else {
            return false;
        };
        let position = at.start + self.out.random.below(at.end - at.start);
        let flip = 1 << self.out.random.below(8);
        self.damaged.insert((node, key));
        self.alone_is_unclean(node);
        self.say(|| format!("node {node}: a bit flips in {path} at {position}"));
        self.nodes[node].disk.corrupt(Path::new(&path), position, flip).is_ok()
    }
}

/// Where batches behind the recovery point lie on a stopped node's disk: file and bytes.
fn places(node: &Node, key: Key) -> Vec<(String, std::ops::Range<u64>)> {
    let (topic, index) = node.topology.name(key);
    let dir = format!("{}/{topic}-{index}", crate::node::DATA_DIR);
    let mut names: Vec<String> =
        node.disk.list(Path::new(&dir)).unwrap_or_default().into_iter().map(|entry| entry.name).collect();
    names.retain(|name| name.ends_with(".log"));
    names.sort();
    let mut places = Vec::new();
    for name in names {
        let path = format!("{dir}/{name}");
        let mut at = 0;
        for batch in batches(contents(&node.disk, &path)).map_while(Result::ok) {
            let length = batch.bytes.len() as u64;
            if batch.header.base_offset >= node.recovery_points[key] {
                places.push((path.clone(), at..at + length));
            }
            at += length;
        }
    }
    places
}

/// What a file holds; nothing if it cannot be read.
pub(super) fn contents(disk: &SimDisk, path: &str) -> Bytes {
    let read = || {
        let file = disk.open(Path::new(path), OpenMode::Read)?;
        let mut contents = vec![0; usize::try_from(file.len()?).unwrap_or(0)];
        let length = file.read_at(&mut contents, 0)?;
        contents.truncate(length);
        Ok::<_, std::io::Error>(Bytes::from(contents))
    };
    read().unwrap_or_default()
}
