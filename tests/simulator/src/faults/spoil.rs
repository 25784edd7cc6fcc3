//! A disk gives back something else than it was given (F24): a flipped bit, a file that ends earlier, a block of zeros, a block
//! as it was some time ago. It strikes a node that was killed or has stopped in order, and files of every kind.
//!
//! Exempt is `meta.properties`: a node that does not know whose its disk is does not start until somebody has put that right.

use std::collections::BTreeMap;
use std::path::Path;

use klamm_log::{Disk, SimDisk};
use klamm_records::batches;

use super::damage::contents;
use super::{Family, Fault};
use crate::message::Key;
use crate::node::DATA_DIR;
use crate::queue::MS;
use crate::world::World;

/// Bytes that a disk loses or brings back at once.
const BLOCK: usize = 4_096;
/// Files that are left alone: the identity of the disk, and one that never holds anything.
const EXEMPT: [&str; 2] = ["meta.properties", ".lock"];

/// What happens to a file.
#[derive(Debug)]
enum Blow {
    Flip {
        position: usize,
        bit: u8,
    },
    Cut {
        length: usize,
    },
    /// From `start` on these bytes are there.
    Block {
        start: usize,
        bytes: Vec<u8>,
    },
}

impl World {
    /// Stops a node, in order or not, and spoils one of its files while it is down.
    pub(super) fn spoil_file(&mut self, family: Family) -> bool {
        let node = self.any_node();
        if !self.nodes[node].is_up() || !self.may_be_spoilt(node) {
            return false;
        }
        if self.out.random.chance(500) {
            self.nodes[node].begin_stop(&mut self.out);
            self.later(1, 30, Fault::Spoil { family, node, looks: 200 });
            // It has not struck yet, and is counted when it does.
            return false;
        }
        self.nodes[node].kill(&mut self.out);
        let pause = self.out.random.between(20, 400) * MS;
        self.nodes[node].start_after(pause, &mut self.out);
        self.spoil(family, node)
    }

    /// Strikes once the node has stopped, if it still may.
    pub(super) fn spoil_when_stopped(&mut self, family: Family, node: usize, looks: u32) {
        if self.nodes[node].is_up() {
            if let Some(looks) = looks.checked_sub(1) {
                self.later(20, 30, Fault::Spoil { family, node, looks });
            }
        } else if self.flipped.is_none() && self.out.now < self.faults_end && self.may_be_spoilt(node) {
            let has_struck = self.spoil(family, node);
            self.strikes.count(family, has_struck);
        }
    }

    fn may_be_spoilt(&self, node: usize) -> bool {
        self.is_spare(node) && self.others_are_sure(node)
    }

    fn spoil(&mut self, family: Family, node: usize) -> bool {
        let Some((path, blow)) = self.choose_blow(family, node) else { return false };
        let keys = self.keys_of(node, &path);
        self.damaged.extend(keys.into_iter().map(|key| (node, key)));
        self.alone_is_unclean(node);
        self.say(|| format!("node {node}: {path} is spoilt: {blow}"));
        let strike = |bytes: &mut Vec<u8>| {
            blow.strike(bytes);
            Ok(())
        };
        self.nodes[node].disk.alter(Path::new(&path), strike).is_ok()
    }

    fn choose_blow(&mut self, family: Family, node: usize) -> Option<(String, Blow)> {
        let mut files = files(&self.nodes[node].disk);
        if family == Family::StaleBlock {
            // No block of another disk comes back.
            let old = &self.nodes[node].copy.as_ref().filter(|copy| !copy.is_of_another)?.disk;
            let blocks = files.iter().flat_map(|(path, bytes)| {
                let blocks = stale_blocks(bytes, &contents(old, path));
                blocks.into_iter().map(move |blow| (path.clone(), blow))
            });
            let mut blocks: Vec<(String, Blow)> = blocks.collect();
            let at = self.rather_a_log(&blocks)?;
            return Some(blocks.swap_remove(at));
        }
        let at = self.rather_a_log(&files)?;
        let (path, bytes) = files.swap_remove(at);
        let random = &mut self.out.random;
        let position = random.index(bytes.len());
        let blow = match family {
            Family::Truncated => {
                let ends = ends(&path, &bytes);
                let length = random.pick(&ends).filter(|_| random.chance(400)).unwrap_or(position);
                Blow::Cut { length }
            }
            Family::Zeroed => {
                let start = position / BLOCK * BLOCK;
                Blow::Block { start, bytes: vec![0; BLOCK.min(bytes.len() - start)] }
            }
            _ => Blow::Flip { position, bit: 1 << random.below(8) },
        };
        Some((path, blow))
    }

    /// One of these files: a log as often as not, else any kind as often as any other.
    fn rather_a_log<T>(&mut self, files: &[(String, T)]) -> Option<usize> {
        let mut kinds = BTreeMap::<&str, Vec<usize>>::new();
        for (at, (path, _)) in files.iter().enumerate() {
            kinds.entry(kind(path)).or_default().push(at);
        }
        let logs = kinds.remove("log").filter(|_| kinds.is_empty() || self.out.random.chance(500));
        let of_a_kind = match logs {
            Some(logs) => logs,
            None => {
                let at = self.out.random.index(kinds.len());
                kinds.into_values().nth(at)?
            }
        };
        self.out.random.pick(&of_a_kind)
    }

    /// The partitions whose copies on the node such a file belongs to.
    fn keys_of(&self, node: usize, path: &str) -> Vec<Key> {
        let dir = path.rsplit('/').nth(1).and_then(|dir| dir.rsplit_once('-'));
        let key = dir.and_then(|(topic, index)| self.topology.key(topic, index.parse().ok()?));
        let held = self.partitions().filter(|(_, partition)| partition.replicas.contains(&(node as i32)));
        key.map_or_else(|| held.map(|(key, _)| key).collect(), |key| vec![key])
    }
}

impl Blow {
    fn strike(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip { position, bit } => bytes[*position] ^= bit,
            Self::Cut { length } => bytes.truncate(*length),
            Self::Block { start, bytes: block } => {
                bytes[*start..*start + block.len()].copy_from_slice(block);
            }
        }
    }
}

impl std::fmt::Display for Blow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flip { position, bit } => write!(f, "bit {bit:#x} flips at {position}"),
            Self::Cut { length } => write!(f, "it ends at {length}"),
            Self::Block { start, bytes } if bytes.iter().all(|byte| *byte == 0) => {
                write!(f, "{} zeros at {start}", bytes.len())
            }
            Self::Block { start, bytes } => write!(f, "{} old bytes at {start}", bytes.len()),
        }
    }
}

/// The files of a disk that hold anything, and what they hold.
fn files(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let (mut dirs, mut files) = (vec![DATA_DIR.to_owned()], Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in disk.list(Path::new(&dir)).unwrap_or_default() {
            let path = format!("{dir}/{}", entry.name);
            if entry.is_dir {
                dirs.push(path);
            } else if !EXEMPT.contains(&entry.name.as_str()) {
                files.push((path.clone(), contents(disk, &path).to_vec()));
            }
        }
    }
    files.retain(|(_, bytes)| !bytes.is_empty());
    files.sort();
    files
}

/// What a file is for: the extension of a segment's, the name of any other.
fn kind(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.split_once('.') {
        Some((base, extension)) if base.starts_with(|c: char| c.is_ascii_digit()) => extension,
        _ => name,
    }
}

/// Blocks that were once something else.
fn stale_blocks(now: &[u8], old: &[u8]) -> Vec<Blow> {
    let block = |(at, block): (usize, &[u8])| {
        let start = at * BLOCK;
        let mut bytes =
            old.get(start..old.len().min(start + block.len())).filter(|old| !old.is_empty())?.to_vec();
        // Nothing had been written there.
        bytes.resize(block.len(), 0);
        (bytes != block).then_some(Blow::Block { start, bytes })
    };
    now.chunks(BLOCK).enumerate().filter_map(block).collect()
}

/// Where whole batches of a log end: a file of such a length is as sound as one that was never longer.
fn ends(path: &str, bytes: &[u8]) -> Vec<usize> {
    if kind(path) != "log" {
        return Vec::new();
    }
    let mut ends = vec![0];
    for batch in batches(bytes.to_vec().into()).map_while(Result::ok) {
        ends.push(ends[ends.len() - 1] + batch.bytes.len());
    }
    ends.pop();
    ends
}
