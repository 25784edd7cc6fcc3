//! Walking a log again that ends before the snapshot from which the first walk went on.

use super::{Loaded, Loader};
use crate::LogError;
use crate::segment::Segment;

impl Loader<'_> {
    /// Walks what is left of such a log from a snapshot that it reaches. Producers that were restored from the first one know
    /// batches that are lost: sent again, those would be taken for duplicates, and acknowledged.
    pub(super) fn walk_again(&mut self, loaded: Loaded) -> Result<Loaded, LogError> {
        let bases: Vec<i64> = loaded.segments.iter().map(Segment::base_offset).collect();
        (self.limits.trusted, self.limits.stop_at) = (loaded.end_offset, loaded.end_offset);
        let mut again = self.walk_from_snapshot(&bases, loaded.snapshots)?;
        again.scanned_bytes += loaded.scanned_bytes;
        again.cut = again.cut.or(loaded.cut);
        Ok(again)
    }
}
