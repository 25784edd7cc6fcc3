//! Leader epochs and the offsets at which they start (KIP-101, KIP-279), and the file that keeps them.

use std::fmt::Write;

use klamm_records::BatchHeader;

use crate::Damage;
use crate::mutation::{Mutation, is_active};

/// Epoch or offset of an answer that is not known.
pub const UNKNOWN: (i32, i64) = (-1, -1);

/// One leader epoch and the first offset appended in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The leader epoch.
    pub epoch: i32,
    /// Its first offset.
    pub start_offset: i64,
}

/// The leader epoch lies outside a batch's checksum, but these epochs say what it must be. Of records before the first of them,
/// which were deleted when the epochs were stored, they say that no epoch is later.
pub(crate) fn contradiction(epochs: &[EpochEntry], header: &BatchHeader) -> Option<Damage> {
    let behind = epochs.partition_point(|entry| entry.start_offset <= header.base_offset);
    let entry = epochs.get(behind.saturating_sub(1))?;
    let (expected, found) = (entry.epoch, header.leader_epoch);
    let is_before = header.last_offset() < entry.start_offset;
    let is_possible = if is_before { found <= expected } else { found == expected };
    (!is_possible).then_some(Damage::LeaderEpoch { last: expected, found })
}

/// The leader epochs of one log, epochs and start offsets strictly ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EpochCache {
    entries: Vec<EpochEntry>,
    dirty: bool,
}

impl EpochCache {
    /// Reads `leader-epoch-checkpoint`: version 0, the number of entries, then "epoch start_offset" a line.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        // Without its end the last number may be half a number.
        if !text.ends_with('\n') || lines.next()?.trim() != "0" {
            return None;
        }
        let count: usize = lines.next()?.trim().parse().ok()?;
        let mut cache = Self::default();
        for line in lines.filter(|line| !line.trim().is_empty()) {
            let (epoch, start_offset) = line.trim().split_once(' ')?;
            let entry =
                EpochEntry { epoch: epoch.parse().ok()?, start_offset: start_offset.trim().parse().ok()? };
            let ascends =
                |last: &EpochEntry| last.epoch < entry.epoch && last.start_offset <= entry.start_offset;
            if !cache.entries.last().is_none_or(ascends) {
                return None;
            }
            cache.entries.push(entry);
        }
        (cache.entries.len() == count).then_some(cache)
    }

    /// The contents of `leader-epoch-checkpoint`.
    pub(crate) fn format(&self) -> String {
        let mut text = format!("0\n{}\n", self.entries.len());
        for entry in &self.entries {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{} {}", entry.epoch, entry.start_offset);
        }
        text
    }

    pub(crate) fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    pub(crate) fn latest(&self) -> Option<i32> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// Whether something changed since [`mark_stored`](Self::mark_stored).
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    pub(crate) fn mark_stored(&mut self) {
        self.dirty = false;
    }

    pub(crate) fn mark_dirty(&mut self) {
        self.dirty = true;
    }

    /// Notes that `epoch` starts at `start_offset`, unless that epoch or a later one is known already.
    pub(crate) fn assign(&mut self, epoch: i32, start_offset: i64) {
        if epoch < 0 || start_offset < 0 || self.latest().is_some_and(|latest| epoch <= latest) {
            return;
        }
        self.entries.retain(|entry| entry.start_offset < start_offset);
        self.entries.push(EpochEntry { epoch, start_offset });
        self.dirty = true;
    }

    /// Notes the epoch of a batch that a walk has met, which may lie before all that is known.
    pub(crate) fn learn(&mut self, epoch: i32, base_offset: i64) {
        let at = self.entries.partition_point(|entry| entry.epoch < epoch);
        let precedes = |next: &EpochEntry| base_offset < next.start_offset;
        let follows = at.checked_sub(1).is_none_or(|last| self.entries[last].start_offset < base_offset);
        match self.entries.get_mut(at).filter(|next| precedes(next)) {
            None => return self.assign(epoch, base_offset),
            Some(_) if epoch < 0 || !follows => return,
            Some(next) if next.epoch == epoch => next.start_offset = base_offset,
            Some(_) => self.entries.insert(at, EpochEntry { epoch, start_offset: base_offset }),
        }
        self.dirty = true;
    }

    /// The largest known epoch that is not larger than `requested`, and the offset at which it ends.
    pub(crate) fn end_offset(&self, requested: i32, log_end: i64) -> (i32, i64) {
        if requested < 0 || self.latest().is_none_or(|latest| requested > latest) {
            return UNKNOWN;
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= requested);
        let end = self.entries.get(above).map_or(log_end, |entry| entry.start_offset);
        let floor = above.checked_sub(1).and_then(|index| self.entries.get(index));
        (floor.map_or(requested, |entry| entry.epoch), end)
    }

    /// The epoch in which `offset` was or will be appended.
    pub(crate) fn epoch_at(&self, offset: i64) -> Option<i32> {
        let above = self.entries.partition_point(|entry| entry.start_offset <= offset);
        above.checked_sub(1).and_then(|index| self.entries.get(index)).map(|entry| entry.epoch)
    }

    /// Forgets the epochs that start at or behind `end`.
    pub(crate) fn truncate_from_end(&mut self, end: i64) {
        if is_active(Mutation::EpochsNotTruncated) {
            return;
        }
        let before = self.entries.len();
        self.entries.retain(|entry| entry.start_offset < end);
        self.dirty |= self.entries.len() != before;
    }

    /// Forgets the epochs that end before `start`. That of the last record before it stays, with its own beginning: asked for an
    /// epoch that is forgotten, `end_offset` then says where that ended, not where the log begins. A follower that parts from
    /// this log among what was deleted would be taken for one that agrees with it.
    pub(crate) fn truncate_from_start(&mut self, start: i64) {
        let before = self.entries.partition_point(|entry| entry.start_offset < start);
        if before > 1 {
            self.entries.drain(..before - 1);
            self.dirty = true;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.dirty |= !self.entries.is_empty();
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(i32, i64)]) -> EpochCache {
        let mut cache = EpochCache::default();
        entries.iter().for_each(|(epoch, start)| cache.assign(*epoch, *start));
        cache
    }

    fn pairs(cache: &EpochCache) -> Vec<(i32, i64)> {
        cache.entries().iter().map(|entry| (entry.epoch, entry.start_offset)).collect()
    }

    #[test]
    fn the_end_of_an_epoch_is_the_start_of_the_next_or_the_log_end() {
        let cache = cache(&[(2, 10), (4, 20), (7, 30)]);
        assert_eq!(cache.end_offset(7, 42), (7, 42));
        assert_eq!(cache.end_offset(4, 42), (4, 30));
        assert_eq!(cache.end_offset(2, 42), (2, 20));
    }

    #[test]
    fn an_epoch_in_a_gap_is_answered_with_the_one_below_it() {
        let cache = cache(&[(2, 10), (4, 20), (7, 30)]);
        assert_eq!(cache.end_offset(5, 42), (4, 30));
        assert_eq!(cache.end_offset(6, 42), (4, 30));
    }

    #[test]
    fn epochs_outside_the_known_range() {
        let cache = cache(&[(2, 10), (4, 20)]);
        assert_eq!(cache.end_offset(1, 42), (1, 10), "smaller than any: ends where the first one starts");
        assert_eq!(cache.end_offset(5, 42), UNKNOWN, "larger than any");
        assert_eq!(cache.end_offset(-1, 42), UNKNOWN);
        assert_eq!(EpochCache::default().end_offset(0, 42), UNKNOWN);
    }

    #[test]
    fn a_new_epoch_replaces_entries_at_or_behind_its_start() {
        let mut cache = cache(&[(2, 10), (4, 20)]);
        cache.assign(5, 20);
        assert_eq!(pairs(&cache), [(2, 10), (5, 20)]);
        cache.assign(5, 25);
        cache.assign(3, 40);
        assert_eq!(pairs(&cache), [(2, 10), (5, 20)], "known or older epochs change nothing");
    }

    #[test]
    fn what_a_walk_meets_before_the_first_entry_is_put_before_it() {
        let mut cache = cache(&[(4, 20), (7, 30)]);
        for (epoch, base) in [(-1, 0), (2, 5), (2, 8), (3, 10), (4, 15), (4, 18), (4, 20), (7, 30), (8, 40)] {
            cache.learn(epoch, base);
        }
        assert_eq!(pairs(&cache), [(2, 5), (3, 10), (4, 15), (7, 30), (8, 40)]);
    }

    #[test]
    fn truncation_keeps_what_still_covers_an_offset() {
        let mut cache = cache(&[(2, 10), (4, 20), (7, 30)]);
        cache.truncate_from_end(30);
        assert_eq!(pairs(&cache), [(2, 10), (4, 20)]);
        cache.truncate_from_start(25);
        assert_eq!(pairs(&cache), [(4, 20)]);
        cache.truncate_from_start(5);
        assert_eq!(pairs(&cache), [(4, 20)]);
        assert_eq!((cache.epoch_at(19), cache.epoch_at(25), cache.epoch_at(99)), (None, Some(4), Some(4)));
    }

    #[test]
    fn who_parts_from_the_log_among_what_was_deleted_is_told_where() {
        for (start, kept) in [(30, &[(4, 20), (7, 30)][..]), (31, &[(7, 30)]), (40, &[(7, 30)])] {
            let mut cache = cache(&[(2, 10), (4, 20), (7, 30)]);
            cache.truncate_from_start(start);
            assert_eq!(pairs(&cache), kept, "start {start}");
            let (epoch, end) = cache.end_offset(2, 50);
            assert!(epoch == 2 && end == kept[0].1 && end < start, "start {start}: {end}");
        }
    }

    #[test]
    fn the_file_is_kafkas_and_garbage_is_refused() {
        let cache = cache(&[(2, 10), (4, 20)]);
        assert_eq!(cache.format(), "0\n2\n2 10\n4 20\n");
        assert_eq!(EpochCache::parse(&cache.format()).map(|read| pairs(&read)), Some(pairs(&cache)));
        for garbage in [
            "",
            "0\n",
            "1\n0\n",
            "0\n2\n2 10\n",
            "0\n2\n4 20\n2 10\n",
            "0\n1\nx 1\n",
            "0\n1\n1\n",
            "0\n1\n1 1",
        ] {
            assert_eq!(EpochCache::parse(garbage), None, "{garbage:?}");
        }
    }
}
