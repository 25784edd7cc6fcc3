//! A file system in memory that loses what was not synced, from one seed.
//!
//! A power loss keeps what `sync_data` and `sync_dir` made durable. Of everything else it keeps a random part: each
//! unsynced write, sector by sector, and a random prefix of the unsynced changes to the names in each directory.

mod file;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use self::file::{SimFile, SimLock};
use self::state::{Change, Contents, NameChange, Node, State};
use super::{DirEntry, Disk, DiskFile, DiskSpace, OpenMode};

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
            passing_syncs: 0,
            failing_syncs: 0,
            failing_writes: 0,
            failing_reads: 0,
            short_writes: false,
            syncs: 0,
            open_hook: None,
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

    /// Another disk that holds the same, synced and not, and has no faults; what happens to one does not happen to the other.
    #[must_use]
    pub fn copy(&self, seed: u64) -> Self {
        let state = self.state.lock();
        let copy = Self::new(seed);
        let mut held = copy.state.lock();
        held.names = state.names.clone();
        held.durable_names = state.durable_names.clone();
        held.name_changes = state.name_changes.clone();
        held.inodes = state.inodes.clone();
        drop(held);
        copy
    }

    /// Lets the total size of all files reach at most `bytes`; more is `StorageFull`.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity = bytes;
    }

    /// Bytes in all files.
    pub fn used(&self) -> u64 {
        self.state.lock().used()
    }

    /// Makes the next `count` syncs of files or directories fail with `EIO`; what they covered never
    /// reaches the disk, also with a later sync that works, until it is written again: that is what Linux does.
    pub fn fail_syncs(&self, count: u32) {
        self.fail_syncs_after(0, count);
    }

    /// Like [`fail_syncs`](Self::fail_syncs), after `passing` more syncs that work.
    pub fn fail_syncs_after(&self, passing: u32, count: u32) {
        let mut state = self.state.lock();
        (state.passing_syncs, state.failing_syncs) = (passing, count);
    }

    /// Makes the next `count` writes fail with `EIO` after a random part of their bytes.
    pub fn fail_writes(&self, count: u32) {
        self.state.lock().failing_writes = count;
    }

    /// Makes the next `count` reads fail with `EIO`.
    pub fn fail_reads(&self, count: u32) {
        self.state.lock().failing_reads = count;
    }

    /// Makes reads of these bytes of a file fail with `EIO`, as of a bad sector, until some of them are written anew.
    pub fn fail_reads_of(&self, path: &Path, range: Range<usize>) -> io::Result<()> {
        let mut state = self.state.lock();
        let inode = state.file(path)?;
        state.contents(inode)?.unreadable = range;
        Ok(())
    }

    /// Calls `hook` with the path of each file that is about to be opened, on the thread that opens it: it may wait there.
    pub fn on_open(&self, hook: impl Fn(&Path) + Send + Sync + 'static) {
        self.state.lock().open_hook = Some(Arc::new(hook));
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
        let position = usize::try_from(position).map_err(|_| ErrorKind::InvalidInput)?;
        self.alter(path, |contents| match contents.get_mut(position) {
            Some(byte) => {
                *byte ^= flip;
                Ok(())
            }
            None => Err(ErrorKind::UnexpectedEof.into()),
        })
    }

    /// Changes what a file holds, durably and unnoticed, as a failing disk does.
    pub fn alter(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock();
        let inode = state.file(path)?;
        let contents = state.contents(inode)?;
        contents.unsynced.clear();
        let changed = change(&mut contents.cached);
        contents.durable.clone_from(&contents.cached);
        changed
    }
}

fn io_error() -> io::Error {
    io::Error::from_raw_os_error(IO_ERROR)
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let hook = self.state.lock().open_hook.clone();
        hook.iter().for_each(|hook| hook(path));
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
        if state.sync_fails() {
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

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

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
    fn a_copy_keeps_what_was_synced_and_goes_its_own_way() {
        for seed in 0..16 {
            let disk = SimDisk::new(seed);
            let file = write(&disk, "/file", b"old");
            file.sync_data().expect("syncs");
            disk.sync_dir(Path::new("/")).expect("syncs");
            write_all_at(&*file, &[b"er?"], 3).expect("writes");
            let copy = disk.copy(seed);
            write_all_at(&*file, &[b"new"], 0).expect("writes");
            file.sync_data().expect("syncs");
            assert_eq!(read_file(&copy, Path::new("/file")).expect("there"), b"older?");
            copy.power_loss();
            assert!(read_file(&copy, Path::new("/file")).expect("there").starts_with(b"old"), "seed {seed}");
            assert_eq!(read_file(&disk, Path::new("/file")).expect("there"), b"newer?");
        }
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
