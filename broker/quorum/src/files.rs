//! Small files, replaced so that a crash leaves the old or the new contents.

use std::io::{self, IoSlice};
use std::path::Path;

use bytes::Bytes;
use klamm_log::{Disk, DiskFile, OpenMode};

const CHECKSUM: usize = 4;

/// Creates the directory and those above it that are missing; their names are durable afterwards.
pub(crate) fn create_dir(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    // The directory's own name is synced even if it exists: the process that made it may have died before.
    let mut unsynced = vec![dir];
    for above in dir.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
        if disk.exists(above)? {
            break;
        }
        unsynced.push(above);
    }
    disk.create_dir_all(dir)?;
    unsynced.iter().rev().filter_map(|made| made.parent()).try_for_each(|parent| {
        disk.sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
    })
}

/// The whole file, or `None` if it does not exist.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Bytes>> {
    let file = match disk.open(path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let length = usize::try_from(file.len()?).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut contents = vec![0; length];
    read_exact_at(&*file, &mut contents, 0)?;
    Ok(Some(contents.into()))
}

/// Fills `buffer` from `position`.
fn read_exact_at(file: &dyn DiskFile, buffer: &mut [u8], position: u64) -> io::Result<()> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, position + filled as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(())
}

/// Replaces the file; its new contents and its name are durable afterwards.
pub(crate) fn write_atomic(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_added_extension("tmp");
    let write = || {
        let file = disk.open(&temporary, OpenMode::Replace)?;
        write_all_at(&*file, bytes, 0)?;
        file.sync_data()
    };
    if let Err(error) = write() {
        // What was written of it may be the last room on the disk. The failure that counts is the first.
        let _ = disk.remove_file(&temporary);
        return Err(error);
    }
    disk.rename(&temporary, path)?;
    path.parent().map_or(Ok(()), |dir| disk.sync_dir(dir))
}

/// As [`write_atomic`], but the new name is not durable: what rules that are broken on purpose do.
pub(crate) fn write_unsynced(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_added_extension("tmp");
    let file = disk.open(&temporary, OpenMode::Replace)?;
    write_all_at(&*file, bytes, 0)?;
    file.sync_data()?;
    disk.rename(&temporary, path)
}

/// Writes all of `bytes` at `position`, without a flush.
pub(crate) fn write_all_at(file: &dyn DiskFile, bytes: &[u8], position: u64) -> io::Result<()> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write_at(&[IoSlice::new(rest)], position + written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The bytes before a trailing CRC-32C, if it matches.
pub(crate) fn strip_checksum(mut bytes: Bytes) -> Option<Bytes> {
    let crc = bytes.split_off(bytes.len().checked_sub(CHECKSUM)?);
    (crc32c::crc32c(&bytes).to_be_bytes() == crc.as_ref()).then_some(bytes)
}
