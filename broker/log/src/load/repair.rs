//! Making the files of a segment what a walk found it to be.

use std::io;
use std::sync::Arc;

use crate::disk::{OpenMode, write_all_at};
use crate::files::SegmentFiles;
use crate::index::{IndexEntry, OffsetEntry, SparseIndex, TimeEntry};
use crate::segment::Segment;

/// Cuts the files of a segment to what is known of it; a closed one gets its indexes completed.
pub(super) fn settle_segment(segment: &mut Segment, closed: bool) -> io::Result<()> {
    let files = Arc::clone(&segment.files);
    let file = files.log()?;
    if file.len()? > segment.size {
        // What is appended next must never meet what was cut.
        file.set_len(segment.size)?;
        file.sync_data()?;
    }
    cut_index(&files, OffsetEntry::EXTENSION, segment.offsets.stored_bytes())?;
    cut_index(&files, TimeEntry::EXTENSION, segment.times.stored_bytes())?;
    if !closed {
        return Ok(());
    }
    segment.push_max_timestamp();
    store_waiting(&files, &mut segment.offsets)?;
    store_waiting(&files, &mut segment.times)?;
    segment.indexes_unsynced = true;
    Ok(())
}

fn cut_index(files: &SegmentFiles, extension: &str, length: u64) -> io::Result<()> {
    match files.open(extension, OpenMode::Write) {
        Ok(file) if file.len()? > length => file.set_len(length),
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
    Ok(())
}
