//! A checksum beside a small file whose format, Kafka's, has no room for one.
//!
//! `<name>.crc32c` is one line: the CRC-32C of the file's contents, that of the contents before, and that of the line so far.
//! It is renamed into place before the file is, and synced by itself only where it shows damage: a crash between the two leaves
//! the contents from before, for which it vouches too, and what a power loss leaves torn of it has a wrong checksum of its own.
//! A file without one, as Apache Kafka writes it, is believed.

use std::io;
use std::path::{Path, PathBuf};

use crate::atomic_file::{rename_into_place, sync_parent};
use crate::disk::{Disk, OpenMode, read_file_if_exists};
use crate::names::with_suffix;

const SUFFIX: &str = ".crc32c";

/// What the checksum beside a file says of its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// They are what was written, or nothing is known to the contrary.
    Sound,
    /// They are not what was written.
    Broken,
    /// The checksum itself is damaged; it was made anew from the contents, which are believed if they make sense.
    Renewed,
}

/// The contents that may lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    now: u32,
    before: u32,
}

/// A file and what is known of it.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) contents: Vec<u8>,
    pub(crate) seal: Seal,
    sums: Option<Sums>,
}

impl Sealed {
    /// Whether it is known that these contents were written last, or just before.
    pub(crate) fn was_once(&self, contents: &[u8]) -> bool {
        self.sums.is_some_and(|sums| sums.vouch_for(contents))
    }
}

impl Sums {
    fn vouch_for(self, contents: &[u8]) -> bool {
        let sum = crc32c::crc32c(contents);
        sum == self.now || sum == self.before
    }

    fn format(self) -> String {
        let line = format!("{:08x} {:08x}", self.now, self.before);
        format!("{line} {:08x}\n", crc32c::crc32c(line.as_bytes()))
    }

    /// Reads exactly what [`format`](Self::format) writes.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = std::str::from_utf8(bytes).ok()?.split(' ');
        let mut next = || u32::from_str_radix(fields.next()?, 16).ok();
        let sums = Self { now: next()?, before: next()? };
        (sums.format().as_bytes() == bytes).then_some(sums)
    }
}

/// The file of the checksum.
pub(crate) fn path_of(path: &Path) -> PathBuf {
    with_suffix(path, SUFFIX)
}

/// Reads a file and compares it with its checksum; `None` if there is no file.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Sealed>> {
    read_if(disk, path, |_| true)
}

/// Reads a file that was perhaps never synced. Where the checksum is damaged, contents that make no sense are not vouched for: a
/// power loss may have torn both, and another may bring that checksum back beside contents written since.
pub(crate) fn read_if(
    disk: &dyn Disk,
    path: &Path,
    makes_sense: impl Fn(&[u8]) -> bool,
) -> io::Result<Option<Sealed>> {
    let file = look(disk, path)?;
    match &file {
        Some(Sealed { contents, seal: Seal::Renewed, .. }) if makes_sense(contents) => {
            store(disk, path, crc32c::crc32c(contents), contents, false)?;
        }
        Some(Sealed { seal: Seal::Broken, .. }) => keep(disk, path)?,
        _ => {}
    }
    Ok(file)
}

/// Makes the checksum durable which shows that a file is damaged: without it, the damage would be believed after a power loss.
fn keep(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let beside = path_of(path);
    disk.open(&beside, OpenMode::Write)?.sync_data()?;
    sync_parent(disk, &beside)
}

/// Compares a file with its checksum and changes neither.
fn look(disk: &dyn Disk, path: &Path) -> io::Result<Option<Sealed>> {
    let Some(contents) = read_file_if_exists(disk, path)? else { return Ok(None) };
    // An empty one is what a power loss leaves of a file that was not synced.
    let beside = read_file_if_exists(disk, &path_of(path))?.filter(|bytes| !bytes.is_empty());
    let sums = beside.as_deref().map(Sums::parse);
    let seal = match sums {
        None => Seal::Sound,
        Some(Some(sums)) if sums.vouch_for(&contents) => Seal::Sound,
        Some(Some(_)) => Seal::Broken,
        Some(None) => Seal::Renewed,
    };
    Ok(Some(Sealed { contents, seal, sums: sums.flatten() }))
}

/// Writes the checksum of what a file is about to hold, which lies there no later than the new contents do. For what is known to
/// be damaged it does not vouch.
pub(crate) fn announce(disk: &dyn Disk, path: &Path, contents: &[u8]) -> io::Result<()> {
    let now = crc32c::crc32c(contents);
    // What cannot be read is not worth keeping.
    let old = look(disk, path).ok().flatten();
    let is_broken = old.as_ref().is_some_and(|old| old.seal == Seal::Broken);
    let before = old.filter(|_| !is_broken).map_or(now, |old| crc32c::crc32c(&old.contents));
    store(disk, path, before, contents, is_broken)
}

fn store(disk: &dyn Disk, path: &Path, before: u32, contents: &[u8], durably: bool) -> io::Result<()> {
    let sums = Sums { now: crc32c::crc32c(contents), before };
    rename_into_place(disk, &path_of(path), sums.format().as_bytes(), durably)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::{SimDisk, write_all_at};

    const FILE: &str = "/data/checkpoint";

    fn disk() -> SimDisk {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new("/data")).expect("creates");
        disk
    }

    fn put(disk: &dyn Disk, contents: &[u8]) {
        let file: Arc<_> = disk.open(Path::new(FILE), OpenMode::Replace).expect("opens");
        write_all_at(&*file, &[contents], 0).expect("writes");
    }

    fn seal(disk: &dyn Disk) -> Seal {
        read(disk, Path::new(FILE)).expect("reads").expect("there").seal
    }

    #[test]
    fn no_flipped_bit_of_a_file_or_its_checksum_is_believed() {
        let written = disk();
        announce(&written, Path::new(FILE), b"0\n0\n").expect("writes");
        put(&written, b"0\n0\n");
        assert_eq!(seal(&written), Seal::Sound);
        for (path, length, expected) in
            [(PathBuf::from(FILE), 4, Seal::Broken), (path_of(Path::new(FILE)), 27, Seal::Renewed)]
        {
            for bit in 0..length * 8 {
                written.corrupt(&path, bit / 8, 1 << (bit % 8)).expect("flips");
                assert_eq!(seal(&written), expected, "bit {bit} of {}", path.display());
                if expected == Seal::Broken {
                    written.corrupt(&path, bit / 8, 1 << (bit % 8)).expect("flips back");
                }
                assert_eq!(seal(&written), Seal::Sound, "renewed");
            }
        }
    }

    #[test]
    fn a_crash_before_the_contents_are_there_is_no_damage() {
        let disk = disk();
        put(&disk, b"old");
        assert_eq!(seal(&disk), Seal::Sound, "nothing is known of it");
        announce(&disk, Path::new(FILE), b"new").expect("writes");
        assert_eq!(seal(&disk), Seal::Sound, "still the old contents");
        announce(&disk, Path::new(FILE), b"newer").expect("writes");
        assert_eq!(seal(&disk), Seal::Sound, "still the old contents");
        put(&disk, b"newer");
        assert_eq!(seal(&disk), Seal::Sound);
        put(&disk, b"new");
        assert_eq!(seal(&disk), Seal::Broken, "never there");
    }

    #[test]
    fn damage_that_is_about_to_be_replaced_is_still_damage() {
        let disk = disk();
        announce(&disk, Path::new(FILE), b"old").expect("writes");
        put(&disk, b"odd");
        assert_eq!(seal(&disk), Seal::Broken);
        announce(&disk, Path::new(FILE), b"new").expect("writes");
        assert_eq!(seal(&disk), Seal::Broken, "a crash before the new contents are there");
        put(&disk, b"new");
        assert_eq!(seal(&disk), Seal::Sound);
    }

    #[test]
    fn damage_that_was_seen_is_not_believed_after_a_power_loss() {
        for (seed, is_replaced) in (0..50).flat_map(|seed| [(seed, false), (seed, true)]) {
            let disk = SimDisk::new(seed);
            disk.create_dir_all(Path::new("/data")).expect("creates");
            disk.sync_dir(Path::new("/")).expect("syncs");
            put(&disk, b"odd");
            let file = disk.open(Path::new(FILE), OpenMode::Write).expect("opens");
            file.sync_data().and_then(|()| disk.sync_dir(Path::new("/data"))).expect("syncs");
            // Of other contents, and not synced.
            store(&disk, Path::new(FILE), 0, b"old", false).expect("writes");
            assert_eq!(seal(&disk), Seal::Broken);
            if is_replaced {
                announce(&disk, Path::new(FILE), b"new").expect("writes");
            }
            disk.power_loss();
            assert_eq!(seal(&disk), Seal::Broken, "seed {seed}, {is_replaced}");
        }
    }

    #[test]
    fn a_checksum_that_was_torn_empty_says_nothing() {
        let disk = disk();
        put(&disk, b"contents");
        drop(disk.open(&path_of(Path::new(FILE)), OpenMode::Replace).expect("creates"));
        assert_eq!(seal(&disk), Seal::Sound);
    }
}
