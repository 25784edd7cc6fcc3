//! Files and locks of a simulated disk.

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use super::state::{Change, Inode, State, overwrite};
use super::{SimDisk, io_error};
use crate::disk::DiskFile;

pub(super) struct SimLock {
    pub(super) disk: SimDisk,
    pub(super) path: PathBuf,
    pub(super) generation: u64,
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
pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) inode: Inode,
    pub(super) generation: u64,
    pub(super) writable: bool,
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
            let contents = state.contents(self.inode)?;
            let from = usize::try_from(position).unwrap_or(usize::MAX);
            if contents.is_unreadable(&(from..from.saturating_add(buffer.len()))) {
                return Err(io_error());
            }
            let contents = &contents.cached;
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
            contents.claim(&(position as usize..position as usize + count));
            contents.unsynced.push(Change::Write { position, bytes });
            if failing { Err(io_error()) } else { Ok(count) }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state| {
            let fails = state.sync_fails();
            let contents = state.contents(self.inode)?;
            if fails {
                contents.give_up();
                return Err(io_error());
            }
            contents.sync();
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
