//! The lock that makes one `up` the only one on its data directory.

use std::fs::File;
use std::io::{Read, Seek, Write};

use rustix::fs::{FlockOperation, flock};

use super::{DataDir, DataError};

const FILE: &str = "up.lock";

/// Held for as long as the value lives; the system frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock and leaves the pid in it.
///
/// # Errors
/// `Held` with the pid of the holder, or `Unusable` if the file cannot be written.
pub fn acquire(dir: &DataDir) -> Result<Lock, DataError> {
    let unusable = |source| dir.unusable(format!("{FILE} cannot be written"), source);
    let mut file = open(dir).map_err(unusable)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(DataError::Held { dir: dir.path().to_owned(), pid: written_pid(&mut file) });
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(unusable)?;
    Ok(Lock { _file: file })
}

/// The pid of the `up` that holds the directory now, if one does.
pub fn holder(dir: &DataDir) -> Option<u32> {
    let mut file = File::open(dir.file(FILE)).ok()?;
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    written_pid(&mut file).parse().ok()
}

fn open(dir: &DataDir) -> std::io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(dir.file(FILE))
}

fn written_pid(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.read_to_string(&mut text);
    read.ok()
        .map(|_| text.trim().to_owned())
        .filter(|pid| !pid.is_empty())
        .unwrap_or_else(|| "unknown".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_the_pid_of_the_first() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = DataDir::create(temporary.path()).unwrap();
        assert_eq!(holder(&dir), None);
        let lock = acquire(&dir).unwrap();
        let refused = acquire(&dir).unwrap_err().to_string();
        assert!(refused.contains(&format!("with pid {}", std::process::id())), "{refused}");
        assert_eq!(holder(&dir), Some(std::process::id()));
        drop(lock);
        assert_eq!(holder(&dir), None);
    }
}
