//! A file system in memory that loses what was not synced, from one seed.
//!
//! A power loss keeps what `sync_data` and `sync_dir` made durable. Of everything else it keeps a random part: each
//! unsynced write, sector by sector, and a random prefix of the unsynced changes to the names in each directory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{DirEntry, Disk, DiskFile, DiskSpace, OpenMode};

/// Unit in which an unsynced write reaches the platter or not.
const SECTOR: u64 = 512;
/// `EIO` on Linux.
const IO_ERROR: i32 = 5;

/// A file system in memory with seeded faults; clones share the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk").field("used", &self.used()).finish_non_exhaustive()
    }
}

type Inode = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(Inode),
    Dir,
}

/// A change to the names in one directory that is not durable yet.
#[derive(Clone, Debug)]
enum NameChange {
    Put(PathBuf, Node),
    Remove(PathBuf),
    /// A rename reaches the disk as a whole or not at all.
    Rename(PathBuf, PathBuf),
}

#[derive(Clone, Debug, Default)]
struct Contents {
    /// What readers see.
    cached: Vec<u8>,
    /// What survives a power loss for certain.
    durable: Vec<u8>,
    /// Changes since the last sync.
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { position: u64, bytes: Vec<u8> },
    SetLen(u64),
}

#[derive(Debug)]
struct State {
    random: u64,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    name_changes: Vec<NameChange>,
    inodes: Vec<Contents>,
    locks: BTreeSet<PathBuf>,
    /// Bumped by a crash: handles and locks from before are dead.
    generation: u64,
    capacity: u64,
    failing_syncs: u32,
    failing_writes: u32,
    failing_reads: u32,
    short_writes: bool,
    syncs: u64,
}

impl SimDisk {
    /// An empty disk; the same seed and the same calls give the same faults.
    pub fn new(seed: u64) -> Self {
        let root = BTreeMap::from([(PathBuf::from("/"), Node::Dir)]);
        let state = State {
            random: seed,
            names: root.clone(),
            durable_names: root,
            name_changes: Vec::new(),
            inodes: Vec::new(),
            locks: BTreeSet::new(),
            generation: 0,
            capacity: u64::MAX,
            failing_syncs: 0,
            failing_writes: 0,
            failing_reads: 0,
            short_writes: false,
            syncs: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The process dies: handles and locks are gone, the page cache stays.
    pub fn crash(&self) {
        let mut state = self.state.lock();
        state.generation += 1;
        state.locks.clear();
    }

    /// The machine dies: what was not synced is lost in part or in whole.
    pub fn power_loss(&self) {
        self.crash();
        self.state.lock().lose_unsynced();
    }

    /// Lets the total size of all files reach at most `bytes`; more is `StorageFull`.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity = bytes;
    }

    /// Bytes in all files.
    pub fn used(&self) -> u64 {
        self.state.lock().used()
    }

    /// Makes the next `count` syncs of files or directories fail with `EIO`; what they covered stays unsynced.
    pub fn fail_syncs(&self, count: u32) {
        self.state.lock().failing_syncs = count;
    }

    /// Makes the next `count` writes fail with `EIO` after a random part of their bytes.
    pub fn fail_writes(&self, count: u32) {
        self.state.lock().failing_writes = count;
    }

    /// Makes the next `count` reads fail with `EIO`.
    pub fn fail_reads(&self, count: u32) {
        self.state.lock().failing_reads = count;
    }

    /// Makes every write take only a random part of its bytes.
    pub fn set_short_writes(&self, short: bool) {
        self.state.lock().short_writes = short;
    }

    /// How many syncs of files and directories there were.
    pub fn sync_count(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Flips bits of one byte, durably and unnoticed, as a failing disk does.
    pub fn corrupt(&self, path: &Path, position: u64, flip: u8) -> io::Result<()> {
        let mut state = self.state.lock();
        let inode = state.file(path)?;
        let position = usize::try_from(position).map_err(|_| ErrorKind::InvalidInput)?;
        let contents = state.contents(inode)?;
        contents.durable.clone_from(&contents.cached);
        contents.unsynced.clear();
        let byte = contents.cached.get_mut(position).ok_or(ErrorKind::UnexpectedEof)?;
        *byte ^= flip;
        contents.durable.clone_from(&contents.cached);
        Ok(())
    }
}

impl State {
    /// SplitMix64.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn random_below(&mut self, bound: u64) -> u64 {
        self.next_random() % bound.max(1)
    }

    fn file(&self, path: &Path) -> io::Result<Inode> {
        match self.names.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Dir) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn contents(&mut self, inode: Inode) -> io::Result<&mut Contents> {
        self.inodes.get_mut(inode).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn used(&self) -> u64 {
        let files = self.names.values().filter_map(|node| match node {
            Node::File(inode) => self.inodes.get(*inode),
            Node::Dir => None,
        });
        files.map(|contents| contents.cached.len() as u64).sum()
    }

    fn change_names(&mut self, change: NameChange) {
        apply_names(&mut self.names, &change);
        self.name_changes.push(change);
    }

    fn require_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent().map(|parent| self.names.get(parent)) {
            Some(Some(Node::Dir)) => Ok(()),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    fn sync_names(&mut self, dir: &Path) {
        let (synced, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.name_changes).into_iter().partition(|change| change.dir() == Some(dir));
        synced.iter().for_each(|change| apply_names(&mut self.durable_names, change));
        self.name_changes = rest;
    }

    fn lose_unsynced(&mut self) {
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
    fn drop_orphans(&mut self) {
        let alive = self.durable_names.clone();
        self.durable_names.retain(|path, _| {
            path.ancestors().skip(1).all(|dir| dir.as_os_str().is_empty() || alive.contains_key(dir))
        });
    }

    fn tear(&mut self, inode: Inode) {
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
            contents.durable = survived;
        }
    }

    fn tear_write(&mut self, survived: &mut Vec<u8>, position: u64, bytes: &[u8]) {
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

    fn take_fault(counter: &mut u32) -> bool {
        let failing = *counter > 0;
        *counter = counter.saturating_sub(1);
        failing
    }
}

impl NameChange {
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Put(path, _) | Self::Remove(path) | Self::Rename(_, path) => path.parent(),
        }
    }
}

fn apply_names(names: &mut BTreeMap<PathBuf, Node>, change: &NameChange) {
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

fn overwrite(contents: &mut Vec<u8>, position: u64, bytes: &[u8]) {
    let start = position as usize;
    if contents.len() < start + bytes.len() {
        contents.resize(start + bytes.len(), 0);
    }
    contents[start..start + bytes.len()].copy_from_slice(bytes);
}

fn io_error() -> io::Error {
    io::Error::from_raw_os_error(IO_ERROR)
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        let inode = match state.file(path) {
            Ok(inode) => inode,
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Err(error) if matches!(mode, OpenMode::Read | OpenMode::Write) => return Err(error),
            Err(_) => {
                state.require_parent(path)?;
                state.inodes.push(Contents::default());
                let inode = state.inodes.len() - 1;
                state.change_names(NameChange::Put(path.to_path_buf(), Node::File(inode)));
                inode
            }
        };
        if mode == OpenMode::Replace {
            let contents = state.contents(inode)?;
            contents.cached.clear();
            contents.unsynced.push(Change::SetLen(0));
        }
        let generation = state.generation;
        Ok(Arc::new(SimFile { disk: self.clone(), inode, generation, writable: mode != OpenMode::Read }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.state.lock();
        if state.names.get(dir) != Some(&Node::Dir) {
            return Err(ErrorKind::NotFound.into());
        }
        let inside = state.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        Ok(inside
            .filter_map(|(path, node)| {
                let name = path.file_name()?.to_str()?.to_string();
                Some(DirEntry { name, is_dir: *node == Node::Dir })
            })
            .collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.state.lock().names.contains_key(path))
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut missing: Vec<&Path> = dir.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
        missing.reverse();
        for path in missing {
            match state.names.get(path) {
                Some(Node::Dir) => {}
                Some(Node::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                None => state.change_names(NameChange::Put(path.to_path_buf(), Node::Dir)),
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        if !state.names.contains_key(from) {
            return Err(ErrorKind::NotFound.into());
        }
        state.require_parent(to)?;
        state.change_names(NameChange::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.file(path)?;
        state.change_names(NameChange::Remove(path.to_path_buf()));
        Ok(())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.names.get(dir) != Some(&Node::Dir) {
            return Err(ErrorKind::NotFound.into());
        }
        state.change_names(NameChange::Remove(dir.to_path_buf()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.names.get(dir) != Some(&Node::Dir) {
            return Err(ErrorKind::NotFound.into());
        }
        state.syncs += 1;
        if State::take_fault(&mut state.failing_syncs) {
            return Err(io_error());
        }
        state.sync_names(dir);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.open(path, OpenMode::Create)?;
        let mut state = self.state.lock();
        if !state.locks.insert(path.to_path_buf()) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let generation = state.generation;
        Ok(Box::new(SimLock { disk: self.clone(), path: path.to_path_buf(), generation }))
    }

    fn space(&self, _dir: &Path) -> io::Result<DiskSpace> {
        let state = self.state.lock();
        Ok(DiskSpace { total: state.capacity, usable: state.capacity.saturating_sub(state.used()) })
    }
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    generation: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state.lock();
        if state.generation == self.generation {
            state.locks.remove(&self.path);
        }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: Inode,
    generation: u64,
    writable: bool,
}

impl SimFile {
    fn with<T>(&self, action: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state.lock();
        if state.generation == self.generation {
            action(&mut state)
        } else {
            Err(ErrorKind::NotConnected.into())
        }
    }

    fn require_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(ErrorKind::PermissionDenied.into()) }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.with(|state| {
            if State::take_fault(&mut state.failing_reads) {
                return Err(io_error());
            }
            let contents = &state.contents(self.inode)?.cached;
            let start = usize::try_from(position).unwrap_or(usize::MAX).min(contents.len());
            let count = buffer.len().min(contents.len() - start);
            buffer[..count].copy_from_slice(&contents[start..start + count]);
            Ok(count)
        })
    }

    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.read_at(buffer, position).map(Some)
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        self.require_writable()?;
        let mut bytes: Vec<u8> = buffers.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.with(|state| {
            let failing = State::take_fault(&mut state.failing_writes);
            if failing || (state.short_writes && bytes.len() > 1) {
                let kept = state.random_below(bytes.len() as u64) as usize;
                bytes.truncate(if failing { kept } else { kept.max(1) });
            }
            let used = state.used();
            let capacity = state.capacity;
            let contents = state.contents(self.inode)?;
            let growth = (position + bytes.len() as u64).saturating_sub(contents.cached.len() as u64);
            if used.saturating_add(growth) > capacity {
                let excess = usize::try_from(used.saturating_add(growth) - capacity).unwrap_or(usize::MAX);
                bytes.truncate(bytes.len().saturating_sub(excess));
                if bytes.is_empty() {
                    return Err(ErrorKind::StorageFull.into());
                }
            }
            overwrite(&mut contents.cached, position, &bytes);
            let count = bytes.len();
            contents.unsynced.push(Change::Write { position, bytes });
            if failing { Err(io_error()) } else { Ok(count) }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state| {
            state.syncs += 1;
            if State::take_fault(&mut state.failing_syncs) {
                return Err(io_error());
            }
            let contents = state.contents(self.inode)?;
            contents.durable.clone_from(&contents.cached);
            contents.unsynced.clear();
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.require_writable()?;
        self.with(|state| {
            let contents = state.contents(self.inode)?;
            contents.cached.resize(usize::try_from(length).map_err(|_| ErrorKind::InvalidInput)?, 0);
            contents.unsynced.push(Change::SetLen(length));
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.contents(self.inode)?.cached.len() as u64))
    }

    fn as_raw(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{read_file, write_all_at};

    fn write(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
        let file = disk.open(Path::new(path), OpenMode::Create).expect("opens");
        write_all_at(&*file, &[bytes], 0).expect("writes");
        file
    }

    #[test]
    fn synced_contents_under_synced_names_survive_every_power_loss() {
        for seed in 0..64 {
            let disk = SimDisk::new(seed);
            disk.create_dir_all(Path::new("/a")).expect("creates");
            let file = write(&disk, "/a/kept", b"durable");
            file.sync_data().expect("syncs");
            disk.sync_dir(Path::new("/a")).expect("syncs");
            disk.sync_dir(Path::new("/")).expect("syncs");
            write_all_at(&*file, &[b"lost?"], 7).expect("writes");
            disk.power_loss();
            let contents = read_file(&disk, Path::new("/a/kept")).expect("there");
            assert!(contents.starts_with(b"durable"), "seed {seed}");
            assert!(file.len().is_err(), "handles die with the machine");
        }
    }

    #[test]
    fn unsynced_names_are_lost_for_some_seed_and_kept_for_another() {
        let survives = |seed| {
            let disk = SimDisk::new(seed);
            write(&disk, "/file", b"x").sync_data().expect("syncs");
            disk.power_loss();
            disk.exists(Path::new("/file")).expect("answers")
        };
        let survivors = (0..64).filter(|seed| survives(*seed)).count();
        assert!((1..64).contains(&survivors));
    }

    #[test]
    fn a_process_crash_keeps_the_page_cache_and_frees_locks() {
        let disk = SimDisk::new(1);
        write(&disk, "/file", b"cached");
        let lock = disk.lock(Path::new("/.lock")).expect("free");
        assert!(disk.lock(Path::new("/.lock")).is_err());
        disk.crash();
        assert_eq!(read_file(&disk, Path::new("/file")).expect("there"), b"cached");
        let second = disk.lock(Path::new("/.lock")).expect("free again");
        drop(lock);
        assert!(disk.lock(Path::new("/.lock")).is_err(), "a dead process's lock frees nothing");
        drop(second);
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_then_says_so() {
        let disk = SimDisk::new(1);
        disk.set_capacity(4);
        let file = disk.open(Path::new("/file"), OpenMode::Create).expect("opens");
        assert_eq!(file.write_at(&[IoSlice::new(b"123456")], 0).expect("partly"), 4);
        let full = file.write_at(&[IoSlice::new(b"56")], 4).map_err(|error| error.kind());
        assert_eq!(full, Err(ErrorKind::StorageFull));
    }

    #[test]
    fn a_failed_sync_makes_nothing_durable() {
        let lost = (0..64).any(|seed| {
            let disk = SimDisk::new(seed);
            let file = write(&disk, "/file", b"data");
            disk.sync_dir(Path::new("/")).expect("syncs");
            disk.fail_syncs(1);
            assert!(file.sync_data().is_err());
            disk.power_loss();
            read_file(&disk, Path::new("/file")).expect("there") != b"data"
        });
        assert!(lost);
    }
}
