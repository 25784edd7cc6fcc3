//! The file system as the log needs it: a small trait with a real and a simulated implementation.
//!
//! Every call blocks. Nothing is durable before [`DiskFile::sync_data`] (contents) and [`Disk::sync_dir`] (names) say so.

mod real;
mod sim;

use std::fmt::Debug;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

pub use real::RealDisk;
pub use sim::SimDisk;

/// Most buffers that one vectored write takes (`IOV_MAX` on Linux).
const MAX_SLICES: usize = 1024;

/// How [`Disk::open`] treats a file that is there or not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; an error if it does not exist.
    Read,
    /// For reading and writing; an error if it does not exist.
    Write,
    /// For reading and writing; created if it does not exist.
    Create,
    /// For reading and writing; created, or emptied if it exists.
    Replace,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name without the directory.
    pub name: String,
    /// Whether the name is a directory.
    pub is_dir: bool,
}

/// Size of the volume that a directory lies on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Size of the volume.
    pub total: u64,
    /// What this process may still write.
    pub usable: u64,
}

/// A file system.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// The names in a directory, in no order; names that are not UTF-8 are left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    /// Whether the path names a file or a directory.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Creates the directory and those above it that are missing.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Renames a file or directory; a file in the way is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with everything in it.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes the names in the directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes an exclusive lock on the file, created if absent, until the result is dropped; `WouldBlock` if it is taken.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;
    /// The space on the volume of `dir`.
    fn space(&self, dir: &Path) -> io::Result<DiskSpace>;
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync {
    /// Reads at `position`; returns fewer bytes than asked for only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Like [`read_at`](Self::read_at), but from memory alone: `None` if it would have to wait for the disk, or cannot
    /// be told. May return fewer bytes than asked for.
    fn try_read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<Option<usize>>;
    /// Brings the range into memory, as far as the file goes, without a copy of it where the system knows how; waits for the disk.
    fn warm(&self, position: u64, length: u64) -> io::Result<()> {
        read_through(self, position, length)
    }
    /// Whether the range is in memory, as both ends of it show: systems read files ahead, so what lies between is almost always
    /// there as well. Does not wait.
    fn is_warm(&self, position: u64, length: u64) -> bool {
        let last = position.saturating_add(length).saturating_sub(1);
        [position, last].iter().all(|at| matches!(self.try_read_at(&mut [0], *at), Ok(Some(1))))
    }
    /// Writes some of the buffers, at most 1024 of them, at `position`; returns how many bytes it took.
    fn write_at(&self, buffers: &[IoSlice<'_>], position: u64) -> io::Result<usize>;
    /// Makes the contents durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Length of the file in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// The descriptor, for `sendfile(2)`; `None` if there is none.
    fn as_raw(&self) -> Option<BorrowedFd<'_>>;
}

/// Bytes that are read at a time to have them in memory.
const WARM_STEP: usize = 16 * 1024;

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It may.
    Allowed,
    /// It must come from the page cache, or fail with `WouldBlock`.
    Forbidden,
}

/// Reads the range, as far as the file goes, and forgets it: the page cache does not.
fn read_through<F: DiskFile + ?Sized>(file: &F, position: u64, length: u64) -> io::Result<()> {
    let mut buffer = [0; WARM_STEP];
    let (mut at, end) = (position, position.saturating_add(length));
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        let count = file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), at)?;
        if count == 0 {
            break;
        }
        at += count as u64;
    }
    Ok(())
}

/// Reads until `buffer` is full or the file ends; returns how many bytes there are.
pub(crate) fn read_up_to(
    file: &dyn DiskFile,
    buffer: &mut [u8],
    position: u64,
    wait: Wait,
) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = position + filled as u64;
        let count = match wait {
            Wait::Allowed => file.read_at(rest, at)?,
            Wait::Forbidden => file.try_read_at(rest, at)?.ok_or(ErrorKind::WouldBlock)?,
        };
        if count == 0 {
            break;
        }
        filled += count;
    }
    Ok(filled)
}

/// Whether nothing but room is missing: a full disk, or a quota that is used up.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Whether the disk has these bytes no more, as for a bad sector: what was to be read is damaged. Any other error may pass.
pub(crate) fn is_unreadable(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let medium = [Errno::IO, Errno::NODATA, Errno::BADMSG, Errno::UCLEAN, Errno::ILSEQ];
    error.raw_os_error().is_some_and(|code| medium.iter().any(|errno| errno.raw_os_error() == code))
}

/// Fills `buffer` from `position`; an error of kind `UnexpectedEof` if the file ends before.
pub(crate) fn read_exact_at(file: &dyn DiskFile, buffer: &mut [u8], position: u64) -> io::Result<()> {
    let wanted = buffer.len();
    let filled = read_up_to(file, buffer, position, Wait::Allowed)?;
    if filled == wanted { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// Writes all of `buffers` at `position` in as few calls as possible.
pub(crate) fn write_all_at(file: &dyn DiskFile, buffers: &[&[u8]], position: u64) -> io::Result<()> {
    let mut position = position;
    for group in buffers.chunks(MAX_SLICES) {
        let mut slices: Vec<IoSlice<'_>> = group.iter().map(|bytes| IoSlice::new(bytes)).collect();
        let mut left: &mut [IoSlice<'_>] = &mut slices;
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let count = match file.write_at(left, position) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            position += count as u64;
            IoSlice::advance_slices(&mut left, count);
        }
    }
    Ok(())
}

/// The whole file.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let length = usize::try_from(file.len()?).map_err(|_| ErrorKind::FileTooLarge)?;
    let mut contents = vec![0; length];
    read_exact_at(&*file, &mut contents, 0)?;
    Ok(contents)
}

/// The whole file, or `None` if it does not exist.
///
/// # Errors
/// The file system refused.
pub fn read_file_if_exists(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    match read_file(disk, path) {
        Ok(contents) => Ok(Some(contents)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file that may already be gone.
pub(crate) fn remove_if_exists(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
