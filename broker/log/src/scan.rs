//! Walking the batches of a segment file through a small window.

use std::io;

use klamm_records::{BATCH_OVERHEAD, BatchError, BatchHeader};

use crate::Damage;
use crate::disk::{DiskFile, Wait, is_unreadable, read_up_to};
use crate::mutation::{Mutation, is_active};

/// Window of a walk from header to header: about one index interval.
const HEADER_WINDOW: usize = 4096;
/// Window of a walk that reads every byte.
const CHECKSUM_WINDOW: usize = 256 * 1024;
/// First byte of a batch that its checksum covers.
const CHECKSUMMED: u64 = 21;

/// Why a walk stopped.
#[derive(Debug)]
pub(crate) enum ScanError {
    Io(io::Error),
    Damaged { position: u64, reason: Damage },
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A walk over the batches between two positions of a file.
pub(crate) struct Scan<'a> {
    file: &'a dyn DiskFile,
    position: u64,
    end: u64,
    wait: Wait,
    capacity: usize,
    window: Vec<u8>,
    window_at: u64,
}

/// A batch found by a walk.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) position: u64,
    pub(crate) header: BatchHeader,
}

impl Found {
    /// Where the next batch starts.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.header.size_in_bytes() as u64
    }
}

impl<'a> Scan<'a> {
    /// A walk that reads headers only.
    pub(crate) fn headers(file: &'a dyn DiskFile, position: u64, end: u64, wait: Wait) -> Self {
        Self { file, position, end, wait, capacity: HEADER_WINDOW, window: Vec::new(), window_at: 0 }
    }

    /// A walk that can verify checksums on the way.
    pub(crate) fn verifying(file: &'a dyn DiskFile, position: u64, end: u64) -> Self {
        let (wait, capacity) = (Wait::Allowed, CHECKSUM_WINDOW);
        Self { file, position, end, wait, capacity, window: Vec::new(), window_at: 0 }
    }

    /// The next batch, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Found>, ScanError> {
        let found = self.peek(self.position)?;
        if let Some(found) = &found {
            self.position = found.end();
        }
        Ok(found)
    }

    /// The batch at a position, or `None` at the end.
    pub(crate) fn peek(&mut self, position: u64) -> Result<Option<Found>, ScanError> {
        if position >= self.end {
            return Ok(None);
        }
        let damaged = |reason: BatchError| ScanError::Damaged { position, reason: reason.into() };
        let header = BatchHeader::parse(self.bytes(position, BATCH_OVERHEAD)?).map_err(damaged)?;
        let found = Found { position, header };
        if found.end() > self.end {
            let available = usize::try_from(self.end - position).unwrap_or(usize::MAX);
            return Err(damaged(BatchError::Truncated { needed: found.header.size_in_bytes(), available }));
        }
        Ok(Some(found))
    }

    /// Compares the checksum of a batch with its bytes.
    pub(crate) fn verify(&mut self, found: &Found) -> Result<(), ScanError> {
        let mut at = found.position + CHECKSUMMED;
        let mut computed = 0;
        while at < found.end() {
            let wanted = usize::try_from(found.end() - at).unwrap_or(usize::MAX).min(self.capacity);
            let piece = self.bytes(at, wanted)?;
            if piece.is_empty() {
                // The file is shorter than it was.
                let (needed, read) = (found.header.size_in_bytes(), at - found.position);
                let available = usize::try_from(read).unwrap_or(usize::MAX);
                let reason = BatchError::Truncated { needed, available }.into();
                return Err(ScanError::Damaged { position: found.position, reason });
            }
            computed = crc32c::crc32c_append(computed, piece);
            at += piece.len() as u64;
        }
        let stored = found.header.crc;
        if computed == stored || is_active(Mutation::RecoveryChecksNoCrc) {
            return Ok(());
        }
        Err(ScanError::Damaged {
            position: found.position,
            reason: BatchError::CrcMismatch { stored, computed }.into(),
        })
    }

    /// Up to `length` bytes at `position`, which may be fewer only at the end.
    fn bytes(&mut self, position: u64, length: usize) -> io::Result<&[u8]> {
        let inside = position >= self.window_at
            && position + length as u64 <= self.window_at + self.window.len() as u64;
        if !inside {
            let wanted = usize::try_from(self.end - position).unwrap_or(usize::MAX).min(self.capacity);
            self.window.resize(wanted, 0);
            let filled = match read_up_to(self.file, &mut self.window, position, self.wait) {
                // What is unreadable may lie behind what is needed.
                Err(error) if is_unreadable(&error) && length < wanted => {
                    self.window.truncate(length);
                    read_up_to(self.file, &mut self.window, position, self.wait)
                }
                filled => filled,
            };
            let filled = filled.inspect_err(|_| self.window.clear())?;
            self.window.truncate(filled);
            self.window_at = position;
        }
        let start = usize::try_from(position - self.window_at).unwrap_or(usize::MAX);
        let end = start.saturating_add(length).min(self.window.len());
        Ok(self.window.get(start..end).unwrap_or_default())
    }
}
