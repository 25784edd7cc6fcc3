//! The indexes of a segment against its batches.
//!
//! Entries that were there before the process are only believed: a lookup looks at the batch that one names before it relies
//! on it. A check that passes all batches says of each entry whether it is true, and what belongs in its place if it is not:
//! the number of entries stays, so that an index may grow and be read meanwhile.

use std::io;

use klamm_records::BatchHeader;

use crate::disk::{OpenMode, Wait, write_all_at};
use crate::files::SegmentFiles;
use crate::index::{IndexEntry, OffsetEntry, TimeEntry, read_entries};

/// Both indexes of a segment.
#[derive(Debug)]
pub(super) struct Indexes {
    offsets: Compared<OffsetEntry>,
    times: Compared<TimeEntry>,
    /// The batch with the largest timestamp so far.
    max: Option<TimeEntry>,
}

/// One index, as far as the batches have passed.
#[derive(Debug)]
struct Compared<E> {
    entries: Vec<E>,
    /// The first entry whose batch has not passed.
    next: usize,
    /// What an entry for the first batch, and for the last one that has an entry, would say.
    first: Option<E>,
    last: Option<E>,
    /// What belongs in the place of wrong entries.
    mends: Vec<(usize, E)>,
}

impl Indexes {
    /// Reads as many entries as are only believed.
    pub(super) fn read(files: &SegmentFiles, (offsets, times): (usize, usize)) -> io::Result<Self> {
        Ok(Self { offsets: Compared::read(files, offsets)?, times: Compared::read(files, times)?, max: None })
    }

    /// Compares the entries of one batch, the next one in the segment.
    pub(super) fn pass(&mut self, position: u64, header: &BatchHeader) {
        let (offset, timestamp) = (header.last_offset(), header.max_timestamp);
        self.offsets.pass(OffsetEntry { offset, position });
        if self.max.is_none_or(|max| timestamp > max.timestamp) {
            let max = TimeEntry { timestamp, offset };
            self.max = Some(max);
            self.times.pass(max);
        }
    }

    /// All batches have passed. The last time of a closed segment is its largest.
    pub(super) fn finish(&mut self, is_closed: bool) {
        self.offsets.finish();
        self.times.finish();
        if let Some(max) = self.max.filter(|_| is_closed) {
            self.times.end_with(max);
        }
    }

    pub(super) fn has_mends(&self) -> bool {
        !self.offsets.mends.is_empty() || !self.times.mends.is_empty()
    }

    /// Puts the wrong entries right; returns the extensions of the files that had any.
    pub(super) fn mend(&self, files: &SegmentFiles) -> io::Result<Vec<&'static str>> {
        let mended = [self.offsets.mend(files)?, self.times.mend(files)?];
        Ok(mended.into_iter().flatten().collect())
    }
}

impl<E: IndexEntry> Compared<E> {
    fn read(files: &SegmentFiles, count: usize) -> io::Result<Self> {
        let entries = match files.open(E::EXTENSION, OpenMode::Read) {
            Ok(file) => read_entries(&*file, files.base_offset(), 0, count, Wait::Allowed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { entries, next: 0, first: None, last: None, mends: Vec::new() })
    }

    /// Takes what an entry for the next batch would say.
    fn pass(&mut self, truth: E) {
        self.first.get_or_insert(truth);
        let entry = |number: usize| self.entries.get(number).copied();
        match entry(self.next) {
            None => return,
            Some(found) if found == truth => {}
            Some(found) if found.resembles(truth) => self.mends.push((self.next, truth)),
            Some(_) if entry(self.next + 1) == Some(truth) => {
                self.mends.push((self.next, self.last.unwrap_or(truth)));
                self.next += 1;
            }
            Some(_) => return,
        }
        self.next += 1;
        self.last = Some(truth);
    }

    /// What no batch has answered to is wrong.
    fn finish(&mut self) {
        let truth = self.last.or(self.first);
        let wrong = self.next..self.entries.len();
        self.mends.extend(wrong.filter_map(|number| Some((number, truth?))));
    }

    fn end_with(&mut self, truth: E) {
        let Some(last) = self.entries.len().checked_sub(1) else { return };
        let mended = self.mends.last_mut().filter(|(number, _)| *number == last);
        match mended {
            Some((_, mend)) => *mend = truth,
            None if self.entries.last() == Some(&truth) => {}
            None => self.mends.push((last, truth)),
        }
    }

    fn mend(&self, files: &SegmentFiles) -> io::Result<Option<&'static str>> {
        if self.mends.is_empty() {
            return Ok(None);
        }
        let file = files.open(E::EXTENSION, OpenMode::Write)?;
        for (number, entry) in &self.mends {
            let mut bytes = Vec::with_capacity(E::SIZE);
            entry.encode(files.base_offset(), &mut bytes);
            write_all_at(&*file, &[&bytes], (number * E::SIZE) as u64)?;
        }
        Ok(Some(E::EXTENSION))
    }
}
