//! Replacing a small file as a whole: temporary file, sync, rename, sync of the directory.

use std::io;
use std::path::Path;

use crate::disk::{Disk, OpenMode, remove_if_exists, write_all_at};
use crate::names::{TMP_SUFFIX, with_suffix};
use crate::sums;

/// Replaces `path` durably: after a power loss the file has the old contents or the new ones.
///
/// # Errors
/// The file system refused; the old contents are still there, and perhaps a part of the new under a temporary name, which
/// the next call replaces.
pub fn replace(disk: &dyn Disk, path: &Path, contents: &[u8]) -> io::Result<()> {
    rename_into_place(disk, path, contents, true)?;
    sync_parent(disk, path)
}

/// Like [`replace`], with a checksum beside the file that costs no sync of its own.
pub(crate) fn replace_sealed(disk: &dyn Disk, path: &Path, contents: &[u8]) -> io::Result<()> {
    sums::announce(disk, path, contents)?;
    replace(disk, path, contents)
}

/// Replaces `path`; the new name is durable once the directory is synced, the contents are if `sync` says so.
pub(crate) fn rename_into_place(disk: &dyn Disk, path: &Path, contents: &[u8], sync: bool) -> io::Result<()> {
    let temporary = with_suffix(path, TMP_SUFFIX);
    if !sync {
        // One that a crash left: a power loss could bring back what it held, under the new name.
        remove_if_exists(disk, &temporary)?;
    }
    let file = disk.open(&temporary, OpenMode::Replace)?;
    write_all_at(&*file, &[contents], 0)?;
    if sync {
        file.sync_data()?;
    }
    disk.rename(&temporary, path)
}

/// Makes the names in the directory of `path` durable.
pub(crate) fn sync_parent(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => disk.sync_dir(dir),
        None => Ok(()),
    }
}
