//! Bringing a log up from its files: after a clean shutdown, after a crash, and after a truncation.
//!
//! The newest producer snapshot at or below the point up to which everything is durable is where the walk begins: what
//! lies before it is synced with its indexes. From there on every batch is read, checked, and indexed again.

mod again;
mod place;
mod repair;
mod walk_start;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use klamm_records::BatchHeader;

use self::place::{is_followed, out_of_line};
use self::repair::settle_segment;
use self::walk_start::WalkStart;
use crate::check::Ending;
use crate::disk::{Disk, OpenMode, remove_if_exists};
use crate::epochs::{EpochCache, EpochEntry, contradiction};
use crate::files::SegmentFiles;
use crate::producer::ProducerStates;
use crate::producer::snapshot;
use crate::scan::{Found, Scan, ScanError};
use crate::segment::Segment;
use crate::{Damage, LogConfig, LogError, names};

/// What a walk cut off, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The log's end from now on.
    pub offset: i64,
    /// Base offset of the segment in which the bad batch was found.
    pub segment: i64,
    /// Where the bad batch starts in the segment.
    pub position: u64,
    /// Bytes cut off, later segments included.
    pub bytes: u64,
    /// Later segments removed.
    pub segments_removed: usize,
    /// What is wrong with the bad batch.
    pub reason: Damage,
    /// The batch had been durable: this is a damaged disk, not a torn write.
    pub below_recovery_point: bool,
}

/// How far a walk goes and what it may assume.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadLimits {
    /// Snapshots up to this offset may be trusted together with all that lies before them.
    pub(crate) trusted: i64,
    /// Batches that reach beyond this offset are removed.
    pub(crate) stop_at: i64,
    /// Data below this offset was durable, and may have been compacted.
    pub(crate) recovery_point: i64,
    /// Whether what is taken behind the recovery point is written once more. A sync may have failed in the process before:
    /// then the page cache holds what the disk does not, as clean, and no later sync would write it.
    pub(crate) rewrites: bool,
    /// Whether a wrong checksum ends the log. After a clean shutdown it does not, where it is clear what belongs there: what is
    /// wrong was durable, so it is not cut but found again by whoever reads it.
    pub(crate) cuts: bool,
    /// Whether damage below the recovery point is an error instead of a cut.
    pub(crate) refuse_damage: bool,
}

/// A log as its files tell it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) segments: Vec<Segment>,
    pub(crate) end_offset: i64,
    pub(crate) producers: ProducerStates,
    /// Offsets of the snapshots on disk, ascending.
    pub(crate) snapshots: Vec<i64>,
    /// Offset of the snapshot from which the producers were restored.
    pub(crate) resumed_at: i64,
    /// Leader epoch of the last batch walked, −1 before the first.
    last_epoch: i32,
    pub(crate) cut: Option<Cut>,
    pub(crate) scanned_bytes: u64,
}

/// Loads the segments in a directory.
pub(crate) struct Loader<'a> {
    pub(crate) disk: &'a Arc<dyn Disk>,
    pub(crate) dir: &'a Arc<Path>,
    pub(crate) config: &'a LogConfig,
    pub(crate) epochs: &'a mut EpochCache,
    /// The epochs in the checkpoint, if it is sound. It is written with the first records of an epoch and as durable as they are,
    /// so a batch of another epoch was never acknowledged, or is damaged. None are known where all records have been deleted,
    /// though some may still be in the files.
    pub(crate) stored_epochs: Vec<EpochEntry>,
    pub(crate) limits: LoadLimits,
    /// Whether files were removed.
    pub(crate) removed: bool,
}

/// The end of a walk through one segment.
struct Walked {
    segment: Segment,
    next_offset: i64,
    /// Where the next segment begins; `None` for the last one of the log.
    next_base: Option<i64>,
    damage: Option<Damage>,
    scanned: u64,
    /// Where the first batch behind the recovery point lies.
    undurable_from: Option<u64>,
}

impl Loader<'_> {
    /// Walks the segments with these base offsets, ascending, and repairs the files where they are torn.
    pub(crate) fn load(mut self, bases: &[i64], snapshots: Vec<i64>) -> Result<Loaded, LogError> {
        let mut loaded = self.walk_from_snapshot(bases, snapshots)?;
        while loaded.end_offset < loaded.resumed_at {
            loaded = self.walk_again(loaded)?;
        }
        self.settle(&mut loaded)?;
        Ok(loaded)
    }

    fn walk_from_snapshot(&mut self, bases: &[i64], snapshots: Vec<i64>) -> Result<Loaded, LogError> {
        let first = bases.first().copied().unwrap_or(0);
        let mut loaded = Loaded {
            segments: Vec::with_capacity(bases.len()),
            end_offset: first,
            producers: ProducerStates::default(),
            snapshots,
            resumed_at: first,
            last_epoch: -1,
            cut: None,
            scanned_bytes: 0,
        };
        self.resume(first, &mut loaded)?;
        for (index, base) in bases.iter().enumerate() {
            let rest = bases.get(index..).unwrap_or_default();
            if *base >= self.limits.stop_at && index > 0 {
                self.remove(rest)?;
                break;
            }
            let next_base = rest.get(1).copied();
            if !self.load_segment(*base, next_base, &mut loaded)? {
                let later = rest.get(1..).unwrap_or_default();
                let bytes = self.remove(later)?;
                if let Some(cut) = &mut loaded.cut {
                    cut.segments_removed += later.len();
                    cut.bytes += bytes;
                }
                break;
            }
        }
        Ok(loaded)
    }

    /// Restores the producers from the newest sound snapshot that may be trusted.
    fn resume(&mut self, first: i64, loaded: &mut Loaded) -> Result<(), LogError> {
        // Nothing lies before the first, and who begins a log elsewhere removes those of the log before.
        let usable = |offset: &i64| *offset == first || (first..=self.limits.trusted).contains(offset);
        for offset in loaded.snapshots.iter().rev().copied().filter(usable) {
            let path = self.path(offset, names::SNAPSHOT);
            let read = snapshot::read(&**self.disk, &path).map_err(LogError::io("read", &path))?;
            // If not, one before it is as good; it only takes longer.
            if let Some(producers) = read {
                loaded.producers = producers;
                loaded.resumed_at = offset;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Loads one segment; false if the log ends in it.
    fn load_segment(&mut self, base: i64, next: Option<i64>, loaded: &mut Loaded) -> Result<bool, LogError> {
        let files = Arc::new(SegmentFiles::new(Arc::clone(self.disk), Arc::clone(self.dir), base));
        let path = files.log_path();
        let size = files.log().and_then(|file| file.len()).map_err(LogError::io("open", &path))?;
        let is_missing =
            |segment: &Segment| Ending::of(&segment.files, base).missing(loaded.end_offset).is_some();
        let gap = base > loaded.end_offset
            && (loaded.end_offset >= self.limits.recovery_point
                || loaded.segments.last().is_some_and(is_missing));
        if base < loaded.end_offset || (gap && !loaded.segments.is_empty()) {
            return self.cut_leftover(files, size, loaded);
        }
        // The last segment is always walked: it goes on growing.
        let untouched = next.filter(|next| *next <= loaded.resumed_at && *next < self.limits.stop_at);
        if let Some(next) = untouched
            && let Ok(segment) = Segment::closed(Arc::clone(&files), size, next)
        {
            loaded.end_offset = next;
            loaded.segments.push(segment);
            return Ok(true);
        }
        let walked = self.walk(files, size, next, loaded)?;
        loaded.end_offset = walked.next_offset;
        loaded.scanned_bytes += walked.scanned;
        let position = walked.segment.size;
        loaded.segments.push(walked.segment);
        if position == size {
            return Ok(true);
        }
        if let Some(reason) = walked.damage {
            self.note_cut(base, position, size - position, reason, loaded)?;
        }
        Ok(false)
    }

    /// A segment that does not begin where its predecessor ends is left over from before a truncation.
    fn cut_leftover(
        &mut self,
        files: Arc<SegmentFiles>,
        size: u64,
        loaded: &mut Loaded,
    ) -> Result<bool, LogError> {
        let base = files.base_offset();
        let reason = Damage::Offset { expected: loaded.end_offset, found: base };
        self.note_cut(base, 0, size, reason, loaded)?;
        self.remove(&[base])?;
        Ok(false)
    }

    fn note_cut(
        &self,
        segment: i64,
        position: u64,
        bytes: u64,
        reason: Damage,
        loaded: &mut Loaded,
    ) -> Result<(), LogError> {
        let offset = loaded.end_offset;
        let below_recovery_point = offset < self.limits.recovery_point;
        if below_recovery_point && self.limits.refuse_damage {
            return Err(LogError::Damaged { path: self.path(segment, names::LOG), position, reason });
        }
        let cut = Cut { offset, segment, position, bytes, segments_removed: 0, reason, below_recovery_point };
        loaded.cut = Some(cut);
        Ok(())
    }

    fn walk(
        &mut self,
        files: Arc<SegmentFiles>,
        size: u64,
        next_base: Option<i64>,
        loaded: &mut Loaded,
    ) -> Result<Walked, LogError> {
        let path = files.log_path();
        let start = WalkStart::find(&files, size, loaded.resumed_at).map_err(LogError::io("read", &path))?;
        let file = Arc::clone(files.log().map_err(LogError::io("open", &path))?);
        let segment = start.segment(files, &*file, size).map_err(LogError::io("read", &path))?;
        let next_offset = loaded.end_offset.max(segment.base_offset());
        let mut walked =
            Walked { segment, next_offset, next_base, damage: None, scanned: 0, undurable_from: None };
        let mut scan = Scan::verifying(&*file, start.position, size);
        match self.walk_batches(&mut scan, &mut walked, start.position > 0, loaded) {
            Ok(()) => {}
            Err(ScanError::Io(error)) => return Err(LogError::io("read", &path)(error)),
            Err(ScanError::Damaged { reason, .. }) => walked.damage = Some(reason),
        }
        walked.scanned = walked.segment.size - start.position;
        if self.limits.rewrites && walked.next_offset > self.limits.recovery_point {
            let from = walked.undurable_from.unwrap_or(walked.segment.size);
            repair::rewrite(&*file, from, walked.segment.size).map_err(LogError::io("write", &path))?;
        }
        walked.segment.written = walked.segment.size;
        if walked.segment.damage.is_some() {
            walked.segment.files.trust().believe(walked.segment.size);
        }
        walked.segment.unsynced = true;
        walked.segment.indexes_unsynced =
            start.position == 0 && loaded.resumed_at > walked.segment.base_offset();
        Ok(walked)
    }

    /// Takes in one batch after another; `indexed` says that the first one has its index entry and its predecessors
    /// are not known.
    fn walk_batches(
        &mut self,
        scan: &mut Scan<'_>,
        walked: &mut Walked,
        mut indexed: bool,
        loaded: &mut Loaded,
    ) -> Result<(), ScanError> {
        // What lies behind is removed, so that it may be damaged: a copy is cut where its damage begins.
        while walked.next_offset < self.limits.stop_at
            && let Some(found) = scan.next()?
        {
            let wrong = self.judge(scan, &found)?;
            let header = &found.header;
            let is_followed = indexed || is_followed(scan, &found, walked)?;
            let gaps_allowed = is_followed && self.allows_gap_before(header, walked);
            if let Some(reason) = out_of_line(header, walked, indexed, gaps_allowed, loaded.last_epoch) {
                return Err(ScanError::Damaged { position: found.position, reason });
            }
            if let Some(reason) = contradiction(&self.stored_epochs, header) {
                return Err(ScanError::Damaged { position: found.position, reason });
            }
            if header.next_offset() > self.limits.stop_at {
                break;
            }
            if let Some(reason) = wrong {
                walked.segment.damage.get_or_insert((found.position, reason));
            }
            walked.segment.note(header, self.config.index_interval_bytes, !indexed);
            walked.next_offset = header.next_offset();
            if header.next_offset() > self.limits.recovery_point {
                walked.undurable_from.get_or_insert(found.position);
            }
            indexed = false;
            self.replay(header, loaded);
        }
        Ok(())
    }

    /// Whether a compaction may have left a gap before a batch: not behind the recovery point. That is the end of a batch, the
    /// last one then, and it is still there unless it was in a segment that was closed since.
    fn allows_gap_before(&self, header: &BatchHeader, walked: &Walked) -> bool {
        let recovery_point = self.limits.recovery_point;
        let passes = header.next_offset() > recovery_point;
        walked.next_offset < recovery_point && !(walked.next_base.is_none() && passes)
    }

    /// What is wrong with the bytes of a batch that belongs to the log; an error if nothing shows that it belongs there.
    fn judge(&self, scan: &mut Scan<'_>, found: &Found) -> Result<Option<Damage>, ScanError> {
        let (position, reason) = match scan.verify(found) {
            Ok(()) => return Ok(None),
            Err(ScanError::Io(error)) => return Err(ScanError::Io(error)),
            Err(ScanError::Damaged { position, reason }) => (position, reason),
        };
        let next_offset = match scan.peek(found.end()) {
            Ok(next) => next.map_or(self.limits.recovery_point, |next| next.header.base_offset),
            Err(_) => return Err(ScanError::Damaged { position, reason }),
        };
        match self.limits.cuts || next_offset != found.header.next_offset() {
            true => Err(ScanError::Damaged { position, reason }),
            false => Ok(Some(reason)),
        }
    }

    fn replay(&mut self, header: &BatchHeader, loaded: &mut Loaded) {
        if header.base_offset >= loaded.resumed_at {
            loaded.producers.update(header);
        }
        loaded.last_epoch = header.leader_epoch;
        self.epochs.learn(header.leader_epoch, header.base_offset);
    }

    /// Makes the files what the walk found them to be.
    fn settle(&mut self, loaded: &mut Loaded) -> Result<(), LogError> {
        self.epochs.truncate_from_end(loaded.end_offset);
        // Those behind the one that was used are unsound, or name indexes that may not be on disk. None may come back
        // once the indexes are written anew.
        let beyond = loaded.snapshots.partition_point(|offset| *offset <= loaded.resumed_at);
        for offset in loaded.snapshots.split_off(beyond) {
            self.remove_file(offset, names::SNAPSHOT)?;
            self.removed = true;
        }
        if self.removed {
            self.disk.sync_dir(self.dir).map_err(LogError::io("sync", self.dir))?;
        }
        let last = loaded.segments.len().saturating_sub(1);
        // Only segments that were walked can differ from their files.
        for (index, segment) in loaded.segments.iter_mut().enumerate().filter(|(_, segment)| segment.unsynced)
        {
            let path = segment.files.log_path();
            settle_segment(segment, index < last).map_err(LogError::io("repair", &path))?;
        }
        Ok(())
    }

    /// Removes the segments with these base offsets; returns how many bytes of records they had.
    fn remove(&mut self, bases: &[i64]) -> Result<u64, LogError> {
        let mut bytes = 0;
        self.removed |= !bases.is_empty();
        for base in bases {
            let path = self.path(*base, names::LOG);
            let length = self.disk.open(&path, OpenMode::Read).and_then(|file| file.len());
            bytes += length.map_err(LogError::io("open", &path))?;
            for extension in names::SEGMENT_EXTENSIONS {
                self.remove_file(*base, extension)?;
            }
        }
        Ok(bytes)
    }

    fn remove_file(&self, base: i64, extension: &str) -> Result<(), LogError> {
        let path = self.path(base, extension);
        remove_if_exists(&**self.disk, &path).map_err(LogError::io("remove", &path))
    }

    fn path(&self, base: i64, extension: &str) -> PathBuf {
        self.dir.join(names::segment_file(base, extension))
    }
}
