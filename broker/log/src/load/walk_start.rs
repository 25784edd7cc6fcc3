//! Where the walk through a segment starts: at the last batch before the trusted offset that an index entry points to.

use std::io;
use std::sync::Arc;

use crate::disk::{DiskFile, OpenMode, Wait};
use crate::files::SegmentFiles;
use crate::index::{OffsetEntry, SparseIndex, TimeEntry, count_stored, read_entries};
use crate::names;
use crate::scan::{Scan, ScanError};
use crate::segment::{Segment, is_max, is_true, stored_entries};

/// Where in a segment a walk starts, and what the indexes hold up to there.
pub(super) struct WalkStart {
    pub(super) position: u64,
    offsets: usize,
    times: usize,
    max: Option<TimeEntry>,
}

impl WalkStart {
    const BEGINNING: Self = Self { position: 0, offsets: 0, times: 0, max: None };

    /// The last batch before `resumed_at` that has an index entry and is sound, or the beginning.
    pub(super) fn find(files: &SegmentFiles, size: u64, resumed_at: i64) -> io::Result<Self> {
        let base = files.base_offset();
        let (Ok(stored), Ok(stored_times)) =
            (stored_entries::<OffsetEntry>(files), stored_entries::<TimeEntry>(files))
        else {
            return Ok(Self::BEGINNING);
        };
        let index = files.offset_index()?;
        let before = |entry: &OffsetEntry| entry.offset < resumed_at;
        let offsets = count_stored(&**index, base, stored, stored, Wait::Allowed, before)?;
        let Some(last) = offsets.checked_sub(1) else { return Ok(Self::BEGINNING) };
        let entry = read_entries::<OffsetEntry>(&**index, base, last, 1, Wait::Allowed)?.first().copied();
        let Some(entry) = entry.filter(|entry| points_to_batch(files, size, *entry)) else {
            return Ok(Self::BEGINNING);
        };
        let time_index = files.open(names::TIME_INDEX, OpenMode::Read)?;
        let covered = |time: &TimeEntry| time.offset <= entry.offset;
        let times = count_stored(&*time_index, base, stored_times, stored_times, Wait::Allowed, covered)?;
        let time = |number: usize| -> io::Result<Option<TimeEntry>> {
            Ok(read_entries(&*time_index, base, number, 1, Wait::Allowed)?.first().copied())
        };
        let max = times.checked_sub(1).map(time).transpose()?.flatten();
        let behind = if times < stored_times { time(times)? } else { None };
        // Both sides of the border, or a wrong entry may have moved it; and an index that has lost its end has no border.
        let view = SparseIndex::new(offsets).view();
        let is_sound = is_max(files, &view, (size, entry.position), max)?
            && behind.map_or(Ok(true), |time| is_true(files, &view, size, time))?;
        if !is_sound {
            return Ok(Self::BEGINNING);
        }
        Ok(Self { position: entry.position, offsets, times, max })
    }

    /// The segment as it is known before the walk.
    pub(super) fn segment(
        &self,
        files: Arc<SegmentFiles>,
        file: &dyn DiskFile,
        size: u64,
    ) -> io::Result<Segment> {
        let mut segment = Segment::resumed(files, self.position, self.offsets, self.times, self.max);
        if self.position > 0 {
            match Scan::headers(file, 0, size, Wait::Allowed).next() {
                Ok(Some(first)) => segment.set_first_timestamp(first.header.max_timestamp),
                Ok(None) | Err(ScanError::Damaged { .. }) => {}
                Err(ScanError::Io(error)) => return Err(error),
            }
        }
        Ok(segment)
    }
}

/// Whether a sound batch that ends at the entry's offset lies at its position.
fn points_to_batch(files: &SegmentFiles, size: u64, entry: OffsetEntry) -> bool {
    let Ok(file) = files.log() else { return false };
    let mut scan = Scan::verifying(&**file, entry.position, size);
    match scan.next() {
        Ok(Some(found)) => found.header.last_offset() == entry.offset && scan.verify(&found).is_ok(),
        _ => false,
    }
}
