//! Reading whole batches: from memory at once, from a file in a step that needs no lock.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use klamm_records::BatchError;

use crate::check::{Check, Frame, Progress, reads_are_checked};
use crate::disk::{DiskFile, Wait, is_unreadable, read_exact_at};
use crate::files::SegmentFiles;
use crate::index::{IndexView, OffsetEntry};
use crate::scan::{Found, Scan, ScanError};
use crate::{Damage, ReadError};

/// Consecutive bytes of a log, always whole batches.
#[derive(Clone, Debug)]
pub enum Chunk {
    /// The very bytes that were appended.
    Bytes(Bytes),
    /// A range of a segment file, which nobody has read yet but for some headers, unless it had to be checked.
    File(FileChunk),
}

/// A range of a segment file.
#[derive(Clone, Debug)]
pub struct FileChunk {
    /// The `.log` file.
    pub file: Arc<dyn DiskFile>,
    /// First byte.
    pub position: u64,
    /// Number of bytes.
    pub length: usize,
    pub(crate) files: Arc<SegmentFiles>,
}

impl FileChunk {
    /// What an error met while the range was read says of the copy: that the disk has the bytes no more, or that the file ends
    /// before the range does (`UnexpectedEof`). From then on nothing in the segment is trusted until a check has passed it.
    /// `None` for any other error, as of a socket that the range was sent to.
    pub fn damage(&self, error: &io::Error) -> Option<ReadError> {
        let reason = match error.kind() {
            _ if is_unreadable(error) => Damage::Unreadable,
            ErrorKind::UnexpectedEof => self.cut_off().into(),
            _ => return None,
        };
        self.files.trust().doubt(self.position + self.length as u64);
        Some(ReadError::Damaged { path: self.files.log_path(), position: self.position, reason })
    }

    fn cut_off(&self) -> BatchError {
        let left = self.file.len().unwrap_or(0).saturating_sub(self.position);
        BatchError::Truncated { needed: self.length, available: usize::try_from(left).unwrap_or(usize::MAX) }
    }

    fn read_into(&self, buffer: &mut [u8]) -> Result<(), ReadError> {
        read_exact_at(&*self.file, buffer, self.position).map_err(|source| {
            let path = || self.files.log_path();
            self.damage(&source).unwrap_or_else(|| ReadError::Io { path: path(), source })
        })
    }
}

impl Chunk {
    /// Number of bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File(chunk) => chunk.length,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a read found.
#[derive(Clone, Debug)]
pub struct LogRead {
    /// The batches, in order; none if there is nothing between the offset asked for and the limit.
    pub chunks: Vec<Chunk>,
    /// Where the next read starts. Without chunks it may lie behind the offset asked for, when compaction left a gap.
    pub next_offset: i64,
}

impl LogRead {
    pub(crate) fn empty(next_offset: i64) -> Self {
        Self { chunks: Vec::new(), next_offset }
    }

    /// Number of bytes in all chunks.
    pub fn size(&self) -> usize {
        self.chunks.iter().map(Chunk::len).sum()
    }

    /// All bytes in one buffer; file ranges are read, which may block.
    ///
    /// # Errors
    /// A range cannot be read: [`ReadError::Damaged`] where the disk has it no more.
    pub fn to_bytes(&self) -> Result<Bytes, ReadError> {
        if let [Chunk::Bytes(bytes)] = self.chunks.as_slice() {
            return Ok(bytes.clone());
        }
        let mut out = BytesMut::with_capacity(self.size());
        for chunk in &self.chunks {
            match chunk {
                Chunk::Bytes(bytes) => out.extend_from_slice(bytes),
                Chunk::File(chunk) => {
                    let start = out.len();
                    out.resize(start + chunk.length, 0);
                    chunk.read_into(out.get_mut(start..).unwrap_or_default())?;
                }
            }
        }
        Ok(out.freeze())
    }
}

/// How a read goes on, decided under the log's lock without touching the disk.
#[derive(Debug)]
pub enum ReadPlan {
    /// Everything was in memory.
    Ready(LogRead),
    /// Headers in a segment file must be looked at; needs no lock.
    Disk(DiskRead),
}

/// A read of one segment file that finds the range of whole batches to return.
#[derive(Clone, Debug)]
pub struct DiskRead {
    pub(crate) files: Arc<SegmentFiles>,
    pub(crate) index: IndexView<OffsetEntry>,
    /// The bytes of the file that may be read.
    pub(crate) frame: Frame,
    pub(crate) from: i64,
    pub(crate) max_bytes: usize,
    pub(crate) upper: i64,
}

impl DiskRead {
    /// Finds the range. With [`Wait::Forbidden`] it is an error to need a page that is not cached.
    pub fn run(&self, wait: Wait) -> Result<LogRead, ReadError> {
        let Some(first) = self.find_first(wait)? else {
            self.vouch(0, self.frame.end, wait)?;
            if let Some(reason) = self.frame.ending.missing(self.from).filter(|_| reads_are_checked()) {
                return Err(self.failure(ScanError::Damaged { position: self.frame.end, reason }));
            }
            return Ok(LogRead::empty(self.frame.end_offset.min(self.upper)));
        };
        if first.header.next_offset() > self.upper {
            self.vouch(first.position, first.end(), wait)?;
            return Ok(LogRead::empty(self.from));
        }
        let (end, next_offset) = self.find_end(&first, wait)?;
        self.vouch(first.position, end, wait)?;
        let file = Arc::clone(self.files.log().map_err(|error| self.io(error))?);
        let length = usize::try_from(end - first.position).unwrap_or(usize::MAX);
        let chunk = FileChunk { file, position: first.position, length, files: Arc::clone(&self.files) };
        Ok(LogRead { chunks: vec![Chunk::File(chunk)], next_offset })
    }

    /// Checks what nobody in this process has seen before it is served, with the batches around it.
    fn vouch(&self, position: u64, end: u64, wait: Wait) -> Result<(), ReadError> {
        if !self.files.trust().is_doubtful(position, end) || !reads_are_checked() {
            return Ok(());
        }
        if wait == Wait::Forbidden {
            return Err(ReadError::WouldBlock);
        }
        let start = self.anchor()?;
        let mut progress = Progress::at(start, self.files.base_offset());
        let file = self.files.log().map_err(|error| self.io(error))?;
        let checked = Check::new(&**file, &self.frame, &mut progress).run_to(end, |_| {});
        checked.map_err(|error| self.failure(error))?;
        self.files.trust().note(start, end);
        Ok(())
    }

    /// Where the search for `from` begins. What it has passed over is checked, too.
    fn anchor(&self) -> Result<u64, ReadError> {
        Ok(self.entry_before(Wait::Allowed)?.map_or(0, |(_, found)| found.position))
    }

    /// The batch that contains `from`, or the first one behind it.
    pub(crate) fn find_first(&self, wait: Wait) -> Result<Option<Found>, ReadError> {
        if let Some((entry, found)) = self.entry_before(wait)? {
            return if entry.offset == self.from { Ok(Some(found)) } else { self.scan_to(found.end(), wait) };
        }
        self.scan_to(0, wait)
    }

    /// The last index entry at or before `from` with its batch, if there is one and it is right.
    fn entry_before(&self, wait: Wait) -> Result<Option<(OffsetEntry, Found)>, ReadError> {
        let base = self.files.base_offset();
        let before = self.from.saturating_sub(base);
        let share = before as f64 / self.frame.end_offset.saturating_sub(base).max(1) as f64;
        let Some(entry) = self.search(share, wait, |entry| entry.offset <= self.from)? else {
            return Ok(None);
        };
        Ok(self.check(entry, wait)?.map(|found| (entry, found)))
    }

    /// The batch that an index entry points to, or `None` if the entry is wrong: then the file is walked instead.
    fn check(&self, entry: OffsetEntry, wait: Wait) -> Result<Option<Found>, ReadError> {
        match self.scan(entry.position, wait)?.next() {
            Ok(found) => Ok(found.filter(|found| found.header.last_offset() == entry.offset)),
            Err(ScanError::Damaged { .. }) => Ok(None),
            Err(ScanError::Io(error)) => Err(self.io(error)),
        }
    }

    fn scan_to(&self, position: u64, wait: Wait) -> Result<Option<Found>, ReadError> {
        let mut scan = self.scan(position, wait)?;
        while let Some(found) = scan.next().map_err(|error| self.failure(error))? {
            if found.header.last_offset() >= self.from {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Where the range ends and the offset behind it; `first` always belongs to it.
    fn find_end(&self, first: &Found, wait: Wait) -> Result<(u64, i64), ReadError> {
        let limit = first.position.saturating_add(self.max_bytes as u64);
        if self.frame.end <= limit && self.frame.end_offset <= self.upper {
            return Ok((self.frame.end, self.frame.end_offset));
        }
        let (mut end, mut next_offset) = (first.end(), first.header.next_offset());
        let share = limit as f64 / self.frame.end.max(1) as f64;
        let entry = self.search(share, wait, |entry| entry.position <= limit && entry.offset < self.upper)?;
        if let Some(entry) = entry.filter(|entry| entry.position > end)
            && let Some(found) = self.check(entry, wait)?
        {
            (end, next_offset) = (found.position, found.header.base_offset);
        }
        let mut scan = self.scan(end, wait)?;
        while let Some(found) = scan.next().map_err(|error| self.failure(error))? {
            if found.end() > limit || found.header.next_offset() > self.upper {
                break;
            }
            (end, next_offset) = (found.end(), found.header.next_offset());
        }
        Ok((end, next_offset))
    }

    fn search(
        &self,
        share: f64,
        wait: Wait,
        holds: impl Fn(&OffsetEntry) -> bool,
    ) -> Result<Option<OffsetEntry>, ReadError> {
        let file = || self.files.offset_index().map(|file| &**file);
        let base = self.files.base_offset();
        self.index.last_near(share, base, wait, file, holds).map_err(|error| self.io(error))
    }

    fn scan(&self, position: u64, wait: Wait) -> Result<Scan<'_>, ReadError> {
        let file = self.files.log().map_err(|error| self.io(error))?;
        Ok(Scan::headers(&**file, position, self.frame.end, wait))
    }

    fn path(&self) -> PathBuf {
        self.files.log_path()
    }

    fn io(&self, source: io::Error) -> ReadError {
        if is_unreadable(&source) {
            // Also what this process has written or checked itself: the next check tells where the sound part ends.
            self.files.trust().doubt(self.frame.end);
        }
        match source.kind() {
            ErrorKind::WouldBlock => ReadError::WouldBlock,
            _ => ReadError::Io { path: self.path(), source },
        }
    }

    fn failure(&self, error: ScanError) -> ReadError {
        match error {
            ScanError::Io(source) => self.io(source),
            ScanError::Damaged { position, reason } => {
                self.files.trust().disbelieve(self.frame.end);
                ReadError::Damaged { path: self.path(), position, reason }
            }
        }
    }
}
