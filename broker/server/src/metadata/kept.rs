//! What the tasks around the metadata log tell each other and the metrics.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::sync::watch;

/// How far the image on disk is, what was pulled, and whether it all can be of use.
pub struct Kept {
    offset: AtomicI64,
    entries: AtomicU64,
    snapshots: AtomicU64,
    disowned: watch::Sender<Option<String>>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            offset: AtomicI64::new(-1),
            entries: AtomicU64::default(),
            snapshots: AtomicU64::default(),
            disowned: watch::Sender::new(None),
        }
    }
}

impl Kept {
    /// Offset of the image on disk, -1 where there is none.
    pub fn offset(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// The image on disk is the one of this offset.
    pub fn is_at(&self, offset: i64) {
        self.offset.store(offset, Ordering::Relaxed);
    }

    /// Entries that were pulled since the start.
    pub fn entries_pulled(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Whole images that were pulled since the start.
    pub fn snapshots_pulled(&self) -> u64 {
        self.snapshots.load(Ordering::Relaxed)
    }

    /// This much more was pulled.
    pub fn pulled(&self, entries: usize, snapshots: usize) {
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        self.snapshots.fetch_add(snapshots as u64, Ordering::Relaxed);
    }

    /// The image here is of a metadata log that is not this quorum's: it is not to be kept, and the process begins anew.
    pub fn disown(&self, reason: String) {
        self.disowned.send_if_modified(|known| {
            let is_first = known.is_none();
            if is_first {
                *known = Some(reason);
            }
            is_first
        });
    }

    /// Why the image here is of no use, `None` as long as it is. Final.
    pub fn disowned(&self) -> watch::Receiver<Option<String>> {
        self.disowned.subscribe()
    }
}
