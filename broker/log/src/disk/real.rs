//! The operating system's file system.

use std::fs::{self, File};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustix::fs::FlockOperation;
use rustix::io::{Errno, ReadWriteFlags};

use super::{DirEntry, Disk, DiskFile, DiskSpace, OpenMode, read_through};

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = File::options();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::Write => options.write(true),
            OpenMode::Create => options.write(true).create(true),
            OpenMode::Replace => options.write(true).create(true).truncate(true),
        };
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(DirEntry { name, is_dir: entry.file_type()?.is_dir() });
            }
        }
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        fs::exists(path)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }

    fn space(&self, dir: &Path) -> io::Result<DiskSpace> {
        let stat = rustix::fs::statvfs(dir)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(DiskSpace { total: bytes(stat.f_blocks), usable: bytes(stat.f_bavail) })
    }
}

/// Takes whatever is sent to it.
fn nowhere() -> io::Result<&'static File> {
    static NOWHERE: OnceLock<File> = OnceLock::new();
    if let Some(file) = NOWHERE.get() {
        return Ok(file);
    }
    let file = File::options().write(true).open("/dev/null")?;
    Ok(NOWHERE.get_or_init(|| file))
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buffer, position) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        let mut buffers = [IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&self.0, &mut buffers, position, ReadWriteFlags::NOWAIT) {
            Ok(count) => Ok(Some(count)),
            // Not every file system knows RWF_NOWAIT; then nobody can tell without waiting.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends the range to nowhere: the kernel then reads ahead as for any sequential reader, in large folios. Asked to by
    /// `POSIX_FADV_WILLNEED` it takes single pages, which cost ten times as much CPU and slow down every later use of them.
    fn warm(&self, position: u64, length: u64) -> io::Result<()> {
        let Ok(nowhere) = nowhere() else { return read_through(self, position, length) };
        let (mut at, end) = (position, position.saturating_add(length));
        while at < end {
            let count = usize::try_from(end - at).unwrap_or(usize::MAX);
            match rustix::fs::sendfile(nowhere, &self.0, Some(&mut at), count) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                // Not every file system can send.
                Err(Errno::INVAL | Errno::NOSYS) => return read_through(self, at, end - at),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(&self.0, buffers, position)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn as_raw(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{read_exact_at, write_all_at};

    #[test]
    fn many_small_buffers_are_written_in_order() {
        let dir = tempfile::tempdir().expect("temp dir");
        let file = RealDisk.open(&dir.path().join("file"), OpenMode::Create).expect("opens");
        let parts: Vec<Vec<u8>> =
            (0..3000u32).map(|i| i.to_be_bytes()[..(i % 5) as usize % 5].to_vec()).collect();
        let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        write_all_at(&*file, &slices, 10).expect("writes");
        let expected = parts.concat();
        let mut read = vec![0; expected.len()];
        read_exact_at(&*file, &mut read, 10).expect("reads");
        assert_eq!(read, expected);
        assert!(read_exact_at(&*file, &mut [0; 1], 10 + expected.len() as u64).is_err());
    }

    #[test]
    fn a_lock_is_exclusive_until_it_is_dropped() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join(".lock");
        let lock = RealDisk.lock(&path).expect("free");
        assert_eq!(RealDisk.lock(&path).map(drop).map_err(|e| e.kind()), Err(ErrorKind::WouldBlock));
        drop(lock);
        assert!(RealDisk.lock(&path).is_ok());
    }
}
