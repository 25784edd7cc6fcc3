//! The sparse indexes of a segment: `.index` (offset → position) and `.timeindex` (timestamp → offset).
//!
//! New entries wait in memory until a write job stores them, hundreds at a time; stored ones are read by binary search.

use std::fmt::Debug;
use std::io;

use bytes::{Buf, BufMut};

use crate::disk::{DiskFile, OpenMode, Wait, read_up_to};
use crate::files::SegmentFiles;
use crate::names;

/// Entries that wait in memory before a write job stores them.
const STORE_AT: usize = 512;
/// Entries read at once in a search.
const BLOCK: usize = 256;

/// One entry of an index; offsets are absolute in memory and relative to the segment's base on disk.
pub(crate) trait IndexEntry: Copy + Debug + PartialEq + Send + Sync {
    /// Bytes of an entry on disk.
    const SIZE: usize;
    /// Extension of the file.
    const EXTENSION: &'static str;
    fn encode(self, base_offset: i64, out: &mut Vec<u8>);
    /// Reads an entry from exactly [`SIZE`](Self::SIZE) bytes.
    fn decode(bytes: &[u8], base_offset: i64) -> Self;
    fn offset(self) -> i64;
    /// Whether one of the two numbers is the same.
    fn resembles(self, other: Self) -> bool;
}

/// The batch that ends at `offset` starts at byte `position` of the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) offset: i64,
    pub(crate) position: u64,
}

/// No batch up to the one that ends at `offset` has a larger timestamp, and that one has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: i64,
    pub(crate) offset: i64,
}

fn relative(offset: i64, base_offset: i64) -> i32 {
    i32::try_from(offset.saturating_sub(base_offset)).unwrap_or(i32::MAX)
}

impl IndexEntry for OffsetEntry {
    const SIZE: usize = 8;
    const EXTENSION: &'static str = names::OFFSET_INDEX;

    fn encode(self, base_offset: i64, out: &mut Vec<u8>) {
        out.put_i32(relative(self.offset, base_offset));
        out.put_u32(u32::try_from(self.position).unwrap_or(u32::MAX));
    }

    fn resembles(self, other: Self) -> bool {
        self.offset == other.offset || self.position == other.position
    }

    fn decode(mut bytes: &[u8], base_offset: i64) -> Self {
        let offset = base_offset.saturating_add(i64::from(bytes.get_i32()));
        Self { offset, position: u64::from(bytes.get_u32()) }
    }

    fn offset(self) -> i64 {
        self.offset
    }
}

impl IndexEntry for TimeEntry {
    const SIZE: usize = 12;
    const EXTENSION: &'static str = names::TIME_INDEX;

    fn encode(self, base_offset: i64, out: &mut Vec<u8>) {
        out.put_i64(self.timestamp);
        out.put_i32(relative(self.offset, base_offset));
    }

    fn resembles(self, other: Self) -> bool {
        self.offset == other.offset || self.timestamp == other.timestamp
    }

    fn decode(mut bytes: &[u8], base_offset: i64) -> Self {
        let timestamp = bytes.get_i64();
        Self { timestamp, offset: base_offset.saturating_add(i64::from(bytes.get_i32())) }
    }

    fn offset(self) -> i64 {
        self.offset
    }
}

/// An index: some entries in the file, the newest in memory.
#[derive(Clone, Debug)]
pub(crate) struct SparseIndex<E> {
    /// Entries in the file.
    stored: usize,
    /// Entries behind those, not in the file yet.
    waiting: Vec<E>,
}

/// Entries on their way into the file.
#[derive(Clone, Debug)]
pub(crate) struct IndexWrite {
    /// Where in the file they go.
    pub(crate) position: u64,
    /// The encoded entries.
    pub(crate) bytes: Vec<u8>,
    /// How many they are.
    pub(crate) count: usize,
}

impl<E: IndexEntry> SparseIndex<E> {
    /// An index with `stored` entries in its file.
    pub(crate) fn new(stored: usize) -> Self {
        Self { stored, waiting: Vec::new() }
    }

    /// All entries, stored and waiting.
    pub(crate) fn len(&self) -> usize {
        self.stored + self.waiting.len()
    }

    /// Bytes that the stored entries take.
    pub(crate) fn stored_bytes(&self) -> u64 {
        (self.stored * E::SIZE) as u64
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn push(&mut self, entry: E) {
        self.waiting.push(entry);
    }

    /// Whether enough entries wait to be worth a write.
    pub(crate) fn wants_store(&self) -> bool {
        self.waiting.len() >= STORE_AT
    }

    /// The waiting entries before `end_offset`, to be written; they wait until [`stored`](Self::stored) is called.
    pub(crate) fn store(&self, base_offset: i64, end_offset: i64) -> Option<IndexWrite> {
        let count = self.waiting.partition_point(|entry| entry.offset() < end_offset);
        if count == 0 {
            return None;
        }
        let mut bytes = Vec::with_capacity(count * E::SIZE);
        self.waiting.iter().take(count).for_each(|entry| entry.encode(base_offset, &mut bytes));
        Some(IndexWrite { position: self.stored_bytes(), bytes, count })
    }

    /// The first `count` waiting entries are in the file now.
    pub(crate) fn stored(&mut self, count: usize) {
        self.waiting.drain(..count.min(self.waiting.len()));
        self.waiting.shrink_to(STORE_AT);
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
        self.stored += count;
    }

    /// Everything needed to search this index while it goes on growing.
    pub(crate) fn view(&self) -> IndexView<E> {
        IndexView { stored: self.stored, waiting: self.waiting.clone() }
    }
}

/// A moment of a [`SparseIndex`], searched without its owner's lock.
#[derive(Clone, Debug)]
pub(crate) struct IndexView<E> {
    stored: usize,
    waiting: Vec<E>,
}

impl<E: IndexEntry> IndexView<E> {
    /// The last entry for which `holds`, which must hold for a prefix of the entries. `file` is asked for only when
    /// stored entries have to be looked at.
    pub(crate) fn last_where<'a>(
        &self,
        base_offset: i64,
        wait: Wait,
        file: impl Fn() -> io::Result<&'a dyn DiskFile>,
        holds: impl Fn(&E) -> bool,
    ) -> io::Result<Option<E>> {
        self.last_near(0.5, base_offset, wait, file, holds)
    }

    /// Like [`last_where`](Self::last_where), given the share of all entries that is expected to hold: batches of much the
    /// same size make a guess from the offset or the position so good that one read answers.
    pub(crate) fn last_near<'a>(
        &self,
        share: f64,
        base_offset: i64,
        wait: Wait,
        file: impl Fn() -> io::Result<&'a dyn DiskFile>,
        holds: impl Fn(&E) -> bool,
    ) -> io::Result<Option<E>> {
        let waiting = self.waiting.partition_point(&holds);
        if let Some(entry) = waiting.checked_sub(1).and_then(|index| self.waiting.get(index)) {
            return Ok(Some(*entry));
        }
        if self.stored == 0 {
            return Ok(None);
        }
        let guess = (share * (self.stored + self.waiting.len()) as f64) as usize;
        let count = count_stored(file()?, base_offset, self.stored, guess, wait, &holds)?;
        let Some(index) = count.checked_sub(1) else { return Ok(None) };
        Ok(read_entries(file()?, base_offset, index, 1, wait)?.first().copied())
    }
}

/// How many of the first `stored` entries in `file` hold, given that those that do are a prefix, of about `guess`.
pub(crate) fn count_stored<E: IndexEntry>(
    file: &dyn DiskFile,
    base_offset: i64,
    stored: usize,
    guess: usize,
    wait: Wait,
    holds: impl Fn(&E) -> bool,
) -> io::Result<usize> {
    let (mut low, mut high, mut middle) = (0, stored, guess);
    while low < high {
        let first = middle.saturating_sub(BLOCK / 2).clamp(low, high.saturating_sub(BLOCK).max(low));
        let block = read_entries::<E>(file, base_offset, first, BLOCK.min(high - first), wait)?;
        match block.partition_point(&holds) {
            0 => high = first,
            all if all == BLOCK => low = first + all,
            some => return Ok(first + some),
        }
        middle = low + (high - low) / 2;
    }
    Ok(low)
}

/// `count` entries from number `first` on; fewer if the file ends.
pub(crate) fn read_entries<E: IndexEntry>(
    file: &dyn DiskFile,
    base_offset: i64,
    first: usize,
    count: usize,
    wait: Wait,
) -> io::Result<Vec<E>> {
    let mut bytes = vec![0; count * E::SIZE];
    let filled = read_up_to(file, &mut bytes, (first * E::SIZE) as u64, wait)?;
    bytes.truncate(filled);
    Ok(bytes.chunks_exact(E::SIZE).map(|entry| E::decode(entry, base_offset)).collect())
}

/// The last offset that the index of a segment names, if it can be read and names any.
pub(crate) fn last_named<E: IndexEntry>(files: &SegmentFiles) -> Option<i64> {
    let file = files.open(E::EXTENSION, OpenMode::Read).ok()?;
    let last = (usize::try_from(file.len().ok()?).ok()? / E::SIZE).checked_sub(1)?;
    let entries = read_entries::<E>(&*file, files.base_offset(), last, 1, Wait::Allowed).ok()?;
    entries.first().map(|entry| entry.offset())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::disk::{Disk, OpenMode, SimDisk, write_all_at};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn lookups_equal_a_linear_scan(gaps in prop::collection::vec(1i64..10, 0..2_000), stored: prop::sample::Index, asked in prop::collection::vec((0i64..11_000, 0.0..1.1f64), 1..20)) {
            let base_offset = 1_000;
            let mut offset = base_offset;
            let entries: Vec<OffsetEntry> = gaps.iter().map(|gap| {
                offset += gap;
                OffsetEntry { offset, position: (offset - base_offset) as u64 * 100 }
            }).collect();
            let mut index = SparseIndex::new(0);
            entries.iter().for_each(|entry| index.push(*entry));
            let disk = SimDisk::new(0);
            let file = disk.open(Path::new("/index"), OpenMode::Create).expect("opens");
            let split = stored.index(entries.len() + 1);
            let end_offset = entries.get(split).map_or(i64::MAX, |entry| entry.offset);
            if let Some(write) = index.store(base_offset, end_offset) {
                write_all_at(&*file, &[&write.bytes], write.position).expect("writes");
                index.stored(write.count);
            }
            prop_assert_eq!(index.len(), entries.len());
            for (asked, share) in asked {
                let found = index.view().last_near(share, base_offset, Wait::Allowed, || Ok(&*file), |e| e.offset <= asked).expect("reads");
                let expected = entries.iter().rev().find(|entry| entry.offset <= asked).copied();
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn entries_are_kafkas_bytes() {
        let mut bytes = Vec::new();
        OffsetEntry { offset: 107, position: 4097 }.encode(100, &mut bytes);
        assert_eq!(bytes, [0, 0, 0, 7, 0, 0, 0x10, 1]);
        assert_eq!(OffsetEntry::decode(&bytes, 100), OffsetEntry { offset: 107, position: 4097 });
        let mut bytes = Vec::new();
        TimeEntry { timestamp: 258, offset: 107 }.encode(100, &mut bytes);
        assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 7]);
        assert_eq!(TimeEntry::decode(&bytes, 100), TimeEntry { timestamp: 258, offset: 107 });
    }
}
