//! The work of one compaction: reads closed segments, writes their replacements beside them.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use klamm_records::{Batch, BatchError, BatchHeader};

use super::{Compacted, LastOffsets, compact, placeholder};
use crate::check::Ending;
use crate::disk::{Disk, DiskFile, OpenMode, Wait, read_exact_at, write_all_at};
use crate::files::SegmentFiles;
use crate::index::{IndexEntry, OffsetEntry, TimeEntry};
use crate::names::{CLEANED_SUFFIX, with_suffix};
use crate::scan::{Scan, ScanError};
use crate::segment::Segment;
use crate::{Damage, LogConfig, LogError, names};

/// Bytes that wait before they are written.
const WRITE_AT: usize = 1 << 20;

/// A segment to be compacted.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) files: Arc<SegmentFiles>,
    pub(crate) size: u64,
    /// The offset behind its last one.
    pub(crate) end_offset: i64,
    pub(crate) ending: Ending,
}

/// A compaction of closed segments, to be run without the log's lock.
#[derive(Debug)]
pub struct CompactionJob {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: Arc<Path>,
    pub(crate) config: LogConfig,
    pub(crate) sources: Vec<Source>,
    pub(crate) first_dirty: i64,
    pub(crate) now_ms: i64,
    pub(crate) map_bytes: usize,
    pub(crate) cancelled: Arc<AtomicBool>,
}

/// A segment that replaces some of the sources.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) base_offset: i64,
    pub(crate) size: u64,
}

/// What came of a [`CompactionJob`]; goes back into the log with `finish_compaction`.
#[derive(Debug)]
pub struct CompactionOutcome {
    pub(crate) sources: Vec<Source>,
    pub(crate) targets: Vec<Target>,
    pub(crate) cleaned_to: i64,
}

impl CompactionOutcome {
    /// Everything before this offset is compacted; the value for `cleaner-offset-checkpoint`.
    pub fn cleaned_to(&self) -> i64 {
        self.cleaned_to
    }

    /// Bytes before and after.
    pub fn bytes(&self) -> (u64, u64) {
        let before = self.sources.iter().map(|source| source.size).sum();
        (before, self.targets.iter().map(|target| target.size).sum())
    }
}

/// A replacement being written.
struct Writer<'a> {
    job: &'a CompactionJob,
    log: Arc<dyn DiskFile>,
    segment: Segment,
    buffer: Vec<u8>,
    /// Offsets without any record that no batch keeps yet: first, last, leader epoch.
    empty: Option<(i64, i64, i32)>,
}

impl CompactionJob {
    /// Lets the flag end the work, with an error of kind `Interrupted`.
    #[must_use]
    pub fn cancelled_by(self, flag: Arc<AtomicBool>) -> Self {
        Self { cancelled: flag, ..self }
    }

    /// Does the work. Blocks, and may take long. What it leaves behind when it fails is overwritten by the
    /// next one, or removed by the next start.
    pub fn run(mut self) -> Result<CompactionOutcome, LogError> {
        let (last, cleaned_to) = self.map_dirty()?;
        // Segments beyond the map's reach wait for the next round.
        self.sources.retain(|source| source.end_offset <= cleaned_to);
        let mut targets = Vec::new();
        let mut writer: Option<Writer<'_>> = None;
        for source in &self.sources {
            if let Some(full) = writer.take_if(|writer| !writer.has_room_for(source)) {
                targets.push(full.finish()?);
            }
            let mut current = match writer.take() {
                Some(writer) => writer,
                None => Writer::create(&self, source.files.base_offset())?,
            };
            self.each_batch(source, |batch| current.add(batch, &last))?;
            writer = Some(current);
        }
        if let Some(writer) = writer {
            targets.push(writer.finish()?);
        }
        self.disk.sync_dir(&self.dir).map_err(LogError::io("sync", &self.dir))?;
        Ok(CompactionOutcome { sources: self.sources, targets, cleaned_to })
    }

    /// The last offset of each key in the segments that were not compacted before, and how far the map reaches.
    fn map_dirty(&self) -> Result<(LastOffsets, i64), LogError> {
        let mut last = LastOffsets::new(self.map_bytes);
        let mut cleaned_to = self.first_dirty;
        for source in self.sources.iter().filter(|source| source.end_offset > self.first_dirty) {
            let mut complete = true;
            self.each_batch(source, |batch| {
                complete = complete && last.add(&batch)?;
                Ok(())
            })?;
            // The first segment is taken whatever its size: some progress must be possible.
            if !complete && cleaned_to > self.first_dirty {
                break;
            }
            cleaned_to = source.end_offset;
            if !complete {
                break;
            }
        }
        Ok((last, cleaned_to))
    }

    /// Reads, checks and visits every batch of a segment.
    fn each_batch(
        &self,
        source: &Source,
        mut visit: impl FnMut(Batch) -> Result<(), WriteError>,
    ) -> Result<(), LogError> {
        let path = source.files.log_path();
        let file = source.files.log().map_err(LogError::io("open", &path))?;
        // Readers that planned before the swap must find the old index beside the old file.
        let _ = source.files.offset_index();
        let damaged = |position, reason: Damage| LogError::Damaged { path: path.clone(), position, reason };
        let mut scan = Scan::headers(&**file, 0, source.size, Wait::Allowed);
        let mut next_offset = source.files.base_offset();
        loop {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(LogError::io("compact", &path)(io::Error::from(ErrorKind::Interrupted)));
            }
            let found = match scan.next() {
                Ok(Some(found)) => found,
                Ok(None) => {
                    let missing = source.ending.missing(next_offset);
                    return missing.map_or(Ok(()), |reason| Err(damaged(source.size, reason)));
                }
                Err(ScanError::Io(error)) => return Err(LogError::io("read", &path)(error)),
                Err(ScanError::Damaged { position, reason }) => return Err(damaged(position, reason)),
            };
            let position = found.position;
            next_offset = found.header.next_offset();
            let mut bytes = vec![0; found.header.size_in_bytes()];
            read_exact_at(&**file, &mut bytes, position).map_err(LogError::io("read", &path))?;
            let batch = Batch { header: found.header, bytes: bytes.into() };
            batch.verify_crc().map_err(|reason| damaged(position, reason.into()))?;
            visit(batch).map_err(|error| match error {
                WriteError::Batch(reason) => damaged(position, reason.into()),
                WriteError::Log(error) => error,
            })?;
        }
    }

    fn cleaned(&self, base_offset: i64, extension: &str) -> PathBuf {
        with_suffix(&self.dir.join(names::segment_file(base_offset, extension)), CLEANED_SUFFIX)
    }
}

/// Why a batch could not be carried over.
enum WriteError {
    Batch(BatchError),
    Log(LogError),
}

impl From<BatchError> for WriteError {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}

impl From<LogError> for WriteError {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl<'a> Writer<'a> {
    fn create(job: &'a CompactionJob, base_offset: i64) -> Result<Self, LogError> {
        let path = job.cleaned(base_offset, names::LOG);
        let log = job.disk.open(&path, OpenMode::Replace).map_err(LogError::io("create", &path))?;
        let files = SegmentFiles::new(Arc::clone(&job.disk), Arc::clone(&job.dir), base_offset);
        let segment = Segment::empty(Arc::new(files));
        Ok(Self { job, log, segment, buffer: Vec::new(), empty: None })
    }

    /// Whether the whole source fits, even if nothing of it goes.
    fn has_room_for(&self, source: &Source) -> bool {
        let span = source.end_offset.saturating_sub(self.segment.base_offset());
        self.segment.size + source.size <= self.job.config.segment_bytes && span <= i64::from(i32::MAX)
    }

    fn add(&mut self, batch: Batch, last: &LastOffsets) -> Result<(), WriteError> {
        let header = &batch.header;
        match compact(&batch, last, self.job.now_ms, self.job.config.delete_retention_ms)? {
            Compacted::Unchanged if header.record_count > 0 => self.append(header, &batch.bytes)?,
            Compacted::Rewritten(bytes) => self.append(&BatchHeader::parse(&bytes)?, &bytes)?,
            Compacted::Unchanged | Compacted::Nothing => self.skip(header)?,
        }
        Ok(())
    }

    /// Notes that no record of the batch stays.
    fn skip(&mut self, header: &BatchHeader) -> Result<(), WriteError> {
        match &mut self.empty {
            Some((_, last, epoch)) if *epoch == header.leader_epoch => *last = header.last_offset(),
            _ => {
                self.keep_empty()?;
                self.empty = Some((header.base_offset, header.last_offset(), header.leader_epoch));
            }
        }
        Ok(())
    }

    /// Writes an empty batch for offsets that have none.
    fn keep_empty(&mut self) -> Result<(), WriteError> {
        let Some((first, last, epoch)) = self.empty.take() else { return Ok(()) };
        let bytes = placeholder(first, last, epoch)?;
        self.put(&BatchHeader::parse(&bytes)?, &bytes)
    }

    fn append(&mut self, header: &BatchHeader, bytes: &Bytes) -> Result<(), WriteError> {
        self.keep_empty()?;
        self.put(header, bytes)
    }

    fn put(&mut self, header: &BatchHeader, bytes: &Bytes) -> Result<(), WriteError> {
        self.buffer.extend_from_slice(bytes);
        self.segment.append(header, self.job.config.index_interval_bytes);
        if self.buffer.len() >= WRITE_AT {
            self.write_out()?;
        }
        Ok(())
    }

    fn write_out(&mut self) -> Result<(), LogError> {
        let path = self.job.cleaned(self.segment.base_offset(), names::LOG);
        write_all_at(&*self.log, &[&self.buffer], self.segment.written)
            .map_err(LogError::io("write", &path))?;
        self.segment.written = self.segment.size;
        self.buffer.clear();
        Ok(())
    }

    /// Completes the replacement and makes it durable.
    fn finish(mut self) -> Result<Target, LogError> {
        let base_offset = self.segment.base_offset();
        let path = self.job.cleaned(base_offset, names::LOG);
        self.keep_empty().map_err(|error| match error {
            WriteError::Batch(reason) => {
                LogError::Damaged { path: path.clone(), position: 0, reason: reason.into() }
            }
            WriteError::Log(error) => error,
        })?;
        self.write_out()?;
        self.log.sync_data().map_err(LogError::io("sync", &path))?;
        self.segment.close();
        let offsets = self.segment.offsets.store(base_offset, i64::MAX).map(|write| write.bytes);
        self.write_index(OffsetEntry::EXTENSION, offsets)?;
        let times = self.segment.times.store(base_offset, i64::MAX).map(|write| write.bytes);
        self.write_index(TimeEntry::EXTENSION, times)?;
        Ok(Target { base_offset, size: self.segment.size })
    }

    fn write_index(&self, extension: &str, entries: Option<Vec<u8>>) -> Result<(), LogError> {
        let path = self.job.cleaned(self.segment.base_offset(), extension);
        let file = self.job.disk.open(&path, OpenMode::Replace).map_err(LogError::io("create", &path))?;
        let written = write_all_at(&*file, &[&entries.unwrap_or_default()], 0);
        written.and_then(|()| file.sync_data()).map_err(LogError::io("write", &path))
    }
}
