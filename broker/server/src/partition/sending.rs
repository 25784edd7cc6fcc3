//! Ranges of segment files on their way to a reader: what is unreadable there is damage as anywhere else.

use std::io;
use std::sync::{Arc, Weak};

use klamm_log::FileChunk;

use super::replica::Partition;
use crate::net::{FileRange, RangeOwner};

/// What an answer remembers of a range. A slow reader keeps no partition that is gone.
struct Sending {
    partition: Weak<Partition>,
    chunk: FileChunk,
}

/// The range as a response carries it.
pub fn file_range(partition: Weak<Partition>, chunk: FileChunk) -> FileRange {
    let (file, position, length) = (Arc::clone(&chunk.file), chunk.position, chunk.length);
    FileRange { file, position, length, owner: Arc::new(Sending { partition, chunk }) }
}

impl RangeOwner for Sending {
    fn failed(&self, error: &io::Error) {
        if let Some(damage) = self.chunk.damage(error)
            && let Some(partition) = self.partition.upgrade()
        {
            // The reader's connection ends, as the answer has begun.
            let _refused = partition.read_failed(damage);
        }
    }
}
