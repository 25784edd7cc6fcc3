//! A simulated disk behind a fuse: a process can die after any of its calls to the file system.

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use klamm_log::{DirEntry, Disk, DiskFile, DiskSpace, OpenMode, SimDisk};

/// The disk of one process. When the fuse is burnt nothing reaches the disk any more and every call fails.
#[derive(Clone, Debug)]
pub(crate) struct FusedDisk {
    inner: SimDisk,
    left: Arc<AtomicU64>,
    failed_syncs: Arc<AtomicU64>,
}

impl FusedDisk {
    pub(crate) fn new(inner: SimDisk) -> Self {
        Self { inner, left: Arc::new(AtomicU64::new(u64::MAX)), failed_syncs: Arc::default() }
    }

    /// Lets only so many calls through from now on that change or sync something.
    pub(crate) fn burn_after(&self, calls: u64) {
        self.left.store(calls, Ordering::Relaxed);
    }

    /// Whether the process is dead by now.
    pub(crate) fn is_burnt(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// How many syncs the disk itself has failed while the process lived.
    pub(crate) fn failed_syncs(&self) -> u64 {
        self.failed_syncs.load(Ordering::Relaxed)
    }

    fn note_sync(&self, synced: io::Result<()>) -> io::Result<()> {
        self.failed_syncs.fetch_add(u64::from(synced.is_err()), Ordering::Relaxed);
        synced
    }

    fn pass(&self) -> io::Result<()> {
        match self.left.load(Ordering::Relaxed) {
            0 => Err(ErrorKind::NotConnected.into()),
            u64::MAX => Ok(()),
            left => {
                self.left.store(left - 1, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

impl Disk for FusedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if matches!(mode, OpenMode::Create | OpenMode::Replace) {
            self.pass()?;
        }
        let file = self.inner.open(path, mode)?;
        Ok(Arc::new(FusedFile { file, disk: self.clone() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.pass()?;
        self.inner.create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass()?;
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.pass()?;
        self.inner.remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.pass()?;
        self.inner.remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.pass()?;
        self.note_sync(self.inner.sync_dir(dir))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.inner.lock(path)
    }

    fn space(&self, dir: &Path) -> io::Result<DiskSpace> {
        self.inner.space(dir)
    }
}

#[derive(Debug)]
struct FusedFile {
    file: Arc<dyn DiskFile>,
    disk: FusedDisk,
}

impl DiskFile for FusedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.file.try_read_at(buffer, position)
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        self.disk.pass()?;
        self.file.write_at(buffers, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.pass()?;
        self.disk.note_sync(self.file.sync_data())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.pass()?;
        self.file.set_len(length)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn as_raw(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_that_the_disk_fails_is_counted_and_one_of_a_dead_process_is_not() {
        let inner = SimDisk::new(1);
        let (disk, dir) = (FusedDisk::new(inner.clone()), Path::new("/a"));
        disk.create_dir_all(dir).expect("created");
        disk.sync_dir(dir).expect("synced");
        assert_eq!(disk.failed_syncs(), 0);
        inner.fail_syncs(1);
        assert!(disk.sync_dir(dir).is_err());
        assert_eq!(disk.failed_syncs(), 1);
        disk.burn_after(0);
        assert!(disk.sync_dir(dir).is_err());
        assert_eq!(disk.failed_syncs(), 1);
    }
}
