//! Making the files of a segment what a walk found it to be.

use std::io;
use std::sync::Arc;

use crate::disk::{DiskFile, OpenMode, read_exact_at, write_all_at};
use crate::files::SegmentFiles;
use crate::index::{IndexEntry, OffsetEntry, SparseIndex, TimeEntry};
use crate::names;
use crate::segment::Segment;

/// Bytes written once more at a time.
const REWRITE_WINDOW: usize = 1 << 20;

/// Cuts the files of a segment to what is known of it, durably. The indexes of a closed one are completed, and so are
/// those that were built anew although a snapshot vouched for them.
pub(super) fn settle_segment(segment: &mut Segment, closed: bool) -> io::Result<()> {
    let files = Arc::clone(&segment.files);
    cut(&files, names::LOG, segment.size)?;
    cut(&files, OffsetEntry::EXTENSION, segment.offsets.stored_bytes())?;
    cut(&files, TimeEntry::EXTENSION, segment.times.stored_bytes())?;
    if closed {
        segment.complete_indexes();
    }
    if closed || (segment.indexes_unsynced && segment.has_waiting_entries()) {
        store_waiting(&files, &mut segment.offsets)?;
        store_waiting(&files, &mut segment.times)?;
    }
    segment.indexes_unsynced = false;
    Ok(())
}

/// Writes the bytes between two positions once more, so that the next sync does bring them to the disk.
pub(super) fn rewrite(file: &dyn DiskFile, from: u64, end: u64) -> io::Result<()> {
    let mut at = from;
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(REWRITE_WINDOW);
        let mut bytes = vec![0; length];
        read_exact_at(file, &mut bytes, at)?;
        write_all_at(file, &[&bytes], at)?;
        at += length as u64;
    }
    Ok(())
}

/// What is appended next must never meet what was cut.
fn cut(files: &SegmentFiles, extension: &str, length: u64) -> io::Result<()> {
    match files.open(extension, OpenMode::Write) {
        Ok(file) if file.len()? > length => file.set_len(length).and_then(|()| file.sync_data()),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn store_waiting<E: IndexEntry>(files: &SegmentFiles, index: &mut SparseIndex<E>) -> io::Result<()> {
    let file = files.open(E::EXTENSION, OpenMode::Create)?;
    if let Some(write) = index.store(files.base_offset(), i64::MAX) {
        write_all_at(&*file, &[&write.bytes], write.position)?;
        index.stored(write.count);
    }
    file.sync_data()
}
