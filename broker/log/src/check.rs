//! Checking data that this process has neither written nor walked: what a disk gives back may not be what it was given.
//!
//! Opening a log after a clean shutdown, or below the recovery point, reads none of its data. So each segment remembers up to
//! where it is only believed, a read of such a part checks it first, and a [`SegmentCheck`] goes through it in the background.
//! The check also compares the indexes with the batches, and looks at producer snapshots, which nothing else may ever read.
//! The checksum covers neither base offset nor leader epoch of a batch: the first must lie between the neighbours', the second
//! must be the one that the epoch checkpoint names.

mod indexes;

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::disk::{DiskFile, is_unreadable};
use crate::epochs::{EpochEntry, contradiction};
use crate::files::SegmentFiles;
use crate::index::{OffsetEntry, TimeEntry, last_named};
use crate::mutation::{Mutation, is_active};
use crate::producer::snapshot;
use crate::scan::{Found, Scan, ScanError};
use crate::{Damage, LogError, names};
use indexes::Indexes;

/// Which bytes of a segment are only believed: those between the two positions.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    checked: AtomicU64,
    believed_to: AtomicU64,
    /// So many entries of the two indexes, and what else lies beside the segment, have not been looked at.
    believed_offsets: AtomicUsize,
    believed_times: AtomicUsize,
    doubts_indexes: AtomicBool,
}

impl Trust {
    /// Nothing before `position` has been looked at.
    pub(crate) fn believe(&self, position: u64) {
        self.believed_to.store(position, Ordering::Release);
    }

    /// So many entries of the offset index and of the time index have not been looked at.
    pub(crate) fn believe_indexes(&self, offsets: usize, times: usize) {
        self.believed_offsets.store(offsets, Ordering::Release);
        self.believed_times.store(times, Ordering::Release);
        self.doubts_indexes.store(offsets + times > 0, Ordering::Release);
    }

    /// Nothing before `position` is known to be sound any more.
    pub(crate) fn doubt(&self, position: u64) {
        self.checked.store(0, Ordering::Release);
        self.believed_to.fetch_max(position, Ordering::AcqRel);
    }

    /// Something before `position` is not sound. Where not everything is trusted a check is due already.
    pub(crate) fn disbelieve(&self, position: u64) {
        if self.is_complete() {
            self.doubt(position);
        }
    }

    /// Everything is known to be sound.
    pub(crate) fn accept(&self) {
        self.believed_to.store(0, Ordering::Release);
        self.accept_indexes();
    }

    fn accept_indexes(&self) {
        self.doubts_indexes.store(false, Ordering::Release);
    }

    /// Whether an entry of an index may be wrong.
    pub(crate) fn doubts_indexes(&self) -> bool {
        self.doubts_indexes.load(Ordering::Acquire)
    }

    fn believed_entries(&self) -> (usize, usize) {
        (self.believed_offsets.load(Ordering::Acquire), self.believed_times.load(Ordering::Acquire))
    }

    /// Whether any byte between the positions is only believed.
    pub(crate) fn is_doubtful(&self, from: u64, to: u64) -> bool {
        let believed_to = self.believed_to.load(Ordering::Acquire);
        from < believed_to && to > self.checked.load(Ordering::Acquire)
    }

    /// Whether nothing is only believed.
    pub(crate) fn is_complete(&self) -> bool {
        self.checked.load(Ordering::Acquire) >= self.believed_to.load(Ordering::Acquire)
    }

    /// The bytes between the positions were found sound.
    pub(crate) fn note(&self, from: u64, to: u64) {
        // What is checked elsewhere meanwhile is checked again: no harm.
        if from <= self.checked.load(Ordering::Acquire) {
            self.checked.fetch_max(to, Ordering::AcqRel);
        }
    }
}

/// How a closed segment ends, as its indexes and its successor have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// The last offset that an index names.
    named: i64,
    /// Where the next segment begins.
    end_offset: i64,
}

impl Ending {
    /// Nothing is known of it, or all of it has been seen.
    pub(crate) const OPEN: Self = Self { named: -1, end_offset: -1 };

    /// The ending of a segment on disk. An index that cannot be read names nothing.
    pub(crate) fn of(files: &SegmentFiles, end_offset: i64) -> Self {
        let named = last_named::<OffsetEntry>(files).max(last_named::<TimeEntry>(files));
        Self { named: named.unwrap_or(-1), end_offset }
    }

    /// What is wrong if no batch lies at `expected` or behind: a file that ends between two batches does not show that there
    /// were more. A jump alone does not say so, as another broker's compaction leaves them.
    pub(crate) fn missing(self, expected: i64) -> Option<Damage> {
        let is_missing = (expected..self.end_offset).contains(&self.named);
        is_missing.then_some(Damage::Offset { expected, found: self.end_offset })
    }
}

/// What must hold of a segment's batches beyond their checksums.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Bytes of the file.
    pub(crate) end: u64,
    /// The offset behind those bytes.
    pub(crate) end_offset: i64,
    /// How the segment ends, if it is closed.
    pub(crate) ending: Ending,
    /// The log's leader epochs; of no use, and empty, where everything is trusted.
    pub(crate) epochs: Vec<EpochEntry>,
}

/// A walk that compares each batch with its checksum, its neighbours and the epochs.
pub(crate) struct Check<'a> {
    scan: Scan<'a>,
    frame: &'a Frame,
    progress: &'a mut Progress,
}

/// How far a check has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    position: u64,
    /// No batch may begin before it.
    next_offset: i64,
    /// The same before the last batch, whose own offsets only its successor confirms.
    confirmed: i64,
}

impl Progress {
    /// From `position` on, where no batch begins before `offset`.
    pub(crate) fn at(position: u64, offset: i64) -> Self {
        Self { position, next_offset: offset, confirmed: offset }
    }
}

impl<'a> Check<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile, frame: &'a Frame, progress: &'a mut Progress) -> Self {
        Self { scan: Scan::verifying(file, progress.position, frame.end), frame, progress }
    }

    /// Checks all batches that begin before `position`, shows them to `passes`, and that the one behind them follows.
    pub(crate) fn run_to(&mut self, position: u64, mut passes: impl FnMut(&Found)) -> Result<(), ScanError> {
        while self.progress.position < position {
            let Some(found) = self.scan.next()? else { break };
            self.scan.verify(&found)?;
            self.place(&found)?;
            passes(&found);
            self.progress.confirmed = self.progress.next_offset;
            (self.progress.position, self.progress.next_offset) = (found.end(), found.header.next_offset());
        }
        match self.scan.next()? {
            Some(next) => self.place(&next),
            None => self.ends(),
        }
    }

    /// Nothing is missing at the end of the file.
    fn ends(&self) -> Result<(), ScanError> {
        let Progress { position, next_offset, .. } = *self.progress;
        self.follows(position, self.frame.end_offset)?;
        match self.frame.ending.missing(next_offset) {
            None => Ok(()),
            Some(reason) => Err(ScanError::Damaged { position, reason }),
        }
    }

    fn place(&self, found: &Found) -> Result<(), ScanError> {
        self.follows(found.position, found.header.base_offset)?;
        match contradiction(&self.frame.epochs, &found.header) {
            None => Ok(()),
            Some(reason) => Err(ScanError::Damaged { position: found.position, reason }),
        }
    }

    fn follows(&self, position: u64, offset: i64) -> Result<(), ScanError> {
        let expected = self.progress.next_offset;
        if offset >= expected {
            return Ok(());
        }
        Err(ScanError::Damaged { position, reason: Damage::Offset { expected, found: offset } })
    }
}

/// A check of one segment, a piece at a time, without the log's lock.
#[derive(Debug)]
pub struct SegmentCheck {
    files: Arc<SegmentFiles>,
    frame: Frame,
    progress: Progress,
    /// Nothing is appended to the segment any more.
    is_closed: bool,
    indexes: Option<Indexes>,
    /// Producer snapshots to look at.
    snapshots: Vec<i64>,
    /// Those of them that are broken.
    broken: Vec<i64>,
}

/// What a piece of a check has found.
#[derive(Debug)]
pub enum Checked {
    /// All is well so far.
    More,
    /// All of it is well, or the segment is not there any more.
    Done,
    /// A batch is damaged. Everything before `offset` is sound.
    Damaged {
        /// No record at or behind it is known to be sound.
        offset: i64,
        /// The segment.
        path: PathBuf,
        /// Where the damage was noticed.
        position: u64,
        /// What is wrong.
        reason: Damage,
    },
}

impl SegmentCheck {
    /// A check of a segment from its beginning; `None` if there is nothing to check.
    pub(crate) fn new(
        files: &Arc<SegmentFiles>,
        frame: Frame,
        is_closed: bool,
        snapshots: Vec<i64>,
    ) -> Option<Self> {
        let mut progress = Progress::at(0, files.base_offset());
        if files.trust().is_complete() && !files.trust().doubts_indexes() {
            if snapshots.is_empty() {
                return None;
            }
            // As when the segment was compacted since: there are only snapshots to look at.
            progress = Progress::at(frame.end, frame.end_offset);
        }
        let (files, broken) = (Arc::clone(files), Vec::new());
        Some(Self { files, frame, progress, is_closed, indexes: None, snapshots, broken })
    }

    /// Checks about `bytes` more. Waits for the disk. When it is done, [`Log::mend`](crate::Log::mend) puts right what lies
    /// beside the records.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn run(&mut self, bytes: u64) -> Result<Checked, LogError> {
        let path = self.files.log_path();
        let checked = self.check_on(bytes).and_then(|()| Ok(self.finish()?));
        match checked {
            Ok(is_done) => Ok(if is_done { Checked::Done } else { Checked::More }),
            // Retention was faster: there is nothing left to check.
            Err(ScanError::Io(error)) if error.kind() == ErrorKind::NotFound => {
                self.files.trust().accept();
                Ok(Checked::Done)
            }
            // Only of the batches: what lies beside them can be made anew from them.
            Err(ScanError::Io(error)) if is_unreadable(&error) && self.indexes.is_some() => {
                let (offset, position) = (self.progress.confirmed, self.progress.position);
                Ok(Checked::Damaged { offset, path, position, reason: Damage::Unreadable })
            }
            Err(ScanError::Io(error)) => Err(LogError::io("read", &path)(error)),
            Err(ScanError::Damaged { position, reason }) => {
                Ok(Checked::Damaged { offset: self.progress.confirmed, path, position, reason })
            }
        }
    }

    fn check_on(&mut self, bytes: u64) -> Result<(), ScanError> {
        let is_missing = self.frame.ending.missing(self.progress.next_offset).is_some();
        if self.progress.position >= self.frame.end && self.indexes.is_none() && !is_missing {
            return Ok(());
        }
        let file = Arc::clone(self.files.log()?);
        let indexes = match &mut self.indexes {
            Some(indexes) => indexes,
            none => none.insert(Indexes::read(&self.files, self.files.trust().believed_entries())?),
        };
        let goal = self.progress.position.saturating_add(bytes).min(self.frame.end);
        let mut check = Check::new(&*file, &self.frame, &mut self.progress);
        check.run_to(goal, |found| indexes.pass(found.position, &found.header))?;
        self.files.trust().note(0, self.progress.position);
        Ok(())
    }

    /// Whether all batches have passed; then the rest is looked at, too.
    fn finish(&mut self) -> io::Result<bool> {
        if self.progress.position < self.frame.end {
            return Ok(false);
        }
        for offset in &self.snapshots {
            let is_broken = match self.files.read_beside(*offset, names::SNAPSHOT) {
                Err(error) if is_unreadable(&error) => true,
                contents => contents?.is_some_and(|contents| snapshot::decode(&contents).is_none()),
            };
            if is_broken {
                self.broken.push(*offset);
            }
        }
        if let Some(indexes) = &mut self.indexes {
            indexes.finish(self.is_closed);
            if !indexes.has_mends() {
                self.files.trust().accept_indexes();
            }
        }
        Ok(true)
    }

    pub(crate) fn files(&self) -> &Arc<SegmentFiles> {
        &self.files
    }

    pub(crate) fn snapshots(&self) -> &[i64] {
        &self.snapshots
    }

    pub(crate) fn broken_snapshots(&self) -> &[i64] {
        &self.broken
    }

    /// Overwrites the entries that were wrong; returns their files.
    pub(crate) fn mend_indexes(&self) -> Result<Vec<PathBuf>, LogError> {
        let Some(indexes) = &self.indexes else { return Ok(Vec::new()) };
        let path = self.files.log_path();
        let mended = indexes.mend(&self.files).map_err(LogError::io("mend an index of", &path))?;
        self.files.trust().accept_indexes();
        Ok(mended.into_iter().map(|extension| self.files.path(extension)).collect())
    }
}

/// Whether reads check what they are about to serve.
pub(crate) fn reads_are_checked() -> bool {
    !is_active(Mutation::ReadsUnchecked)
}
