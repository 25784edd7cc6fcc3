//! What a simulated disk holds: names and contents, as cached and as durable.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Unit in which an unsynced write reaches the platter or not.
const SECTOR: u64 = 512;

pub(super) type Inode = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    File(Inode),
    Dir,
}

/// A change to the names in one directory that is not durable yet.
#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Put(PathBuf, Node),
    Remove(PathBuf),
    /// A rename reaches the disk as a whole or not at all.
    Rename(PathBuf, PathBuf),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// What readers see.
    pub(super) cached: Vec<u8>,
    /// What survives a power loss for certain.
    pub(super) durable: Vec<u8>,
    /// Changes since the last sync.
    pub(super) unsynced: Vec<Change>,
    /// What a failed sync left in the cache without a claim to the disk: no later sync writes it, only a new write does.
    pub(super) dropped: Vec<Range<usize>>,
    /// What no read gets, until it is written anew or cut off.
    pub(super) unreadable: Range<usize>,
}

impl Contents {
    /// Everything cached reaches the disk, apart from what an earlier sync gave up.
    pub(super) fn sync(&mut self) {
        let before = std::mem::replace(&mut self.durable, self.cached.clone());
        for range in &self.dropped {
            let end = range.end.min(self.durable.len());
            for at in range.start..end {
                self.durable[at] = before.get(at).copied().unwrap_or(0);
            }
        }
        self.unsynced.clear();
    }

    /// A sync fails: as on Linux, the pages count as clean from now on.
    pub(super) fn give_up(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            if let Change::Write { position, bytes } = change {
                let start = position as usize;
                self.dropped.push(start..start + bytes.len());
            }
        }
    }

    /// Whether a read of these bytes meets something unreadable.
    pub(super) fn is_unreadable(&self, read: &Range<usize>) -> bool {
        let bad = self.unreadable.start..self.unreadable.end.min(self.cached.len());
        bad.start.max(read.start) < bad.end.min(read.end)
    }

    /// These bytes are written anew.
    pub(super) fn claim(&mut self, written: &Range<usize>) {
        if self.is_unreadable(written) {
            self.unreadable = 0..0;
        }
        if self.dropped.is_empty() {
            return;
        }
        let rest = std::mem::take(&mut self.dropped).into_iter().flat_map(|range| {
            let before = range.start..range.end.min(written.start);
            let behind = range.start.max(written.end)..range.end;
            [before, behind]
        });
        self.dropped = rest.filter(|range| !range.is_empty()).collect();
    }
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { position: u64, bytes: Vec<u8> },
    SetLen(u64),
}

/// Called with the path of a file before it is opened.
pub(super) type OpenHook = Arc<dyn Fn(&Path) + Send + Sync>;

pub(super) struct State {
    pub(super) random: u64,
    pub(super) names: BTreeMap<PathBuf, Node>,
    pub(super) durable_names: BTreeMap<PathBuf, Node>,
    pub(super) name_changes: Vec<NameChange>,
    pub(super) inodes: Vec<Contents>,
    pub(super) locks: BTreeSet<PathBuf>,
    /// Bumped by a crash: handles and locks from before are dead.
    pub(super) generation: u64,
    pub(super) capacity: u64,
    /// Syncs that work before the failing ones.
    pub(super) passing_syncs: u32,
    pub(super) failing_syncs: u32,
    pub(super) failing_writes: u32,
    pub(super) failing_reads: u32,
    pub(super) short_writes: bool,
    pub(super) syncs: u64,
    pub(super) open_hook: Option<OpenHook>,
}

impl State {
    /// SplitMix64.
    pub(super) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn random_below(&mut self, bound: u64) -> u64 {
        self.next_random() % bound.max(1)
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<Inode> {
        match self.names.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Dir) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn contents(&mut self, inode: Inode) -> io::Result<&mut Contents> {
        self.inodes.get_mut(inode).ok_or_else(|| ErrorKind::NotFound.into())
    }

    pub(super) fn used(&self) -> u64 {
        let files = self.names.values().filter_map(|node| match node {
            Node::File(inode) => self.inodes.get(*inode),
            Node::Dir => None,
        });
        files.map(|contents| contents.cached.len() as u64).sum()
    }

    pub(super) fn change_names(&mut self, change: NameChange) {
        apply_names(&mut self.names, &change);
        self.name_changes.push(change);
    }

    pub(super) fn require_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent().map(|parent| self.names.get(parent)) {
            Some(Some(Node::Dir)) => Ok(()),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn sync_names(&mut self, dir: &Path) {
        let (synced, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.name_changes).into_iter().partition(|change| change.dir() == Some(dir));
        synced.iter().for_each(|change| apply_names(&mut self.durable_names, change));
        self.name_changes = rest;
    }

    pub(super) fn lose_unsynced(&mut self) {
        let mut dirs: Vec<PathBuf> =
            self.name_changes.iter().filter_map(|c| c.dir().map(Path::to_path_buf)).collect();
        dirs.sort();
        dirs.dedup();
        for dir in dirs {
            let changes: Vec<_> =
                self.name_changes.iter().filter(|c| c.dir() == Some(&dir)).cloned().collect();
            let kept = self.random_below(changes.len() as u64 + 1) as usize;
            changes.iter().take(kept).for_each(|change| apply_names(&mut self.durable_names, change));
        }
        self.name_changes.clear();
        self.drop_orphans();
        self.names = self.durable_names.clone();
        for inode in 0..self.inodes.len() {
            self.tear(inode);
        }
    }

    /// A name whose directory did not survive is gone with it.
    pub(super) fn drop_orphans(&mut self) {
        let alive = self.durable_names.clone();
        self.durable_names.retain(|path, _| {
            path.ancestors().skip(1).all(|dir| dir.as_os_str().is_empty() || alive.contains_key(dir))
        });
    }

    pub(super) fn tear(&mut self, inode: Inode) {
        let Some(contents) = self.inodes.get_mut(inode) else { return };
        let changes = std::mem::take(&mut contents.unsynced);
        let mut survived = std::mem::take(&mut contents.durable);
        for change in changes {
            match change {
                Change::SetLen(length) if self.next_random() & 1 == 0 => survived.resize(length as usize, 0),
                Change::SetLen(_) => {}
                Change::Write { position, bytes } => self.tear_write(&mut survived, position, &bytes),
            }
        }
        if let Some(contents) = self.inodes.get_mut(inode) {
            contents.cached.clone_from(&survived);
            contents.dropped.clear();
            contents.durable = survived;
        }
    }

    pub(super) fn tear_write(&mut self, survived: &mut Vec<u8>, position: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let at = position + done as u64;
            let length = ((SECTOR - at % SECTOR) as usize).min(bytes.len() - done);
            if self.next_random() & 1 == 0 {
                overwrite(survived, at, &bytes[done..done + length]);
            }
            done += length;
        }
    }

    /// Counts a sync and says whether it fails.
    pub(super) fn sync_fails(&mut self) -> bool {
        self.syncs += 1;
        !Self::take_fault(&mut self.passing_syncs) && Self::take_fault(&mut self.failing_syncs)
    }

    pub(super) fn take_fault(counter: &mut u32) -> bool {
        let failing = *counter > 0;
        *counter = counter.saturating_sub(1);
        failing
    }
}

impl NameChange {
    pub(super) fn dir(&self) -> Option<&Path> {
        match self {
            Self::Put(path, _) | Self::Remove(path) | Self::Rename(_, path) => path.parent(),
        }
    }
}

pub(super) fn apply_names(names: &mut BTreeMap<PathBuf, Node>, change: &NameChange) {
    match change {
        NameChange::Put(path, node) => {
            names.insert(path.clone(), *node);
        }
        NameChange::Remove(path) => names.retain(|name, _| !name.starts_with(path)),
        NameChange::Rename(from, to) => {
            let moved: Vec<_> =
                names.iter().filter(|(n, _)| n.starts_with(from)).map(|(n, v)| (n.clone(), *v)).collect();
            if !moved.is_empty() {
                names.retain(|name, _| !name.starts_with(from) && !name.starts_with(to));
            }
            for (name, node) in moved {
                let rest = name.strip_prefix(from).map(Path::to_path_buf).unwrap_or_default();
                let target = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                names.insert(target, node);
            }
        }
    }
}

pub(super) fn overwrite(contents: &mut Vec<u8>, position: u64, bytes: &[u8]) {
    let start = position as usize;
    if contents.len() < start + bytes.len() {
        contents.resize(start + bytes.len(), 0);
    }
    contents[start..start + bytes.len()].copy_from_slice(bytes);
}
